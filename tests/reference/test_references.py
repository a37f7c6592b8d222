"""References from formulas and files, and what is refused."""

import numpy as np
import pytest
import sympy

import pdeml as pm
from pdeml.errors import InputError
from pdeml.problem import library
from pdeml.reference import Reference, make_reference
from pdeml.spec import load_spec

HEAT = pm.Problem(
    coordinates={"t": (0, 1), "x": (0, 1)},
    time="t",
    unknowns="u",
    parameters={"a": 0.1},
    equations="u_t = a*u_xx",
    conditions=[pm.Initial(u="sin(pi*x)"), pm.Dirichlet(u=0)],
)
RNG_POINTS = np.random.default_rng(0).uniform(0, 1, (50, 2))


def exact(points, a=0.1):
    return np.exp(-(np.pi**2) * a * points[:, 0]) * np.sin(np.pi * points[:, 1])


def field(tmp_path, t, x, function=exact):
    points = np.stack([part.ravel() for part in np.meshgrid(t, x, indexing="ij")], axis=1)
    values = function(points).reshape(len(t), len(x))
    pm.Field(("t", "x"), {"t": t, "x": x}, {"u": values}, time="t").to_hdf5(tmp_path / "ref.h5")
    return make_reference({"file": "ref.h5"}, HEAT, tmp_path)


@pytest.mark.parametrize("name", library.names())
def test_every_shipped_problem_has_a_reference(name):
    problem = library.load(name)
    reference = make_reference(load_spec(library.path(name)).spec.reference, problem)
    assert isinstance(reference, Reference)
    assert reference.unknowns == problem.names.real_unknowns
    assert 0 < reference.floor < 1e-12
    region = problem.domain.region("interior")
    points, _ = region.draw(np.random.default_rng(1).uniform(0, 1, (20, region.dimension)))
    values = reference.evaluate(points)
    assert set(values) == set(reference.unknowns)
    assert all(
        part.shape == (20,) and part.dtype == np.float64 and np.all(np.isfinite(part)) for part in values.values()
    )


def test_formulas_use_coordinates_and_parameters():
    reference = make_reference({"exact": {"u": "exp(-pi**2*a*t)*sin(pi*x)"}}, HEAT)
    np.testing.assert_allclose(reference.evaluate(RNG_POINTS)["u"], exact(RNG_POINTS), rtol=1e-14)
    np.testing.assert_allclose(reference.evaluate(RNG_POINTS, {"a": 0.3})["u"], exact(RNG_POINTS, 0.3), rtol=1e-14)
    assert np.linalg.norm(reference.evaluate(RNG_POINTS)["u"] - exact(RNG_POINTS)) < 10 * reference.floor


def test_a_constant_formula_has_one_value_for_each_point():
    np.testing.assert_array_equal(make_reference({"exact": {"u": 2}}, HEAT).evaluate(RNG_POINTS)["u"], np.full(50, 2.0))


def test_complex_formulas_are_split():
    problem = pm.Problem(
        coordinates={"x": (0, 1)},
        unknowns={"psi": "complex"},
        equations="psi_x = i*psi",
        conditions=pm.Dirichlet(psi="exp(i*x)"),
    )
    values = make_reference({"exact": {"psi": "exp(i*x)"}}, problem).evaluate(np.array([[0.3], [0.7]]))
    np.testing.assert_allclose(values["psi_real"], np.cos([0.3, 0.7]))
    np.testing.assert_allclose(values["psi_imag"], np.sin([0.3, 0.7]))


def test_a_file_is_exact_at_its_own_points(tmp_path):
    t, x = np.linspace(0, 1, 11), np.linspace(0, 1, 17)
    reference = field(tmp_path, t, x)
    points = np.stack([part.ravel() for part in np.meshgrid(t, x, indexing="ij")], axis=1)
    rng = np.random.default_rng(2)
    rng.shuffle(points)
    np.testing.assert_array_equal(reference.evaluate(points)["u"], exact(points))
    assert reference.floor_at(points) == reference.floor == 0
    assert reference.floor_at(RNG_POINTS) == reference.interpolation_floor > 0


@pytest.mark.parametrize(("sizes", "order"), [((9, 17, 33), 4), ((7, 13), 4), ((9, 17), 2)])
def test_interpolation_keeps_its_stated_floor(tmp_path, monkeypatch, sizes, order):
    """The stated floor bounds the error between grid points up to a factor, and falls with the order."""
    monkeypatch.setattr("pdeml.reference.file.MOST_CUBIC", 10**6 if order == 4 else 0)
    floors = []
    for n in sizes:
        reference = field(tmp_path, np.linspace(0, 1, n), np.linspace(0, 1, n))
        values = reference.evaluate(RNG_POINTS)["u"]
        error = np.linalg.norm(values - exact(RNG_POINTS)) / np.linalg.norm(exact(RNG_POINTS))
        floors.append(reference.floor_at(RNG_POINTS))
        assert error < 4 * floors[-1]
    assert np.log2(floors[-2] / floors[-1]) > order - 1


