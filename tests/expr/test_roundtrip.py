"""Text -> SymPy -> text -> SymPy is the identity, and SymPy users get what text users get."""

from __future__ import annotations

import pytest
import sympy as sp
from hypothesis import HealthCheck, assume, given, settings

from pdeml.errors import ExpressionError
from pdeml.expr import Names, analyse, parse, parse_equation, symbols, to_text

from .strategies import NAMES, complex_formulas, real_formulas

QUICK = settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def _parsed(text: str) -> sp.Expr:
    try:
        return parse(text, NAMES)
    except ExpressionError as error:
        assume("finite" not in str(error) and "division by zero" not in str(error))
        raise


@QUICK
@given(real_formulas)
def test_printed_formulas_parse_to_the_same(text: str):
    expression = _parsed(text)
    assert parse(to_text(expression, NAMES), NAMES) == expression


@QUICK
@given(complex_formulas)
def test_printed_complex_formulas_parse_to_the_same(text: str):
    expression = _parsed(text)
    assert parse(to_text(expression, NAMES), NAMES) == expression


@QUICK
@given(real_formulas)
def test_sympy_input_is_a_fixed_point(text: str):
    expression = _parsed(text)
    assert parse(expression, NAMES) == expression


@pytest.mark.parametrize(
    "text",
    [
        "2*(x + y)*(x - y)", "((x + y)*(x - y))*2", "-(x + y)*(x - y)", "t - (x + y)*(x - y)*3/7", "-x^2", "2^-1",
        "x^y^t",
        "(x^y)^t", "1/(x*y)", "x/(y/t)", "nu*u_xx/2", "1/3/x", "sqrt(x*y)", "1/sqrt(x)", "x^(-1.5)", "(-x)^3",
        "2*pi*(x+1)",
        "e^(2*x)", "e", "i*psi", "-i*psi*(x + 1)", "1e20*x", "1e-300*x", "0.1 + 0.2", "123456789012345678901*x",
        "where(x < 0.5 and (y > 0 or not (t == 1 and x != 2)), 1, where(y < 0, 2, x))", "min(x, y, 3)", "[x, -y]",
        "d(d(u, x), t)", "grad(u)", "v_x", "integral(u*x, t, 0, t)", "d(a, x, 2)", "u_inf*u_x", "0", "-3", "-1/3",
        "2^0.5",
        "im(re(psi)*conj(laplacian(psi)))", "abs(psi)*(psi*abs(psi))", "lambda*u", "heaviside(x)*sign(y)",
        "atan2(y, x)", "psi*conj(psi)",
        "(2*x + 2*y)^2", "(1.000000001)^1000",
        "x*y/(x + y)*2*(x - y)", "exp(-x)*exp(-y)", "(x+1)^1000", "-(2/3)*(u_x + 1)*u",
    ],
)  # fmt: skip
def test_chosen_formulas_round_trip(text: str):
    expression = parse(text, NAMES)
    assert parse(to_text(expression, NAMES), NAMES) == expression


def test_normal_components_round_trip():
    expression = parse("dn(u) + dot(n, grad(u)) + dn(vx*vy)", NAMES, "boundary")
    assert parse(to_text(expression, NAMES), NAMES, "boundary") == expression
    assert parse(expression, NAMES, "boundary") == expression


@pytest.mark.parametrize(
    ("text", "build"),
    [
        ("u_t + u*u_x = nu*u_xx", lambda u, x, t, nu: sp.Eq(u.diff(t) + u * u.diff(x), nu * u.diff(x, 2))),
        ("u_t - 0.1*laplacian(u)", lambda u, x, t, nu: u.diff(t) - 0.1 * u.diff(x, 2)),
        ("d(sin(u*x), x) = exp(-t)", lambda u, x, t, nu: sp.Eq(sp.sin(u * x).diff(x), sp.exp(-t))),
        ("u_xt = u^0.5/3 + 2^-1", lambda u, x, t, nu: sp.Eq(u.diff(x, t), sp.sqrt(u) / 3 + 0.5)),
        ("u = where(x < 0.5, abs(u), max(u, nu))",
         lambda u, x, t, nu: sp.Eq(u, sp.Piecewise((sp.Abs(u), x < 0.5), (sp.Max(u, nu), True)))),
        ("u_t = integral(x*u, x, 0, 1)", lambda u, x, t, nu: sp.Eq(u.diff(t), sp.Integral(x * u, (x, 0, 1)))),
    ],
)  # fmt: skip
def test_strings_and_sympy_give_equal_equations(text, build):
    names = Names(("x", "t"), "t", ("u",), parameters=("nu",))
    x, t, u, nu = symbols("x t", "u", "nu")
    written = parse_equation(text, names)
    assert parse_equation(build(u, x, t, nu), names) == written
    assert parse_equation(str(written), names) == written
    plain_x, plain_t = sp.symbols("x t")  # without assumptions, and the arguments in another order
    plain = build(sp.Function("u")(plain_t, plain_x), plain_x, plain_t, sp.Symbol("nu"))
    assert [analyse(r, names) for r in parse_equation(plain, names).residuals(names)] == [
        analyse(r, names) for r in written.residuals(names)
    ]


def test_vectors_from_sympy_matrices():
    names = Names(("x", "y"), None, ("p", "q"), vectors=(("v", ("p", "q")),))
    x, _, p, q = symbols("x y", "p q")
    assert parse_equation(sp.Matrix([p.diff(x), q]), names) == parse_equation("[p_x, q] = 0", names)
