"""Recipes make the samples they describe, whoever makes them."""

from __future__ import annotations

import multiprocessing
import os
import time

import numpy as np
import pytest

from pdeml.errors import InputError, RunError
from pdeml.reference import methods
from pdeml.reference.generation import Recipe, run_batches

from .generating import DECAY, HOLE, PRETENDED, Pretender

BURGERS = """\
name: burgers
problem:
  coordinates: {x: [0, 1], t: [0, 0.1]}
  time: t
  unknowns: [u]
  inputs: {a: {field: grf, over: [x], basis: periodic, tau: 3, alpha: 3, modes: 9}}
  equations: u_t + u*u_x = 0.05*u_xx
  conditions:
    - {on: initial, value: {u: a}}
    - {periodic: [x]}
reference: {solver: etdrk4, grid: {x: 32, t: 11}}
generate: {samples: 5, batch: 2, output: {x: 16, t: 3}}
"""


@pytest.fixture
def pretender(monkeypatch: pytest.MonkeyPatch) -> type[Pretender]:
    monkeypatch.setitem(methods.METHODS, "pretender", ("", ""))
    original = methods._class
    monkeypatch.setattr(methods, "_class", lambda kind: Pretender if kind == "pretender" else original(kind))
    monkeypatch.setattr(Pretender, "batches", [])
    return Pretender


def made(text: str, executor: str = "serial", workers: int = 1, first: int = 0) -> dict[int, dict[str, np.ndarray]]:
    found = {}
    for start, samples in run_batches(text, Recipe.parse(text).batches(first), executor, workers):
        found.update({start + k: arrays for k, (arrays, _) in enumerate(samples)})
    assert list(found) == sorted(found)
    return found


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(
        one[k].keys() == other[k].keys() and all(one[k][n].tobytes() == other[k][n].tobytes() for n in one[k])
        for k in one
    )


def test_formulas_are_evaluated_with_the_drawn_functions_and_parameters():
    recipe = Recipe.parse(DECAY)
    axes = recipe.layout.axes(recipe.varying.middle)
    t, y, x = (axes[name].reshape(shape) for name, shape in (("t", (-1, 1, 1)), ("y", (-1, 1)), ("x", (-1,))))
    for index, arrays in made(DECAY).items():
        case = recipe.case(index)
        a = case.inputs["a"].on_grid([axes["x"], axes["y"]]).T
        f = case.inputs["f"].on_grid([axes["t"]])
        assert np.allclose(arrays["a"], a, rtol=1e-6)
        assert np.allclose(arrays["f"], f, rtol=0, atol=1e-6)
        assert arrays["nu"] == np.float32(case.parameters["nu"])
        expected = a * np.exp(-case.parameters["nu"] * t) + f.reshape(-1, 1, 1) * x + 0 * y
        assert arrays["u"].shape == (5, 7, 9)
        assert np.allclose(arrays["u"], expected, rtol=1e-5, atol=1e-6)


def test_the_layout_says_what_the_arrays_are():
    schema = Recipe.parse(DECAY).schema
    assert {name: (info.role, info.dims) for name, info in schema.arrays.items()} == {
        "a": ("input", ("y", "x")),
        "f": ("input", ("t",)),
        "nu": ("parameter", ()),
        "u": ("output", ("t", "y", "x")),
    }
    assert {info.dtype.name for info in schema.arrays.values()} == {"float32"}
    assert schema.coordinates["y"].values.tolist() == pytest.approx(np.linspace(0, 2, 7).tolist())


def test_periodic_axes_leave_out_the_end_and_times_begin_where_asked(pretender):
    recipe = Recipe.parse(PRETENDED.replace("batch: 4", "output: {x: 8, t: 3}, from: 1"))
    axes = recipe.layout.axes(recipe.varying.middle)
    assert np.allclose(axes["x"], np.arange(8) / 8)
    assert np.allclose(axes["t"], [1, 1.5, 2])
    last = Recipe.parse(PRETENDED.replace("batch: 4", "output: {x: 8, t: 1}"))
    assert last.layout.axes(last.varying.middle)["t"].tolist() == [2.0]


