"""What cannot be meant is refused, with the path and the nearest match."""

import inspect

import pytest

import pdeml as pm
from pdeml.errors import InputError

HEAT = {
    "coordinates": {"x": (0, 1), "t": (0, 1)},
    "time": "t",
    "unknowns": "u",
    "parameters": {"alpha": 0.1},
    "equations": "u_t = alpha*u_xx",
    "conditions": [pm.Initial(u="sin(pi*x)"), pm.Dirichlet(u=0)],
}
STEADY = {
    "coordinates": {"x": (0, 1), "y": (0, 2)},
    "unknowns": "u",
    "equations": "laplacian(u) = 0",
    "conditions": [pm.Dirichlet(u=0)],
}


def refuse(base, path, *words, **changes):
    with pytest.raises(InputError) as caught:
        pm.Problem(**{**base, **changes})
    assert str(caught.value).startswith(path), str(caught.value)
    for word in words:
        assert word in str(caught.value)


REFUSED = {
    "misspelt place": (
        "conditions[0].on",
        "did you mean 'boundary'?",
        {"conditions": [pm.Dirichlet(on="boundry", u=0)]},
    ),
    "misspelt piece": (
        "conditions[1].on",
        "left",
        {"conditions": [pm.Initial(u=0), pm.Dirichlet(on="boundary.lefft", u=0)]},
    ),
    "misspelt unknown": ("conditions[0].value.uu", "'u'", {"conditions": [pm.Initial(uu=0)]}),
    "unknown in a value": ("conditions[0].value.u", "unknown", {"conditions": [pm.Dirichlet(u="u_x")]}),
    "undeclared name in a value": (
        "conditions[0].value.u",
        "did you mean 'alpha'?",
        {"conditions": [pm.Dirichlet(u="alpa")]},
    ),
    "complex value": ("conditions[0].value.u", "i", {"conditions": [pm.Dirichlet(u="i*x")]}),
    "two initial values": (
        "conditions[1].value",
        "two different values for u",
        {"conditions": [pm.Initial(u="sin(pi*x)"), pm.Initial(u="cos(pi*x)")]},
    ),
    "two tiny values": (
        "conditions[1].value",
        "two different values for u",
        {"conditions": [pm.Initial(u="1e-10"), pm.Initial(u="5e-10")]},
    ),
    "side against boundary": (
        "conditions[1].value",
        "boundary.left",
        {"conditions": [pm.Dirichlet(u=0), pm.Dirichlet(on="boundary.left", u=1)]},
    ),
    "side by its coordinate": (
        "conditions[1].value",
        "two different values",
        {"conditions": [pm.Dirichlet(on="boundary.right", u="t"), pm.Dirichlet(on={"x": 1}, u="2*t")]},
    ),
    "two fluxes": ("conditions[1].flux", "fluxes", {"conditions": [pm.Neumann(u=0), pm.Neumann(u="1 + x")]}),
    "singular value": ("conditions[0].value.u", "not finite", {"conditions": [pm.Initial(u="1/x"), pm.Dirichlet(u=0)]}),
    "logarithm of a negative number": (
        "conditions[0].value.u",
        "not finite",
        {"conditions": [pm.Initial(u="log(x - 1/2)")]},
    ),
    "nothing given": ("conditions", "neither conditions nor data", {"conditions": []}),
    "periodic side": (
        "conditions[1]",
        "periodic",
        {"conditions": [pm.Periodic("x"), pm.Dirichlet(on="boundary.left", u=0)]},
    ),
    "periodic in time": ("conditions[0].periodic", "space coordinate", {"conditions": [pm.Periodic("t")]}),
    "normal inside": ("conditions[0]", "normal", {"conditions": [pm.Condition("dn(u) = 0", on="initial")]}),
    "equation without unknown": ("equations[0]", "none of the unknowns", {"equations": "alpha = x"}),
    "condition without unknown": ("conditions[0]", "no unknown", {"conditions": [pm.Condition("x = 1")]}),
    "empty interval": ("coordinates.x", "", {"coordinates": {"x": (1, 0), "t": (0, 1)}}),
    "unknown time": ("time", "did you mean", {"time": "tt", "coordinates": {"x": (0, 1), "t": (0, 1)}}),
    "guess outside": ("parameters.alpha.bounds", "outside", {"parameters": {"alpha": {"learn": 2, "bounds": [0, 1]}}}),
    "misspelt kind of parameter": ("parameters.alpha", "learn", {"parameters": {"alpha": {"lern": 2}}}),
    "negative weight": ("conditions[0].weight", "positive", {"conditions": [pm.Initial(u=0, weight=-1)]}),
    "zero scale": ("unknowns.u.scale", "positive", {"unknowns": {"u": {"scale": 0}}}),
    "nothing said": ("conditions[0]", "no unknown", {"conditions": [pm.Dirichlet()]}),
    "both kinds": (
        "conditions[0]",
        "exactly one",
        {"conditions": [{"on": "boundary", "value": {"u": 0}, "flux": {"u": 0}}]},
    ),
    "misspelt key": (
        "conditions[0].valu",
        "did you mean 'value'?",
        {"conditions": [{"on": "boundary", "valu": {"u": 0}}]},
    ),
    "no condition at all": ("conditions[0]", "condition", {"conditions": ["u = 0"]}),
    "not a mask": ("conditions[0].on.where", "", {"conditions": [pm.Dirichlet(on={"where": "x + 1"}, u=0)]}),
    "injected mask": (
        "conditions[0].on.where",
        "",
        {"conditions": [pm.Dirichlet(on={"where": "x < 1) or (x > 1, 1"}, u=0)]},
    ),
    "empty mask": ("conditions[0].on", "", {"conditions": [pm.Dirichlet(on={"piece": "left", "where": "x > 2"}, u=0)]}),
    "bad name": ("name", "letters", {"name": "../x"}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    path, words, changes = REFUSED[name]
    refuse(HEAT, path, words, **changes)


DISK = pm.Disk(center=(0, 0), radius=1)


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("time", {"domain": DISK, "time": "t"}),
        ("domain", {"domain": "disk"}),
        ("domain.shape", {"domain": {"shape": DISK}}),
        ("domain.space.disc", {"domain": {"space": {"disc": {"radius": 1}}}}),
        ("coordinates", {"domain": DISK, "coordinates": {"x": (0, 1)}}),
        ("time", {"domain": {"time": {"t": (0, 1)}, "space": {"disk": {"center": [0, 0], "radius": 1}}}, "time": "s"}),
    ],
)
def test_refused_domains(path, changes):
    refuse({**STEADY, "coordinates": None}, path, **changes)


