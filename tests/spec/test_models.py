"""A right spec is read into the values that stand in it, whatever short form it uses."""

from __future__ import annotations

from pathlib import Path

import pydantic
import pytest

from pdeml.errors import InputError
from pdeml.spec import Spec, make_spec, parse_spec

EXAMPLES = {path.stem: path.read_text() for path in (Path(__file__).parent / "examples").glob("*.yaml")}
BURGERS, DARCY, CYLINDER = EXAMPLES["burgers"], EXAMPLES["darcy"], EXAMPLES["cylinder"]


def test_the_first_example_of_the_contract():
    spec = parse_spec(BURGERS).spec
    problem = spec.problem
    assert problem is not None
    assert (spec.name, spec.seed) == ("burgers", 0)
    assert {name: entry.range for name, entry in problem.coordinates.items()} == {"x": (-1, 1), "t": (0, 1)}
    assert problem.time == "t"
    assert list(problem.unknowns) == ["u"]
    assert problem.parameters["nu"].value == "0.01/pi"
    assert [entry.equation for entry in problem.equations] == ["u_t + u*u_x = nu*u_xx"]
    assert [(entry.on, entry.kind) for entry in problem.conditions] == [("initial", "value"), ("boundary", "value")]
    assert problem.conditions[0].value == {"u": "-sin(pi*x)"}
    assert (spec.reference.named, spec.reference.kind) == ("cole-hopf", "named")
    assert (spec.solver.kind, spec.solver.options) == ("pinn", {})
    assert spec.export.grid == {"x": 256, "t": 101}


def test_a_recipe():
    spec = parse_spec(DARCY).spec
    field = spec.problem.inputs["a"]
    assert (field.over, field.field, field.map) == (("x", "y"), "grf", "where(g >= 0, 12, 3)")
    assert spec.reference.solver == "fem"
    assert spec.reference.grid == {"x": 421, "y": 421}
    assert spec.generate.samples == 1200
    assert spec.generate.split.train == 1000
    assert spec.solver is None


def test_every_long_form():
    spec = parse_spec(CYLINDER).spec
    problem = spec.problem
    assert problem.coordinates is None
    assert problem.domain.time["t"].range == (0, 1)
    assert problem.domain.space["difference"][1] == {"disk": {"center": [0.2, 0.2], "radius": 0.05, "name": "cylinder"}}
    assert problem.unknowns["psi"].complex
    assert (problem.unknowns["p"].scale, problem.unknowns["p"].unit) == (2, "Pa")
    assert problem.vectors == {"v": ("p", "q")}
    assert (problem.parameters["nu"].learn, problem.parameters["nu"].bounds) == (0.1, (0, 1))
    assert problem.parameters["k"].range == (0.01, 0.1)
    assert problem.parameters["mu"].eigen == "2*pi"
    assert problem.equations[0].weight == 2
    assert [entry.kind for entry in problem.conditions] == ["flux", "equation", "rate", "periodic"]
    assert problem.conditions[2].on == {"x": 0, "y": "pi/10", "t": 0}
    assert [entry.noise for entry in spec.data] == ["1%", 0.01]
    assert (spec.solver.tolerance, spec.solver.ensemble) == (1e-3, 4)
    assert spec.solver.options == {"width": 64, "layers": [64, 64], "nested": {"a": {"b": None, "c": True}}}


def test_short_and_long_forms_are_equal():
    short = """
problem:
  coordinates: {x: [0, 1]}
  unknowns: u v
  parameters: {k: 2}
  equations: u_x = k
  conditions: {on: boundary, value: {u: 0}}
solver: pinn
"""
    long = """
problem:
  coordinates: {x: {range: [0, 1]}}
  unknowns:
    u: {}
    v:
  parameters: {k: {value: 2}}
  equations: [{equation: u_x = k}]
  conditions: [{on: boundary, value: {u: 0}}]
solver: {kind: pinn}
"""
    assert parse_spec(short).spec == parse_spec(long).spec


