"""What the operators, the subscripts and the precedence mean."""

from __future__ import annotations

import numpy as np
import pytest

from pdeml.errors import ExpressionError
from pdeml.expr import Names, parse, parse_constant, parse_equation

PLANE = Names(
    ("x", "y", "t"),
    "t",
    ("u", "p", "q"),
    vectors=(("v", ("p", "q")),),
    parameters=("nu", "u_inf"),
    inputs=(("a", ("x", "y")),),
)
SPACE = Names(("x", "y", "z"), None, ("u", "f", "g", "h"), vectors=(("v", ("f", "g", "h")),))


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("-x^2", "-(x^2)"),
        ("2^-1", "1/2"),
        ("x^y^t", "x^(y^t)"),
        ("x^2*y", "(x^2)*y"),
        ("x**2", "x^2"),
        ("a*x^2/y", "(a*(x*x))/y"),
        ("+x", "x"),
        ("0.1*x", "x/10"),
        ("sqrt(x)", "x^0.5"),
        ("e^x", "exp(x)"),
        ("u_xy", "d(d(u, x), y)"),
        ("u_yx", "u_xy"),
        ("u_xxx", "d(u, x, 3)"),
        ("d(u^2, x)", "2*u*u_x"),
        ("d(u*x, x, 2)", "x*u_xx + 2*u_x"),
        ("d(integral(u, t, 0, t), x)", "integral(u_x, t, 0, t)"),
        ("laplacian(u)", "u_xx + u_yy"),
        ("laplacian(v)", "[p_xx + p_yy, q_xx + q_yy]"),
        ("grad(u)", "[u_x, u_y]"),
        ("div(v)", "p_x + q_y"),
        ("div(a*grad(u))", "a*u_xx + a*u_yy + a_x*u_x + a_y*u_y"),
        ("curl(v)", "q_x - p_y"),
        ("curl(u)", "[u_y, -u_x]"),
        ("div(curl(u))", "0"),
        ("curl(grad(u))", "0"),
        ("dot(v, grad(u))", "p*u_x + q*u_y"),
        ("dot([1, 2], v)", "p + 2*q"),
        ("v_t + 2*v - v/2", "[p_t + 1.5*p, q_t + 1.5*q]"),
        ("-v", "[-p, -q]"),
        ("d(v, x)", "v_x"),
        ("u_inf*u_x", "u_inf*d(u, x)"),
        ("where(0 < x < 1, 1, 2)", "where(0 < x and x < 1, 1, 2)"),
        ("where(not x < 1, 1, 2)", "where(x >= 1, 1, 2)"),
        ("where(1 < 2, x, y)", "x"),
        ("u\n  + x", "u + x"),
        ("max(x, y, 1)", "max(1, max(y, x))"),
    ],
)  # fmt: skip
def test_two_ways_to_say_the_same(text: str, same: str):
    assert parse(text, PLANE) == parse(same, PLANE)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("curl(v)", "[h_y - g_z, f_z - h_x, g_x - f_y]"),
        ("div(curl(v))", "0"),
        ("curl(grad(u))", "[0, 0, 0]"),
        ("div(grad(u))", "laplacian(u)"),
        ("laplacian(laplacian(u))", "u_xxxx + u_yyyy + u_zzzz + 2*u_xxyy + 2*u_xxzz + 2*u_yyzz"),
    ],
)
def test_vector_calculus_in_space(text: str, same: str):
    assert parse(text, SPACE) == parse(same, SPACE)


def test_space_operators_leave_time_alone():
    assert parse("u_t - laplacian(u)", PLANE).has(PLANE.symbol("t"))
    assert parse("grad(t*u)", PLANE) == parse("[t*u_x, t*u_y]", PLANE)


def test_subscripts_split_into_multi_letter_coordinates():
    names = Names(("x1", "x2", "t"), "t", ("u",))
    assert parse("u_x1x2", names) == parse("d(d(u, x1), x2)", names)
    assert parse("u_x1x1t", names) == parse("d(d(u, x1, 2), t)", names)
    with pytest.raises(ExpressionError, match="does not split into the coordinates x1, x2, t"):
        parse("u_x3", names)


def test_ambiguous_subscripts_ask_for_d():
    names = Names(("x", "xx"), None, ("u", "u_x"))
    with pytest.raises(ExpressionError, match=r"several ways.*d\("):
        parse("u_xx", names)
    assert parse("u_x", names) == names.function("u_x")  # a declared name wins
    twice = Names(("x", "x_y", "y"), None, ("u", "u_x"))
    with pytest.raises(ExpressionError, match="several ways"):
        parse("u_x_y", twice)


def test_equations_of_vectors_and_zero():
    equation = parse_equation("v_t = nu*laplacian(v) - grad(u)", PLANE)
    assert len(equation.residuals(PLANE)) == 2
    assert parse_equation("v", PLANE) == parse_equation("v = 0", PLANE) == parse_equation("v = [0, 0]", PLANE)
    assert parse_equation("u_t = u", PLANE).residuals(PLANE) == parse_equation("u_t - u", PLANE).residuals(PLANE)
    assert hash(parse_equation("u = 1", PLANE)) == hash(parse_equation("u=1.0", PLANE))
    assert parse_equation("u = 1", PLANE) != parse_equation("u - 1 = 0", PLANE)
    with pytest.raises(ExpressionError, match="sets a vector"):
        parse_equation("v = 1", PLANE)


def test_normal_derivative_is_carried_out():
    (residual,) = parse_equation("dn(a*u) = 0", PLANE, "boundary").residuals(PLANE)
    (same,) = parse_equation("dot(n, grad(a*u)) = 0", PLANE, "boundary").residuals(PLANE)
    assert residual.expand() == same.expand()
    assert len(parse_equation("dn(v) = u*n", PLANE, "boundary").residuals(PLANE)) == 2


@pytest.mark.parametrize(
    ("source", "value"),
    [("0.01/pi", 0.01 / np.pi), (3, 3.0), ("2*pi", 2 * np.pi), (1e-3, 1e-3), ("-e^2", -np.exp(2)), ("sqrt(2)/3",
    np.sqrt(2) / 3),
     ("1e-300", 1e-300), ("atan2(1, -1)", 3 * np.pi / 4), ("max(1, 2)*(1 + 1e-9)^1000", 2 * (1 + 1e-9) ** 1000),
     (np.float32(0.5), 0.5), (np.int64(7), 7.0), (np.float64(0.1), 0.1), ("9007199254740993", 9007199254740992.0)],
)  # fmt: skip
def test_constants(source, value: float):
    assert parse_constant(source) == pytest.approx(value, rel=1e-15)
    assert type(parse_constant(source)) is float