def test_initial_value_without_time():
    refuse(STEADY, "conditions[0].on", "time", conditions=[pm.Initial(u=0)])


def test_rate_without_time():
    refuse(STEADY, "conditions[0]", "time", conditions=[{"on": "boundary", "rate": {"u": 0}}])


def test_a_spec_names_file_line_and_path(tmp_path):
    path = tmp_path / "heat.yaml"
    path.write_text(
        "problem:\n  coordinates: {x: [0, 1], t: [0, 1]}\n  time: t\n  unknowns: [u]\n  equations:\n    - u_t = u_xx\n"
        "  conditions:\n    - {on: initial, value: {u: 0}}\n    - {on: boundary.lef, value: {u: 0}}\n"
    )
    with pytest.raises(InputError) as caught:
        pm.Problem.from_yaml(path)
    assert f"{path}:9: problem.conditions[1].on: " in str(caught.value)
    assert "did you mean 'left'?" in str(caught.value)


@pytest.mark.parametrize(
    "conditions",
    [
        [pm.Dirichlet(on="boundary.left", u=0), pm.Dirichlet(on="boundary.bottom", u=1)],  # a corner is no piece
        [pm.Dirichlet(u=0), pm.Neumann(u=1)],  # a value and a flux are two things
        [pm.Dirichlet(u=0), pm.Dirichlet(on="boundary.left", u="x")],  # x is 0 there
        [
            pm.Dirichlet(on={"piece": "left", "where": "y < 1"}, u=0),
            pm.Dirichlet(on={"piece": "left", "where": "y > 1"}, u=1),
        ],
        [pm.Dirichlet(u=0), {"on": {"x": 0.5}, "value": {"u": 1}}],
    ],
)
def test_allowed_together(conditions):
    pm.Problem(**{**STEADY, "conditions": conditions})


def test_data_replace_conditions():
    problem = pm.Problem(**{**HEAT, "conditions": [], "data": True})
    assert problem.needs_data


@pytest.mark.parametrize(
    ("make", "advice"),
    [
        (lambda: pm.Dirichlet("boundary.left", u=0), "write Dirichlet(on='boundary.left', u=0)"),
        (lambda: pm.Neumann("boundary"), "write Neumann(on='boundary', u=0)"),
        (lambda: pm.Initial("sin(pi*x)"), "Initial(u='sin(pi*x)')"),
        (lambda: pm.Final("x"), "Final(u='x')"),
        (lambda: pm.Neumann(3), "Neumann(u=3)"),
        (lambda: pm.Initial(rate=0), "rate={'u': 0}"),
        (lambda: pm.Final(u=0, v=0, rate="0"), "rate={'u': '0'}"),
        (lambda: pm.Problem("u_t = u_xx"), "without a name"),
        (lambda: pm.Problem(**STEADY, unknown="u"), "did you mean 'unknowns'"),
        (lambda: pm.Problem(coords={"x": (0, 1)}), "did you mean 'coordinates'"),
        (lambda: pm.Problem(coordinates={"x": (0, 1)}, equations="u_x = 1"), "at least one unknown"),
        (lambda: pm.Problem(coordinates={"x": (0, 1)}, unknowns="u"), "at least one equation"),
        (lambda: pm.Rectangle((0, 1), (0, 1)), "Rectangle(x=(0, 1), y=(0, 1))"),
        (lambda: pm.Interval((0, 1)), "Interval(x=(0, 1))"),
        (lambda: pm.Box(3), "Box(x=(0, 1), y=(0, 1))"),
    ],
)
def test_arguments_without_their_name_are_told_how_to_be_written(make, advice):
    with pytest.raises(InputError) as caught:
        make()
    assert advice in str(caught.value)


@pytest.mark.parametrize("rate", [0, "0", "sin(pi*x)"])
def test_one_rate_belongs_to_the_one_unknown(rate):
    assert pm.Initial(u=0, rate=rate) == pm.Initial(u=0, rate={"u": rate})


def test_every_argument_of_a_problem_is_listed():
    kinds = inspect.signature(pm.Problem).parameters.values()
    named = [parameter.name for parameter in kinds if parameter.kind is parameter.KEYWORD_ONLY]
    refuse(STEADY, "others: ", f"allowed: {', '.join(named)}", others=1)
