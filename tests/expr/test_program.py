"""Programs give the numbers that plain numpy gives, share their work, and broadcast."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from hypothesis import HealthCheck, assume, given, settings
from scipy import special

from pdeml.errors import ExpressionError
from pdeml.expr import BINARY, NUMPY, UNARY, Program, compile_program, evaluate, parse, parse_condition

from .strategies import NAMES, known_formulas

RNG = np.random.default_rng(3)
X, Y, T = RNG.uniform(-2, 2, (3, 50))
VALUES = {"x": X, "y": Y, "t": T, "nu": 0.3, "u_inf": 1.7, "lambda": -0.4, "a": X * Y + 2.0}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x^2 - 3*x*y/(1 + t^2)", X**2 - 3 * X * Y / (1 + T**2)),
        ("-x^2", -(X**2)),
        ("2^-1*x", X / 2),
        ("x^7 + x^-3", X**7 + X**-3.0),
        ("(x^2 + 1)^1.5 + (x^2 + 1)^-0.5", (X**2 + 1) ** 1.5 + (X**2 + 1) ** -0.5),
        ("(x^2 + 1)^y + 2^x", (X**2 + 1) ** Y + 2**X),
        ("sin(x) + cos(y)*tan(t)", np.sin(X) + np.cos(Y) * np.tan(T)),
        ("asin(x/2) + acos(y/2) + atan(t)", np.arcsin(X / 2) + np.arccos(Y / 2) + np.arctan(T)),
        ("atan2(x, y)", np.arctan2(X, Y)),
        ("sinh(x) - cosh(y) + tanh(t)", np.sinh(X) - np.cosh(Y) + np.tanh(T)),
        ("exp(-x)*log(y^2 + 1)*sqrt(t^2)", np.exp(-X) * np.log(Y**2 + 1) * np.abs(T)),
        ("abs(x) + sign(y) + heaviside(t)", np.abs(X) + np.sign(Y) + np.heaviside(T, 0.5)),
        ("min(x, y, 0.5) - max(x, t)", np.minimum(np.minimum(X, Y), 0.5) - np.maximum(X, T)),
        ("erf(x)", special.erf(X)),
        ("where(x < y and not (t >= 0 or x > 1), x, y)", np.where((X < Y) & ~((T >= 0) | (X > 1)), X, Y)),
        ("where(-1 < x <= 1, log(x^2), 7)", np.where((X > -1) & (X <= 1), np.log(X**2), 7)),
        ("where(x > 0, sqrt(x), 0)", np.where(X > 0, np.sqrt(np.abs(X)), 0)),
        ("where(x == x, 1, 2) + where(x != 0, 0, 1)", np.ones(50)),
        ("integral(sin(3*x), x, 0, y)", (1 - np.cos(3 * Y)) / 3),
        ("integral(integral(x*y*t, x, 0, 1), y, 0, t)", T**3 / 4),
        ("a*nu - u_inf", VALUES["a"] * 0.3 - 1.7),
        ("lambda", np.full(50, -0.4)),
        ("2*pi + e", np.full(50, 2 * np.pi + np.e)),
        ("0", np.zeros(50)),
    ],
)
def test_evaluate_agrees_with_numpy(text: str, expected: np.ndarray):
    result = evaluate(parse(text, NAMES), VALUES)
    assert result.shape == (50,)
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, expected, rtol=1e-13, atol=1e-14)


def test_conditions_evaluate_to_masks():
    mask = evaluate(parse_condition("x < 0.5 and y > 0", NAMES), {"x": X, "y": Y})
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, (X < 0.5) & (Y > 0))
    assert evaluate(parse_condition("1 < 2", NAMES), {"x": X}).all()


def test_broadcasting_to_the_shape_of_all_values():
    x, t = np.linspace(0, 1, 4)[:, None], np.linspace(0, 1, 3)[None, :]
    assert evaluate(parse("x", NAMES), {"x": x, "t": t}).shape == (4, 3)
    assert evaluate(parse("3", NAMES), {"x": x, "t": t}).shape == (4, 3)
    assert evaluate(parse("x*t", NAMES), {"x": x, "t": 2}).shape == (4, 1)
    assert evaluate(parse("x + 1", NAMES), {"x": 1}) == 2
    result = evaluate(parse("x", NAMES), {"x": x})
    result[:] = 9  # the result is the caller's own
    assert x.max() == 1


def test_missing_values_and_derivatives_are_refused():
    with pytest.raises(ExpressionError, match="did you mean 'nu'"):
        evaluate(sp.Symbol("nuu"), {"nu": 1.0})
    with pytest.raises(ExpressionError, match="Derivative"):
        evaluate(parse("u_x", NAMES), {"u": 1.0})


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(known_formulas)
def test_programs_agree_with_high_precision(text: str):
    try:
        expression = parse(text, NAMES)
    except ExpressionError:
        assume(False)
    assume(not expression.has(sp.Integral))
    point = {"x": 0.75, "y": -0.5, "t": 1.25, "nu": 0.375, "u_inf": 1.5, "lambda": -0.25, "a": 2.5}
    symbols = {node: sp.Rational(point[node.name if node.is_Symbol else "a"]) for node in
               expression.free_symbols | expression.atoms(sp.core.function.AppliedUndef)}  # fmt: skip
    exact = sp.sympify(expression.xreplace(symbols)).evalf(30)
    assume(exact.is_Float or exact.is_Integer)
    assume(1e-200 < abs(exact) < 1e200 or exact == 0)
    got = float(evaluate(expression, point))
    assume(np.isfinite(got))
    scale = sum(abs(float(sp.N(term.xreplace(symbols), 20))) for term in sp.Add.make_args(expression))
    assert got == pytest.approx(float(exact), rel=1e-6, abs=1e-6 * scale)


def test_common_work_is_done_once():
    x, y = sp.symbols("x y", real=True)
    shared = sp.sin(x * y) ** 2
    program = compile_program([shared + x, sp.exp(shared), shared], ["x", "y"])
    ops = [op for op, _, _ in program.code]
    assert ops.count("sin") == 1
    assert ops.count("mul") == 2
    assert len(program.code) == 5


def test_powers_are_repeated_squarings():
    (x,) = sp.symbols("x,", real=True)
    program = compile_program([x**16, x**8], ["x"])
    assert [op for op, _, _ in program.code] == ["mul"] * 4
    assert [op for op, _, _ in compile_program([x**-2], ["x"]).code] == ["mul", "recip"]


def test_constants_are_folded_and_dead_code_removed():
    x = sp.Symbol("x", real=True)
    program = compile_program([sp.sin(sp.pi / 7) * sp.sqrt(2) * x + sp.exp(2) - sp.log(3)], ["y", "x"])
    assert len(program.code) == 2
    assert len(program.constants) == 2
    assert program.inputs == ("y", "x")
    assert compile_program([sp.Integer(3)], []).run([]) == [3.0]


def test_program_is_plain_data():
    x, y = sp.symbols("x y", real=True)
    program = compile_program([sp.Piecewise((x, x < y), (y**2, True)), sp.Max(x, y)], ["x", "y"])
    assert program == Program(program.inputs, program.constants, program.code, program.outputs)
    hash(program)
    for position, (op, i, j) in enumerate(program.code, start=len(program.inputs) + len(program.constants)):
        assert op in UNARY + BINARY
        assert 0 <= i < position
        assert (j == -1) == (op in UNARY)
    assert set(NUMPY) == set(UNARY + BINARY)
    with pytest.raises(ValueError, match="takes 2 values"):
        program.run([1.0])


@pytest.mark.parametrize(
    "text",
    [
        "x^3*sin(y*x) + abs(x)",
        "max(x, y)*x",
        "where(x < y, x^2, exp(x))",
        "erf(x)*atan2(x, y + 5)",
        "min(x, y)^2/(3 + x)",
    ],
)
def test_compiled_derivatives_agree_with_differences(text: str):
    expression = parse(text, NAMES)
    slope = expression.diff(NAMES.symbol("x"))
    step = 1e-6
    values = {"x": X, "y": Y}
    numeric = (evaluate(expression, {**values, "x": X + step}) - evaluate(expression, {**values, "x": X - step})) / (
        2 * step
    )
    np.testing.assert_allclose(evaluate(slope, values), numeric, rtol=1e-5, atol=1e-6)
