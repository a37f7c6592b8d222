"""Random formulas as text, for the laws."""

from __future__ import annotations

from hypothesis import strategies as st

from pdeml.expr import Names

NAMES = Names(
    coordinates=("x", "y", "t"),
    time="t",
    unknowns=("u", "vx", "vy", "psi"),
    complex_unknowns=("psi",),
    vectors=(("v", ("vx", "vy")),),
    parameters=("nu", "u_inf", "lambda"),
    inputs=(("a", ("x", "y")),),
)
_KNOWN = st.sampled_from(["x", "y", "t", "nu", "u_inf", "lambda", "a", "pi", "e"])
_UNKNOWN = st.sampled_from(
    ["u", "u_t", "u_xy", "u_xx", "vx_y", "d(u, x, 3)", "a_x", "laplacian(u)", "div(v)", "curl(v)"]
)
_COMPLEX = st.sampled_from(["psi", "psi_x", "conj(psi)", "i", "re(psi)", "im(psi_t)", "abs(psi)", "laplacian(psi)"])
_NUMBER = st.one_of(
    st.integers(0, 30).map(str),
    st.floats(1e-6, 1e6, allow_subnormal=False).map(repr),
    st.sampled_from(["1/3", "0.1", "1e-12", "2.5e7", "10000000000000000000001", "7/8"]),
)


def _compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.sampled_from(["({}) + ({})", "({}) - ({})", "({})*({})", "{} - {}", "({})/(2 + ({})^2)", "max({}, {})"])
    unary = st.sampled_from(
        [
            "-({})",
            "sin({})",
            "exp({})",
            "sqrt(({})^2 + 1)",
            "tanh({})",
            "erf({})",
            "sign({})",
            "heaviside({})",
            "atan({})",
            "({})**2",
            "({})^3",
            "(1 + ({})^2)^-1",
            "(1 + ({})^2)**1.5",
            "abs({})",
            "1/(3 + ({})^2)",
            "2*({})",
            "integral({}, x, 0, y)",
        ]
    )
    condition = st.sampled_from(
        ["where({} < {}, {}, {})", "where({} >= 0 and not ({} < 1 or {} == 2), {}, 1)", "where(0 < {} <= {}, {}, {})"]
    )
    return st.one_of(
        st.builds(lambda form, a, b: form.format(a, b), binary, inner, inner),
        st.builds(lambda form, a: form.format(a), unary, inner),
        st.builds(lambda form, a, b, c, d: form.format(a, b, c, d), condition, inner, inner, inner, inner),
    )


def _complex_compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.sampled_from(["({}) + ({})", "({}) - ({})", "({})*({})", "({})*conj({})", "({})/(2 + abs({}))"])
    unary = st.sampled_from(["-({})", "({})^2", "exp(i*({}))", "abs({})^2", "re({})", "im({})", "sin({})", "d({}, x)"])
    return st.one_of(
        st.builds(lambda form, a, b: form.format(a, b), binary, inner, inner),
        st.builds(lambda form, a: form.format(a), unary, inner),
    )


known_formulas = st.recursive(st.one_of(_KNOWN, _NUMBER), _compound, max_leaves=8)
real_formulas = st.recursive(st.one_of(_KNOWN, _UNKNOWN, _NUMBER), _compound, max_leaves=8)
complex_formulas = st.recursive(st.one_of(_COMPLEX, _KNOWN, _NUMBER), _complex_compound, max_leaves=6)
polynomials = st.recursive(
    st.one_of(st.sampled_from(["u", "u_t", "u_x", "u_xx", "vx", "x", "nu", "a", "2", "0.5"])),
    lambda inner: st.builds(
        lambda form, p, q: form.format(p, q), st.sampled_from(["({}) + ({})", "({}) - ({})", "({})*({})"]), inner, inner
    ),
    max_leaves=9,
)
