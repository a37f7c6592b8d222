"""The parts of a residual add up to it, and linear means linear."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from hypothesis import HealthCheck, given, settings

from pdeml.errors import ExpressionError
from pdeml.expr import Names, NormalForm, analyse, classify, evaluate, jet_of, jet_symbol, parse, parse_equation

from .strategies import NAMES, polynomials, real_formulas

QUICK = settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
PLANE = Names(("x", "y", "t"), "t", ("u", "w"), parameters=("nu", "c"), inputs=(("a", ("x", "y")),))


def _form(text: str, names: Names = PLANE, context: str = "equation") -> NormalForm:
    (residual,) = parse_equation(text, names, context).residuals(names)
    return analyse(residual, names)


def _values(form: NormalForm, seed: int = 0, count: int = 20) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.uniform(-1, 1, count) for name in sorted(symbol.name for symbol in form.residual.free_symbols)}


def _check_sum(form: NormalForm) -> None:
    values = _values(form)
    whole = evaluate(form.residual, values)
    parts = [evaluate(part, values) for part in (*(term.expression for term in form.terms), form.rest, form.source)]
    scale = sum(np.abs(part) for part in parts) + np.abs(whole)
    finite = np.isfinite(scale)
    np.testing.assert_array_less(np.abs(whole - sum(parts))[finite], (1e-9 * scale + 1e-300)[finite])


@QUICK
@given(polynomials)
def test_parts_add_up_and_linearity_is_exact(text: str):
    form = _form(text, NAMES)
    _check_sum(form)
    jets = [jet_symbol(*jet) for jet in form.jets]
    hessian = [sp.expand(form.residual.diff(p, q)) for p in jets for q in jets]
    assert form.is_linear == all(entry == 0 for entry in hessian)
    assert form.is_linear == (form.rest == 0)
    for term in form.terms:
        assert not any(symbol in term.coefficient.free_symbols for symbol in jets)
    assert not any(symbol in form.source.free_symbols for symbol in jets)
    for unknown in {unknown for unknown, _ in form.jets}:
        own = [jet_symbol(*jet) for jet in form.jets if jet[0] == unknown]
        assert (unknown in form.linear_in) == all(sp.expand(form.residual.diff(p, q)) == 0 for p in own for q in own)


@settings(QUICK, max_examples=40)
@given(real_formulas)
def test_parts_of_any_formula_add_up(text: str):
    try:
        residuals = parse_equation(text, NAMES).residuals(NAMES)
    except ExpressionError:
        return
    for residual in residuals:
        form = analyse(residual, NAMES)
        if not form.integrals:
            _check_sum(form)


@pytest.mark.parametrize(
    ("text", "linear", "terms", "kind"),
    [
        ("u_t = nu*laplacian(u)", True, 3, "parabolic"),
        ("u_t + u*u_x = nu*(u_xx + u_yy)", False, 3, "parabolic"),
        ("laplacian(u) = sin(x)", True, 2, "elliptic"),
        ("-div(a*grad(u)) = 1", True, 4, "elliptic"),
        ("laplacian(laplacian(u)) = 1", True, 3, "elliptic"),
        ("u_xx - u_yy = 0", True, 2, "hyperbolic"),
        ("u_tt = c^2*laplacian(u)", True, 3, "hyperbolic"),
        ("u_tt + laplacian(u) = 0", True, 3, "elliptic"),
        ("u_tt + 0.1*u_t = laplacian(u) - sin(u)", False, 4, "hyperbolic"),
        ("u_t + c*u_x = 0", True, 2, "hyperbolic"),
        ("u_t + u*u_x = 0", False, 1, "hyperbolic"),
        ("u_t = 5*(u - u^3) + 1e-4*u_xx + u_yy", False, 4, "parabolic"),
        ("u_t + 6*u*u_x + u_xxx = 0", False, 2, None),
        ("u_xx*u_yy - u_xy^2 = 1", False, 0, None),
        ("(u + 1)^2 - u^2 = w", True, 2, None),
        ("sin(u)^2 + cos(u)^2 + u_x = 3", True, 1, None),
        ("where(x < 0.5, u, 2*u) = 1", True, 1, None),
        ("abs(u) = 1", False, 0, None),
        ("u*w_x = 1", False, 0, None),
        ("exp(x)*u_x/(1 + nu^2) = a_x*u", True, 2, None),
    ],
)
def test_known_equations(text: str, linear: bool, terms: int, kind: str | None):
    form = _form(text)
    _check_sum(form)
    assert form.is_linear == linear
    assert len(form.terms) == terms
    assert classify([form], PLANE) == kind


@pytest.mark.parametrize(
    ("text", "values", "kind"),
    [
        ("u_tt + 4*u_xt + u_xx = 0", {}, "hyperbolic"), ("u_tt + 2*u_xt + u_xx = 0", {}, "parabolic"),
        ("u_tt + u_xt + u_xx = 0", {}, "elliptic"), ("u_xt = u", {}, "hyperbolic"),
        ("u_tt + 1e-8*u_xt - 1e-20*u_xx = 0", {}, "hyperbolic"), ("u_tt + x*u_xt + u_xx = 0", {}, None),
        ("u_tt + c*u_xt + u_xx = 0", {}, None), ("u_tt + c*u_xt + u_xx = 0", {"c": 3.0}, "hyperbolic"),
        ("u_tt + u*u_xt + u_xx = 0", {}, None), ("u_t + u_x = u_xxt", {}, None),
    ],
)  # fmt: skip
def test_types_with_mixed_derivatives_in_space_and_time(text: str, values: dict[str, float], kind: str | None):
    line = Names(("x", "t"), "t", ("u",), parameters=("c",))
    assert classify([_form(text, line)], line, values) == kind


def test_orders_and_jets():
    form = _form("u_t + w*u_xxy = d(a*w, y) + nu")
    assert form.jets == (("u", (0, 0, 1)), ("u", (2, 1, 0)), ("w", (0, 0, 0)), ("w", (0, 1, 0)))
    assert form.input_jets == (("a", (0, 0, 0)), ("a", (0, 1, 0)))
    assert form.orders == (("x", 2), ("y", 1), ("t", 1))
    assert dict(form.unknown_orders)["w"] == (("x", 0), ("y", 1), ("t", 0))
    assert (form.order("x"), form.order("x", "w"), form.order("t", "u")) == (2, 0, 1)
    assert form.linear_in == ("u", "w")
    assert not form.is_linear
    assert all(jet_of(jet_symbol(*jet)) == jet for jet in form.jets)


def test_kinks_differentiate_almost_everywhere():
    assert _form("d(heaviside(u), x) + d(sign(w), t) = 1").residual == -1
    assert _form("d(abs(u_x), x) = 0").residual == jet_symbol("u", (2, 0, 0)) * sp.sign(jet_symbol("u", (1, 0, 0)))


def test_derivatives_of_parameters_and_inputs():
    assert parse("d(nu, x) + d(a, t) + d(y, x)", PLANE) == 0
    assert parse("d(a, x)", PLANE) == parse("a_x", PLANE) == sp.Derivative(PLANE.function("a"), PLANE.symbol("x"))


def test_normal_derivative():
    form = _form("dn(u) + c*u = 1", context="boundary")
    assert form.uses_normal
    assert form.is_linear
    assert {(str(term.coefficient), term.index) for term in form.terms} == {
        ("c", (0, 0, 0)), ("n[x]", (1, 0, 0)), ("n[y]", (0, 1, 0)),
    }  # fmt: skip


def test_integrals_of_unknowns():
    linear, square = _form("u_t = integral(x*u, x, 0, 1)"), _form("u_t = integral(u^2, x, 0, 1)")
    assert (linear.integrals, linear.is_linear, square.is_linear) == (True, True, False)
    assert not _form("u_t = integral(x*y, x, 0, 1)").integrals
    with pytest.raises(ExpressionError, match="one point"):
        _form("d(integral(u, x, 0, y), y) = 0")


def test_complex_equations_split_into_real_ones():
    names = Names(("x", "t"), "t", ("psi",), ("psi",), parameters=("k",))
    equation = parse_equation("i*psi_t + psi_xx/2 + abs(psi)^2*psi = 0", names)
    real, imaginary = equation.residuals(names)
    p, q = names.function("psi_real"), names.function("psi_imag")
    t, x = names.symbol("t"), names.symbol("x")
    assert sp.expand(real - (-q.diff(t) + p.diff(x, 2) / 2 + (p**2 + q**2) * p)) == 0
    assert sp.expand(imaginary - (p.diff(t) + q.diff(x, 2) / 2 + (p**2 + q**2) * q)) == 0
    assert len(parse_equation("abs(psi) = 2", names).residuals(names)) == 1
    assert len(parse_equation("re(psi) = 2", names).residuals(names)) == 1
    assert parse_equation("where(re(psi) > 0, psi, 0) = max(im(psi), 0)", names).residuals(names)[1] != 0
    assert [analyse(r, names).is_linear for r in equation.residuals(names)] == [False, False]


@pytest.mark.parametrize(
    "text",
    [
        "psi^3",
        "1/psi",
        "exp(i*k*x)*psi",
        "sin(psi)",
        "cos(psi)*conj(psi)",
        "sinh(psi)",
        "cosh(psi)",
        "log(psi)",
        "abs(psi)^3",
        "psi^-2",
        "im(psi)*re(psi)",
    ],
)
def test_complex_parts_agree_with_complex_numbers(text: str):
    names = Names(("x",), None, ("psi",), ("psi",), parameters=("k",))
    z, x, k = 0.7 - 1.3j, 0.4, 1.1
    direct = _direct(text, z, x, k)
    (residual, *rest) = parse_equation(text, names).residuals(names)
    values = {"psi_real": z.real, "psi_imag": z.imag, "x": x, "k": k}
    got = [float(evaluate(part, values)) for part in (residual, *rest)]
    assert np.allclose([*got, 0.0][:2], [direct.real, direct.imag])


def _direct(text: str, z: complex, x: float, k: float) -> complex:
    """The same formula on complex numbers."""
    return {
        "psi^3": lambda z, **_: z**3, "1/psi": lambda z, **_: 1 / z, "exp(i*k*x)*psi": lambda z, x,
        k: np.exp(1j * k * x) * z,
        "sin(psi)": lambda z, **_: np.sin(z), "cos(psi)*conj(psi)": lambda z, **_: np.cos(z) * np.conj(z),
        "sinh(psi)": lambda z, **_: np.sinh(z), "cosh(psi)": lambda z, **_: np.cosh(z), "log(psi)": lambda z,
        **_: np.log(z),
        "abs(psi)^3": lambda z, **_: complex(abs(z) ** 3), "psi^-2": lambda z, **_: z**-2,
        "im(psi)*re(psi)": lambda z, **_: complex(z.imag * z.real),
    }[text](z, x=x, k=k)  # fmt: skip