def test_batches_are_the_same_wherever_one_begins(pretender):
    recipe = Recipe.parse(PRETENDED)
    assert list(recipe.batches()) == [(0, 4), (4, 8), (8, 9)]
    assert list(recipe.batches(6)) == [(4, 8), (8, 9)]
    whole = made(PRETENDED)
    assert pretender.batches == [4, 4, 1]
    late = made(PRETENDED, first=6)
    assert same(late, {k: whole[k] for k in late})


def test_small_problems_are_solved_together_by_default(pretender):
    assert Recipe.parse(PRETENDED.replace(", batch: 4", "").replace("samples: 9", "samples: 99")).batch == 32
    large = PRETENDED.replace("{solver: pretender}", "{solver: pretender, grid: {x: 100000}}").replace(", batch: 4", "")
    assert Recipe.parse(large).batch == 1


def test_facts_about_the_solution_come_along(pretender):
    for _, samples in run_batches(PRETENDED, Recipe.parse(PRETENDED).batches(), "serial"):
        assert all(facts == {"relative_residual": 1e-9, "steps": 3.0} for _, facts in samples)


def test_a_sample_that_diverges_is_named(pretender):
    numbers = [Recipe.parse(PRETENDED).case(k).parameters["c"] for k in range(9)]
    worst = int(np.argmax(numbers[:8]))
    limit = float(np.sort(numbers[:8])[-2:].mean())
    text = PRETENDED.replace("solver: pretender", f"solver: pretender, diverges_above: {limit}")
    with pytest.raises(RunError, match=f"sample {worst} cannot be solved: the numbers became infinite"):
        made(text)


def test_two_processes_make_the_arrays_of_one():
    assert same(made(DECAY, "processes", 2), made(DECAY))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_any_number_of_processes_makes_equal_arrays(workers: int):
    assert same(made(BURGERS, "processes", workers), made(BURGERS))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of distributed, about its own event loop and ports
def test_a_dask_cluster_makes_equal_arrays():
    pytest.importorskip("distributed")
    assert same(made(BURGERS, "dask", 2), made(BURGERS))


def test_processes_end_when_the_generator_is_closed():
    others = set(multiprocessing.active_children())
    batches = run_batches(DECAY, Recipe.parse(DECAY).batches(), "processes", 2)
    next(batches)
    assert set(multiprocessing.active_children()) - others
    batches.close()
    assert not set(multiprocessing.active_children()) - others


def test_a_worker_that_dies_is_told(tmp_path):
    others = set(multiprocessing.active_children())
    batches = run_batches(DECAY, [(0, 1)] * 400, "processes", 1)
    next(batches)
    (child,) = set(multiprocessing.active_children()) - others
    os.kill(child.pid, 9)
    began = time.monotonic()
    with pytest.raises(RunError, match="a worker died"):
        list(batches)
    assert time.monotonic() - began < 30


def test_a_sample_that_cannot_be_drawn_is_named_by_the_worker():
    r = Recipe.parse(HOLE).case(2).parameters["r"]
    impossible = HOLE.replace("radius: r", f"radius: 0.05 + 1e-9/abs(r - {r!r})")
    found = []
    with pytest.raises(RunError, match=r"sample 2 cannot be drawn: "):
        found.extend(start for start, _ in run_batches(impossible, Recipe.parse(impossible).batches(), "processes", 1))
    assert found == [0, 1]


def test_a_varying_domain_has_a_mask_and_fractions():
    recipe = Recipe.parse(HOLE)
    assert {name: info.role for name, info in recipe.schema.arrays.items()} == {
        "mask": "input",
        "r": "parameter",
        "x_low": "parameter",
        "x_high": "parameter",
        "u": "output",
    }
    assert recipe.schema.coordinates["x"].values.tolist() == np.linspace(0, 1, 33).tolist()
    for index, arrays in made(HOLE).items():
        r = recipe.case(index).parameters["r"]
        assert arrays["r"] == r
        assert (arrays["x_low"], arrays["x_high"]) == (0, 2 * r + 1)
        x, y = np.meshgrid(np.linspace(0, 2 * r + 1, 33), np.linspace(0, 1, 17))
        inside = np.hypot(x - 0.5, y - 0.5) >= r - 1e-12
        assert np.array_equal(arrays["mask"], inside.astype(np.int8))
        assert np.array_equal(np.isnan(arrays["u"]), ~inside)
        assert np.allclose(arrays["u"][inside], (x**2 + y**2)[inside], rtol=1e-14)