@pytest.mark.parametrize(
    ("sizes", "function"),
    [
        ((9, 2), exact),  # leaves nothing out
        ((4, 9), exact),
        ((9, 9), lambda points: np.sin(9 * np.pi * points[:, 1])),  # not resolved
        ((9, 9), lambda points: np.full(len(points), np.nan)),
    ],
)
def test_a_grid_too_coarse_to_interpolate_serves_at_its_own_points_alone(tmp_path, sizes, function):
    t, x = (np.linspace(0, 1, size) for size in sizes)
    reference = field(tmp_path, t, x, function)
    points = np.stack([part.ravel() for part in np.meshgrid(t, x, indexing="ij")], axis=1)
    np.testing.assert_array_equal(reference.evaluate(points)["u"], function(points))
    assert reference.floor_at(points) == 0
    for method in (reference.evaluate, reference.floor_at):
        with pytest.raises(InputError, match=rf"\(t: {sizes[0]}, x: {sizes[1]}\) is too coarse to interpolate"):
            method(RNG_POINTS)
    assert "own grid points alone" in reference.description


def test_a_file_knows_its_points_within_the_domain(tmp_path):
    reference = field(tmp_path, np.linspace(0, 2, 21), np.linspace(-1, 2, 31))
    points = reference.known_points(1000, np.random.default_rng(0))
    assert points.shape == (11 * 11, 2)
    assert points.min() == 0
    assert points.max() == 1
    assert reference.floor_at(points) == 0
    assert len(np.unique(reference.known_points(50, np.random.default_rng(0)), axis=0)) == 50
    assert make_reference({"exact": {"u": 2}}, HEAT).known_points(50, np.random.default_rng(0)) is None
    beside = field(tmp_path, np.linspace(2, 3, 21), np.linspace(0, 1, 31))
    assert beside.known_points(50, np.random.default_rng(0)) is None


def test_a_grid_with_holes_is_interpolated_linearly(tmp_path):
    grid = np.linspace(0, 1, 11)

    def holed(points):
        return np.where(np.hypot(points[:, 0] - 0.5, points[:, 1] - 0.5) < 0.2, np.nan, points[:, 0] + points[:, 1])

    reference = field(tmp_path, grid, grid, holed)
    assert "linear" in reference.description
    np.testing.assert_allclose(reference.evaluate(np.array([[0.05, 0.07]]))["u"], 0.12)
    assert np.isnan(reference.evaluate(np.array([[0.52, 0.52]]))["u"]).all()


def test_points_outside_a_file_are_refused(tmp_path):
    reference = field(tmp_path, np.linspace(0, 0.5, 9), np.linspace(0, 1, 9))
    with pytest.raises(InputError, match=r"covers t from 0 to 0\.5"):
        reference.evaluate(np.array([[0.7, 0.5]]))


def test_a_file_that_does_not_fit_is_refused(tmp_path):
    grid = np.linspace(0, 1, 5)
    pm.Field(("x",), {"x": grid}, {"u": grid}).to_hdf5(tmp_path / "steady.h5")
    with pytest.raises(InputError, match="a grid over t, x is needed"):
        make_reference({"file": "steady.h5"}, HEAT, tmp_path)
    pm.Field(("t", "x"), {"t": grid, "x": grid}, {"w": np.zeros((5, 5))}, time="t").to_hdf5(tmp_path / "other.h5")
    with pytest.raises(InputError, match="none of the unknowns u"):
        make_reference({"file": "other.h5"}, HEAT, tmp_path)
    with pytest.raises(InputError):
        make_reference({"file": "absent.h5"}, HEAT, tmp_path)


REFUSED = {
    "solver": ({"solver": "etdrk"}, "solver", "did you mean 'etdrk4'"),
    "kind": ({"exakt": {"u": "x"}}, "exakt", "did you mean 'exact'"),
    "two": ({"exact": {"u": "x"}, "named": "cole-hopf"}, "", "exactly one"),
    "name": ({"named": "cole-hop"}, "named", "did you mean 'cole-hopf'"),
    "unknown": ({"exact": {"v": "x"}}, "exact.v", "allowed: u"),
    "formula": ({"exact": {"u": "u_x"}}, "exact.u", "unknown"),
    "nothing": ({"exact": {}}, "exact", "mapping"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    spec, path, words = REFUSED[name]
    with pytest.raises(InputError) as caught:
        make_reference(spec, HEAT)
    assert str(caught.value).startswith(path)
    assert words in str(caught.value)


def test_no_reference():
    assert make_reference(None, HEAT) is None


def test_shapes_and_names_are_checked():
    reference = make_reference({"exact": {"u": "x"}}, HEAT)
    with pytest.raises(InputError, match=r"shape \(N, 2\)"):
        reference.evaluate(np.zeros((3, 1)))
    with pytest.raises(InputError, match="is not a parameter"):
        reference.evaluate(np.zeros((3, 2)), {"b": 1.0})


@pytest.mark.parametrize("name", [name for name in library.names() if name != "burgers"])
def test_the_stated_floor_of_formulas_against_thirty_digits(name):
    problem = library.load(name)
    reference = make_reference(load_spec(library.path(name)).spec.reference, problem)
    region = problem.domain.region("interior")
    points, _ = region.draw(np.random.default_rng(7).uniform(0, 1, (60, region.dimension)))
    ((unknown, formula),) = reference.formulas
    numbers = {problem.names.symbol(key): sympy.Rational(value) for key, value in problem.parameter_values.items()}
    axes = [problem.names.symbol(axis) for axis in problem.names.coordinates]
    exactly = formula.subs(numbers)
    rows = [{axis: sympy.Rational(float(x)) for axis, x in zip(axes, point, strict=True)} for point in points]
    truth = np.array([float(exactly.subs(row).evalf(30)) for row in rows])
    error = np.linalg.norm(reference.evaluate(points)[unknown] - truth) / np.linalg.norm(truth)
    assert error < reference.floor
