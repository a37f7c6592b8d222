"""`--set PATH=VALUE` changes a spec and names itself when it is wrong."""

from __future__ import annotations

import pytest

from pdeml.errors import InputError
from pdeml.spec import SpecError, apply_overrides, dump_spec, parse_spec, starter

BASE = parse_spec(starter("heat"), "heat.yaml")


def test_values_are_yaml():
    changed = apply_overrides(
        BASE,
        [
            "solver.width=64",
            "solver.layers=[64, 64]",
            "solver.rate=1e-3",
            "problem.parameters.alpha=0.02/pi",
            "problem.conditions[1].value.u=x*t",
            "problem.equations[0]=u_t = alpha*u_xx + 1",
            "export.grid.x=7",
            "device=cpu",
            "reference={named: heat}",
        ],
    ).spec
    assert changed.solver.options == {"width": 64, "layers": [64, 64], "rate": 1e-3}
    assert changed.problem.parameters["alpha"].value == "0.02/pi"
    assert changed.problem.conditions[1].value == {"u": "x*t"}
    assert changed.problem.equations[0].equation == "u_t = alpha*u_xx + 1"
    assert changed.export.grid == {"x": 7, "t": 101}
    assert (changed.device, changed.reference.named) == ("cpu", "heat")


def test_the_resolved_spec_can_be_written():
    changed = apply_overrides(BASE, ["solver.width=64"])
    assert parse_spec(dump_spec(changed.spec)).spec == changed.spec
    assert changed.spec != BASE.spec
    assert BASE.spec.solver.options == {}


def test_nothing_set_changes_nothing():
    assert apply_overrides(BASE, []).spec == BASE.spec


def test_missing_sections_are_made():
    document = parse_spec("data: a.h5\n")
    assert apply_overrides(document, ["solver.kind=fno", "solver.modes=8"]).spec.solver.options == {"modes": 8}


def test_a_short_solver_takes_options():
    document = parse_spec("data: a.h5\nsolver: fno\n")
    assert apply_overrides(document, ["solver.modes=8"]).spec.solver.options == {"modes": 8}


@pytest.mark.parametrize(
    ("override", "phrases"),
    [
        ("solvr.width=64", ["solvr: 'solvr' is not a key", "did you mean 'solver'?"]),
        ("problem.paramters.alpha=1", ["problem.paramters", "did you mean 'parameters'?"]),
        ("problem.parameters.alpa=1", ["'alpa' is not one of problem.parameters", "did you mean 'alpha'?"]),
        ("seed=abc", ["--set seed=abc: must be a whole number", "'abc'"]),
        ("seed=", ["got nothing"]),
        ("seed", ["needs PATH=VALUE"]),
        ("=3", ["is not a path"]),
        ("a..b=3", ["is not a path"]),
        ("problem.conditions[9].weight=3", ["has 2 entries"]),
        ("problem.conditions[0]x=3", ["is not a path"]),
        ("problem.parameters[0]=3", ["is a mapping here, not a list"]),
        ("problem.time.x=3", ["problem.time is 't' here", "set it as a whole"]),
        ("problem.conditions[1].on=boundry", ["did you mean 'boundary'?"]),
        ("export.grid.x=-1", ["at least 1"]),
        ("solver.a=[1", ["not closed"]),
        ("solver.a=!!python/name:os.system x", ["not allowed"]),
        ("solver.a={b: min(x, 1)}", ["must be quoted"]),
        ("solver.a=#", ["has no value"]),
        ("data={file: a.h5, noise: -1}", ["data.noise: must not be negative"]),
    ],
)
def test_a_wrong_override_is_named(override: str, phrases: list[str]):
    with pytest.raises(SpecError) as caught:
        apply_overrides(BASE, [override])
    text = str(caught.value)
    assert text.startswith(f"--set {override}: ")
    assert all(phrase in text for phrase in phrases), text
    assert "heat.yaml" not in text


def test_faults_of_the_solver_name_the_override():
    document = apply_overrides(BASE, ["solver.widht=64"])
    with pytest.raises(SpecError) as caught, document.errors("solver"):
        raise InputError("is not an option of pinn; did you mean 'width'?", ("widht",))
    assert str(caught.value) == "--set solver.widht=64: is not an option of pinn; did you mean 'width'?"


def test_faults_of_the_file_still_name_the_file():
    document = apply_overrides(BASE, ["solver.width=64"])
    with pytest.raises(SpecError, match=r"heat\.yaml:\d+: solver\.kind: "), document.errors("solver"):
        raise InputError("does not exist", ("kind",))