def test_units_is_another_spelling_of_unit():
    head = "problem: {coordinates: {x: {range: [0, 1], %s: m}}, unknowns: u, equations: u_x, conditions: {periodic: x}}"
    assert parse_spec(head % "unit").spec == parse_spec(head % "units").spec


def test_a_list_of_formulas_is_a_vector():
    spec = make_spec(
        {
            "problem": {
                "coordinates": {"x": (0, 1)},
                "unknowns": ["p", "q"],
                "vectors": {"v": ["p", "q"]},
                "equations": ["p_x = q", "q_x = p"],
                "conditions": [{"on": "boundary", "value": {"v": ["min(x, 1)", 0]}}],
            }
        }
    )
    assert spec.problem.conditions[0].value == {"v": "[min(x, 1), 0]"}


def test_a_block_text_is_one_line_of_formula():
    text = BURGERS.replace("- u_t + u*u_x = nu*u_xx", "- |\n      u_t + u*u_x\n        = nu*u_xx")
    assert parse_spec(text).spec == parse_spec(BURGERS).spec


def test_yaml_1_2_words_and_numbers():
    options = parse_spec(
        "data: a.h5\nsolver: {kind: on, a: yes, b: 1e-3, c: 0o17, d: 0x1F, e: 1_000, f: 2001-01-01, g: .5, h: TRUE,"
        " i: ~, j: '1', k: 12:30:00, l: 1., m: +3}"
    ).spec.solver
    assert options.kind == "on"
    assert options.options == {
        "a": "yes",
        "b": 1e-3,
        "c": 15,
        "d": 31,
        "e": "1_000",
        "f": "2001-01-01",
        "g": 0.5,
        "h": True,
        "i": None,
        "j": "1",
        "k": "12:30:00",
        "l": 1.0,
        "m": 3,
    }


def test_aliases_are_allowed_within_bounds():
    text = BURGERS.replace("{kind: pinn}", "{kind: pinn, a: &a [1, 2], b: *a}")
    assert parse_spec(text).spec.solver.options == {"a": [1, 2], "b": [1, 2]}


def test_arrays_are_chosen_by_name_alone_and_recipes_stand_for_files():
    entry = parse_spec("data: {recipe: burgers, samples: 10, inputs: u0, outputs: [u, v], periodic: [x]}").spec.data[0]
    assert (entry.file, entry.recipe, entry.samples, entry.periodic) == (None, "burgers", 10, ("x",))
    assert (entry.inputs, entry.outputs) == ({"u0": "u0"}, {"u": "u", "v": "v"})
    assert parse_spec("data: {file: a.h5, outputs: {u: u(t=last)}}").spec.data[0].outputs == {"u": "u(t=last)"}


def test_data_alone_is_a_spec():
    spec = parse_spec(
        "data: {file: darcy.h5, train: 1000, validation: 0.1, test: other.h5, inputs: {a: x}, outputs: {u: y},"
        " coordinates: {x: [0, 1], y: grid_y}}\nsolver: fno\n"
    ).spec
    entry = spec.data[0]
    assert (entry.train, entry.validation, entry.test) == (1000, 0.1, "other.h5")
    assert entry.coordinates == {"x": (0, 1), "y": "grid_y"}
    assert spec.problem is None


def test_a_spec_cannot_be_changed():
    spec = parse_spec(BURGERS).spec
    with pytest.raises(pydantic.ValidationError):
        spec.seed = 1


def test_make_spec_names_the_path():
    with pytest.raises(InputError) as caught:
        make_spec({"problem": {"coordinates": {"x": (0, 1)}, "unknowns": "u", "equations": [3]}})
    assert caught.value.path == ("problem", "equations", 0, "equation")


def test_numpy_like_numbers_become_plain():
    class Half(float):
        pass

    spec = make_spec({"data": "a.h5", "solver": {"kind": "gp", "tolerance": Half(0.5)}})
    assert type(spec.solver.tolerance) is float
    assert isinstance(spec, Spec)
