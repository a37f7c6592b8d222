"""A short formula never makes SymPy run away: it is refused in one line, or understood, within seconds."""

from __future__ import annotations

import time

import pytest

from pdeml.errors import ExpressionError, InputError
from pdeml.expr import Names, analyse, diff, jet_symbol, parse_equation
from pdeml.expr.budget import derivative_size, expand, size
from pdeml.problem import Problem
from pdeml.reference import named_reference

LINE = Names(("x", "t"), "t", ("u",))
WAVE = Names(("x", "t"), "t", (), ("psi",))
SECONDS = 3.0

HORNER = "u"
for _k in range(50):
    HORNER = f"({HORNER}*(u_x + x) + u + {_k})"
MAXIMA = "+".join("max(" + ", ".join(f"sin({k}*x + u^{j}*{k})" for k in range(1, 17)) + ")" for j in range(1, 20))
NESTED_MAXIMA = "u"
for _k in range(40):
    NESTED_MAXIMA = f"max({NESTED_MAXIMA}, {_k}*x + u*{_k}^2*t, sin({_k}*u + x))"
NESTED_REAL = "psi"
for _k in range(30):
    NESTED_REAL = f"re(psi*{NESTED_REAL})"

RUNAWAY = {
    "factors": (LINE, "u_t = u_xx + " + "*".join(f"(u + {k}*u_x + x)" for k in range(1, 200))),
    "nested-products": (LINE, f"u_t = {HORNER}"),
    "maxima": (LINE, f"u_t = {MAXIMA}"),
    "nested-maxima": (LINE, f"u_t = {NESTED_MAXIMA}"),
    "derivatives": (LINE, "u_t = " + "+".join(f"d((u + {k})*(u_x + {k})*sin(u*x + {k}), x, 4)" for k in range(200))),
    "complex-power": (WAVE, "i*psi_t = (psi + " + "+".join(f"sin({k}*x)" for k in range(1, 25)) + ")**16"),
    "complex-factors": (WAVE, "i*psi_t = " + "*".join(f"(psi + {k}*psi_x + x)" for k in range(1, 30))),
    "complex-maximum": (WAVE, "i*psi_t = max(" + "*".join(f"(psi + sin({k}*x))" for k in range(1, 30)) + ", 0)"),
    "complex-calls": (WAVE, "i*psi_t = " + "exp(" * 30 + "psi" + ")" * 30),
    "real-parts": (WAVE, f"i*psi_t = {NESTED_REAL}"),
}


@pytest.mark.parametrize("name", RUNAWAY)
def test_is_refused_or_understood_quickly(name: str):
    names, text = RUNAWAY[name]
    assert len(text) < 10_000
    start, message = time.process_time(), "understood without a message"
    try:
        for residual in parse_equation(text, names).residuals(names):
            analyse(residual, names)
    except ExpressionError as error:
        message = str(error)
    assert "\n" not in message
    assert 10 < len(message) < 400
    assert time.process_time() - start < SECONDS


def test_powers_of_complex_sums_are_right():
    power = parse_equation("(psi + x + i*t)^3 = 0", WAVE).residuals(WAVE)
    product = parse_equation("(psi + x + i*t)*(psi + x + i*t)^2 = 0", WAVE).residuals(WAVE)
    for one, two in zip(power, product, strict=True):
        assert (one - two).expand() == 0


@pytest.mark.parametrize("text", ["u*u_x*sin(u) + x", "(u + x)**7*u_x", "exp(u*u_x)/(1 + u**2)", "max(u, x, u_x)"])
def test_the_size_of_a_derivative_is_not_underestimated(text: str):
    (residual,) = parse_equation(text, LINE).residuals(LINE)
    form, u = analyse(residual, LINE), jet_symbol("u", (0, 0))
    assert size(diff(form.residual, u)) <= derivative_size(form.residual, u)


def test_what_is_too_large_is_refused_before_the_work():
    (residual,) = parse_equation("*".join(f"(u + {k})" for k in range(300)), LINE).residuals(LINE)
    with pytest.raises(ExpressionError, match="introduce an unknown"):
        diff(analyse(residual, LINE).residual, jet_symbol("u", (0, 0)))
    with pytest.raises(ExpressionError, match="too many terms"):
        expand(residual)


def test_a_reference_is_compared_without_multiplying_out():
    conditions = [{"on": "initial", "value": {"u": "-sin(pi*x)"}}, {"on": "boundary", "value": {"u": 0}}]
    problem = Problem(
        equations=["u_t = (u + u_x + u_xx + x + t)**300"], coordinates={"x": [-1, 1], "t": [0, 1]}, time="t",
        unknowns=["u"], conditions=conditions,
    )  # fmt: skip
    start = time.process_time()
    with pytest.raises(InputError, match="cole-hopf"):
        named_reference("cole-hopf", problem)
    assert time.process_time() - start < SECONDS
