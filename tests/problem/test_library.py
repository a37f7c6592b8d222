"""The shipped problems: complete specs, whose exact solutions solve them."""

import pytest
import sympy

import pdeml as pm
from pdeml.errors import InputError
from pdeml.expr import to_text
from pdeml.problem import library, read_exact, residual_of
from pdeml.spec import load_spec

EXACT = [name for name in library.names() if load_spec(library.path(name)).spec.reference.exact]


def test_names():
    assert {"advection", "burgers", "heat", "helmholtz", "poisson", "wave"} <= set(library.names())


@pytest.mark.parametrize(("name", "line"), library.entries())
def test_specs_are_complete(name, line):
    spec = load_spec(library.path(name)).spec
    assert spec.name == name
    assert spec.solver.kind == "pinn"
    assert set(spec.export.grid) == set(library.load(name).names.coordinates)
    assert spec.reference is not None
    assert 10 < len(line) < 100


@pytest.mark.parametrize("name", EXACT)
def test_the_exact_solution_solves_the_equations(name):
    exact = load_spec(library.path(name)).spec.reference.exact
    for residual in residual_of(library.load(name), exact):
        assert sympy.simplify(residual) == 0


@pytest.mark.parametrize("name", EXACT)
def test_the_exact_solution_fulfils_the_conditions(name):
    problem = library.load(name)
    formulas = read_exact(problem.names, load_spec(library.path(name)).spec.reference.exact)
    made = problem.manufactured({key: to_text(value, problem.names) for key, value in formulas.items()})
    symbols = {
        problem.names.symbol(p.name if hasattr(p, "name") else p): v for p, v in problem.parameter_values.items()
    }
    for given, exact in zip(problem.constraints, made.constraints, strict=True):
        for piece in given.region.pieces or (None,):
            region = problem.domain.region(f"boundary.{piece}") if piece else given.region
            fixed = {problem.names.symbol(axis): sympy.nsimplify(value) for axis, value in region.fixed.items()}
            whole = {symbol: sympy.nsimplify(value) for symbol, value in symbols.items()}
            assert sympy.simplify((given.value - exact.value).subs({**fixed, **whole})) == 0


def test_periodic_solutions_are_periodic():
    problem = library.load("advection")
    formula = read_exact(problem.names, load_spec(library.path("advection")).spec.reference.exact)["u"]
    x = problem.names.symbol("x")
    assert sympy.simplify(formula - formula.subs(x, x + 2 * sympy.pi)) == 0
    assert problem.coordinates["x"].upper == pytest.approx(2 * float(sympy.pi))


def test_a_name_is_read_like_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert pm.Problem.from_yaml("heat") == library.load("heat")
    (tmp_path / "heat").write_text(library.path("wave").read_text(encoding="utf-8"), encoding="utf-8")
    assert pm.Problem.from_yaml("heat") == library.load("wave")


def test_an_unknown_name_gets_the_nearest_one():
    with pytest.raises(InputError, match="did you mean 'burgers'"):
        library.load("burger")
