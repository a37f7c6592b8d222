"""Compiled activations against the twin they are traced from."""

from __future__ import annotations

import shutil

import pytest
import torch
from torch._dynamo.exc import TorchDynamoException
from torch._inductor import cpp_builder
from torch._inductor.exc import InvalidCxxCompiler

from pdeml_kernels import inductor, jets
from pdeml_kernels.activations import ACTIVATIONS
from pdeml_kernels.dispatch import jet_kernels
from pdeml_kernels.jets import ChainTerm, highest
from pdeml_kernels.network import Network, linearised

CHAIN = ((), (), (ChainTerm(-0.7, (1, 1)), ChainTerm(2.0, (1, 2))))
"""Of u, u_x, u_y and ``−0.7 u_xx + u_xy``, as `Chain`."""


@pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++"))), reason="needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")  # inductor's own
def test_compiled_networks_are_those_of_torch():
    """At several odd sizes, by one set of compiled functions: forward, gradient, Jacobian."""
    network = Network(2, 2, 7, 2, "tanh")
    generator = torch.Generator().manual_seed(0)
    compiled = jet_kernels("inductor", torch.device("cpu"), network)
    for points in (11, 6, 1):
        theta = torch.randn(network.parameter_count, generator=generator, dtype=torch.float64)
        inputs, adjoint = torch.randn(2, 4, points, 2, generator=generator, dtype=torch.float64)
        given = theta, inputs, CHAIN, network
        (found, tape), (expected, plain) = compiled.linearised(*given), linearised(*given)
        out = [torch.full((points, len(theta)), torch.nan, dtype=torch.float64) for _ in range(2)]
        pairs = [
            (compiled.jets(*given), expected),
            (found, expected),
            (tape.pullback(adjoint), plain.pullback(adjoint)),
            (tape.jacobian(adjoint, out[0]), plain.jacobian(adjoint, out[1])),
        ]
        for a, b in pairs:
            assert float((a - b).abs().max()) <= 1e-13 * float(b.abs().max())


def test_channels_made_apart_are_the_same_numbers():
    h, adjoint = (torch.randn(4, 5, 3, dtype=torch.float64) for _ in range(2))
    for derivatives in ACTIVATIONS.values():
        together, apart = (jets.compose(h, CHAIN, derivatives, highest(CHAIN) + 1, apart=a) for a in (False, True))
        torch.testing.assert_close(apart[0], together[0], rtol=1e-14, atol=1e-14)
        torch.testing.assert_close(apart[1].pullback(adjoint), together[1].pullback(adjoint), rtol=1e-14, atol=1e-14)


def test_without_a_compiler_networks_are_computed_by_torch(monkeypatch: pytest.MonkeyPatch):
    def none() -> str:
        raise InvalidCxxCompiler

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none)
    inductor.why_not.cache_clear()
    try:
        found = jet_kernels("inductor", torch.device("cpu"), Network(2, 1, 3, 1, "tanh"))
    finally:
        inductor.why_not.cache_clear()
    assert found.note == "network by torch: no C++ compiler was found"
    assert found.linearised is linearised


def test_where_compiling_fails_the_twin_is_taken_with_a_warning(monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> None:
        raise TorchDynamoException("broken\n\nand more")

    monkeypatch.setattr(inductor, "_traced", fail)
    h = torch.randn(4, 5, 3, dtype=torch.float64)
    derivatives = ACTIVATIONS["silu"]
    with pytest.warns(UserWarning, match="not compiled: broken$"):
        found, rule = inductor.compose(h, CHAIN, derivatives, highest(CHAIN) + 1)
    inductor._compiled.cache_clear()
    expected, twin = jets.compose(h, CHAIN, derivatives, highest(CHAIN) + 1)
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(rule.pullback(h), twin.pullback(h), rtol=1e-13, atol=1e-13)
