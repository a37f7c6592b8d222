"""The chain and product rules on multi-indices against SymPy, and known functions against symbolic derivatives."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeml.expr import Names, parse, with_values
from pdeml.expr import evaluate as values_of
from pdeml.lower import JetSpec, KnownFunctions
from pdeml.lower.multi_index import below, partitions

BELL = (1, 1, 2, 5, 15)
X, Y = sympy.symbols("x y", real=True)
NAMES = Names(("x", "y"), parameters=("k",))
INDICES = st.tuples(st.integers(0, 3), st.integers(0, 3)).filter(lambda i: 1 <= sum(i) <= 4)


@pytest.mark.parametrize("index", [i for i in itertools.product(range(5), repeat=3) if sum(i) <= 4])
def test_partitions_are_counted_by_bell_numbers(index: tuple[int, ...]):
    found = partitions(index)
    assert sum(count for _, count in found) == BELL[sum(index)]
    for blocks, _ in found:
        assert tuple(map(sum, zip(*blocks, strict=True))) == (index if blocks else ())


@pytest.mark.parametrize("order", range(1, 5))
def test_faa_di_bruno_in_one_variable(order: int):
    """Coefficients by number of blocks are Stirling numbers of the second kind."""
    sizes = [0] * (order + 1)
    for blocks, count in partitions((order,)):
        sizes[len(blocks)] += count
    stirling = sympy.functions.combinatorial.numbers.stirling
    assert sizes[1:] == [int(stirling(order, k)) for k in range(1, order + 1)]


@given(index=INDICES)
def test_indices_below_are_all_proper_ones(index: tuple[int, int]):
    expected = {i for i in itertools.product(*(range(k + 1) for k in index)) if i != index}
    assert set(below(index)) == expected


@settings(max_examples=20, deadline=None)
@given(wanted=st.lists(INDICES, max_size=2), summed=st.lists(INDICES, min_size=1, max_size=3, unique=True))
def test_chain_and_product_rule_are_those_of_sympy(wanted: list, summed: list):
    """Σ c ∂^α of sin(h) and of a·b, from the specification's own channels of h, a and b."""
    combination = tuple((1.0 + 0.5 * k, index) for k, index in enumerate(summed))
    spec = JetSpec.closed(wanted, [combination], 2)
    inner, factor = X**2 * Y + sympy.exp(X - Y), sympy.cos(X + 2 * Y)

    def channels(f: sympy.Expr) -> list[sympy.Expr]:
        return [sum(c * f.diff(X, i).diff(Y, j) for c, (i, j) in members) for members in spec.members]

    at = {X: 0.3, Y: -0.7}
    h = [float(value.subs(at)) for value in channels(inner)]
    outer = [float(sympy.sin(X).diff(X, m).subs(X, h[0])) for m in range(5)]
    for k, expected in enumerate(channels(sympy.sin(inner))):
        if k:
            terms = (t.coefficient * outer[t.order] * math.prod(h[f] for f in t.factors) for t in spec.chain[k - 1])
            assert outer[1] * h[k] + sum(terms) == pytest.approx(float(expected.subs(at)), rel=1e-9, abs=1e-9)
    for k, expected in enumerate(channels(factor * inner)):
        found = sum(
            c * float(factor.diff(X, i).diff(Y, j).subs(at)) * h[channel]
            for channel, terms in spec.product[k]
            for c, (i, j) in terms
        )
        assert found == pytest.approx(float(expected.subs(at)), rel=1e-9, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(wanted=st.lists(INDICES, min_size=1, max_size=3), summed=st.lists(INDICES, min_size=2, max_size=3, unique=True))
def test_known_functions_have_every_channel(wanted: list, summed: list):
    texts = ["exp(-k*x)*sin(3*y)", "1/(2 + x*y)", "2", "x**2*y**3", "where(x < 0.4, 0.1*x, y**2)", "abs(x - 0.2)*y"]
    functions = [with_values(parse(text, NAMES, "known"), NAMES, {"k": 1.3}) for text in texts]
    spec = JetSpec.closed(wanted, [tuple((0.3 - k, index) for k, index in enumerate(summed))], 2)
    points = np.random.default_rng(0).uniform(-1, 1, (9, 2))
    jet = KnownFunctions.of(functions, NAMES, spec).jet(torch.tensor(points)).values
    assert jet.shape == (len(spec), 9, len(texts))
    for k, members in enumerate(spec.members):
        for f, function in enumerate(functions):
            derivative = sum(c * function.diff(X, i).diff(Y, j) for c, (i, j) in members)
            smooth = sympy.sympify(derivative, strict=True).replace(sympy.DiracDelta, lambda *_: sympy.Integer(0))
            expected = values_of(smooth, {"x": points[:, 0], "y": points[:, 1]})
            np.testing.assert_allclose(jet[k, :, f].numpy(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("points", [0, 1, 5])
def test_known_functions_at_any_number_of_points(points: int):
    known = KnownFunctions.of([X, X * Y], NAMES, JetSpec.closed([(1, 0)], dimension=2))
    assert known.jet(torch.zeros(points, 2, dtype=torch.float64)).values.shape == (2, points, 2)