def test_a_fixed_geometry_keeps_its_coordinates():
    text = HOLE.replace("2*r + w", "2*w").replace("radius: r", "radius: 0.2").replace("= 4", "= 4 + 0*r")
    recipe = Recipe.parse(text)
    assert not recipe.varying.varies
    assert set(recipe.schema.arrays) == {"mask", "r", "u"}
    assert recipe.schema.coordinates["x"].values[-1] == 2


def test_only_the_unknowns_that_are_asked_for_are_written():
    text = DECAY.replace("unknowns: [u]", "unknowns: [u, v]").replace(
        "  equations: u_t = nu*laplacian(u) + f\n",
        "  equations:\n    - u_t = nu*laplacian(u) + f\n    - v = u\n",
    )
    text = text.replace('f*x"}', 'f*x", v: "0"}')
    assert set(made(text)[0]) == {"a", "f", "nu", "u", "v"}
    assert set(made(text.replace("batch: 3", "batch: 3, unknowns: [v]"))[0]) == {"a", "f", "nu", "v"}


def test_complex_unknowns_are_two_arrays():
    text = """\
name: wave
problem:
  coordinates: {x: [0, 1], t: [0, 1]}
  time: t
  unknowns: {psi: complex}
  parameters: {k: {range: [1, 2]}}
  equations: i*psi_t = -psi_xx
  conditions: [{on: initial, value: {psi: exp(i*k*x)}}]
reference: {exact: {psi: exp(i*(k*x - k**2*t))}}
generate: {samples: 2, output: {x: 5, t: 3}, precision: float64}
"""
    for index, arrays in made(text).items():
        k, x, t = Recipe.parse(text).case(index).parameters["k"], np.linspace(0, 1, 5), np.linspace(0, 1, 3)[:, None]
        assert np.allclose(arrays["psi_real"] + 1j * arrays["psi_imag"], np.exp(1j * (k * x - k**2 * t)), rtol=1e-13)


@pytest.mark.parametrize(
    "old, new, text",
    [
        ("samples: 10, ", "samples: 10, start: 0.5, ", None),
        ("samples: 10, ", "samples: 10, start: 2, ", "generate.start: must lie in the time from 0 to 1"),
        ("t: 5}", "t: 5, z: 3}", "generate.output.z: 'z' is not a coordinate"),
        ("{x: 9,", "{x: 1,", "generate.output.x: needs at least 2 points"),
        ("{x: 9, ", "{", "generate.output: say how many points the data set has along 'x'"),
        ("{x: 9,", "{x: 90000000,", "generate.output: one sample of 90000000 x 7 x 5 points takes"),
        ("field: grf", "field: grf, kernal: rbf", "problem.inputs.a.kernal: 'kernal' is not an option"),
        ("over: [x, y]", "over: [x, y, t]", None),
        ("exact: {u:", "exact: {v:", "reference.exact.v"),
        ("batch: 3", "unknowns: [v]", "generate.unknowns[0]: 'v' is not an unknown"),
        ("batch: 3", "codecs: {u: {kind: zip}}", "generate.codecs.u: "),
        ("batch: 3", "codecs: {q: {kind: bfloat16}}", "codecs: 'q' is not an array"),
        ("batch: 3", "gzip: 12", "generate.gzip: a level of compression is at most 9"),
        ("batch: 3", "scheduler: x", "generate.scheduler: goes with 'executor: dask'"),
        ("{exact: {", "{solver: fem, exactly: {", "exactly"),
    ],
)
def test_wrong_recipes_are_refused_before_anything_is_computed(old: str, new: str, text: str | None):
    recipe = DECAY.replace(old, new)
    assert recipe != DECAY
    if text is None:
        Recipe.parse(recipe)
        return
    with pytest.raises(InputError) as caught:
        Recipe.parse(recipe)
    assert text in str(caught.value)


def test_a_field_file_makes_no_samples():
    with pytest.raises(InputError, match="a field file is one solution"):
        Recipe.parse(DECAY.replace('{exact: {u: "a*exp(-nu*t) + f*x"}}', "{file: ref.h5}"))
    with pytest.raises(InputError, match="it says how samples are solved"):
        Recipe.parse(DECAY.replace('reference: {exact: {u: "a*exp(-nu*t) + f*x"}}\n', ""))
