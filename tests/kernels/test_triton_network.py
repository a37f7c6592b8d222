"""Networks that carry jets by Triton kernels, interpreted where there is no GPU: against twins in double precision."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import grad, gradcheck
from torch.library import opcheck

from pdeml_kernels import contest, dispatch
from pdeml_kernels.bench import equations
from pdeml_kernels.dispatch import jet_kernels
from pdeml_kernels.jets import Chain, ChainTerm
from pdeml_kernels.network import Network, flat, jet_mlp, jet_mlp_backward, jet_mlp_jacobian, jets, linearised

pytest.importorskip("triton")

from pdeml_kernels import triton_network, triton_support
from pdeml_kernels.triton_network import jet_mlp_backward_triton, jet_mlp_jacobian_triton, jet_mlp_triton
from pdeml_kernels.triton_support import Blocks

from .tensors import DEVICE, random

pytestmark = pytest.mark.usefixtures("poison")
OPS = torch.ops.pdeml_kernels

VALUES: Chain = ()
SLOPES: Chain = ((), ())
# u, u_x, u_t, u_xx; u, u_x, u_y, u_t, u_xx, u_yy; u to u_xxxx.
BURGERS: Chain = ((), (), (ChainTerm(1.0, (1, 1)),))
NAVIER_STOKES: Chain = ((), (), (), (ChainTerm(1.0, (1, 1)),), (ChainTerm(1.0, (2, 2)),))
SIVASHINSKY: Chain = equations.KURAMOTO_SIVASHINSKY.chain
# u, u_x, u_t, and 0.3 u_xx - 2 u_tt in one channel.
COLLAPSED: Chain = ((), (), (ChainTerm(0.3, (1, 1)), ChainTerm(-2.0, (2, 2))))

# Orders 0 to 4, collapsed channels, several unknowns; one layer and many; inputs, widths and numbers of points that are
# no multiples of a block, several chunks of units and of outputs, and more blocks of points than one.
CASES = {
    "values": (VALUES, Network(1, 1, 5, 2, "tanh"), 3),
    "slopes": (SLOPES, Network(3, 2, 16, 1, "sin"), 16),
    "Burgers": (BURGERS, Network(2, 1, 9, 2, "tanh"), 17),
    "Burgers, GELU": (BURGERS, Network(2, 1, 5, 2, "gelu"), 5),
    "Navier-Stokes": (NAVIER_STOKES, Network(3, 3, 7, 2, "silu"), 5),
    "order 3": (SIVASHINSKY[:3], Network(1, 1, 6, 2, "gelu"), 4),
    "KS": (SIVASHINSKY, Network(2, 1, 6, 2, "tanh"), 4),
    "KS, sine": (SIVASHINSKY, Network(2, 1, 3, 3, "sin"), 4),
    "KS, SiLU": (SIVASHINSKY, Network(2, 1, 3, 2, "silu"), 4),
    "KS, GELU": (SIVASHINSKY, Network(2, 1, 3, 2, "gelu"), 4),
    "collapsed": (COLLAPSED, Network(2, 2, 6, 2, "tanh"), 5),
    "wide": (SLOPES[:1], Network(18, 17, 70, 1, "tanh"), 2),
}


def given(chain: Chain, network: Network, points: int, dtype=torch.float64) -> tuple[torch.Tensor, ...]:
    """Return cotangents, parameters and inputs."""
    theta = random(network.parameter_count, seed=1, dtype=dtype) * (2 / network.width) ** 0.5
    inputs = random(len(chain) + 1, points, network.inputs, seed=2, dtype=dtype)
    return random(len(chain) + 1, points, network.outputs, dtype=dtype), theta, inputs


def close(mine: torch.Tensor, theirs: torch.Tensor, tolerance: float) -> None:
    """Compare by the largest error over the largest value."""
    assert mine.shape == theirs.shape
    error = float((mine - theirs).detach().abs().max() / theirs.detach().abs().max())
    assert error <= tolerance, f"{tuple(mine.shape)}: {error:.1e}"


def rows(points: int, network: Network, dtype: torch.dtype) -> torch.Tensor:
    """Return memory for a Jacobian whose rows lie apart."""
    return torch.full((points, network.parameter_count + 3), float("nan"), dtype=dtype, device=DEVICE)[:, :-3]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("case", CASES)
def test_values_gradients_and_jacobians_are_those_of_the_twin(case, dtype):
    chain, network, points = CASES[case]
    deep = max((term.order for terms in chain for term in terms), default=0) > 2
    tolerance = (1e-4 if deep else 1e-5) if dtype == torch.float32 else 1e-13
    adjoint, theta, inputs = given(chain, network, points, dtype)
    exact = adjoint.double(), theta.double(), inputs.double()
    theta.requires_grad_()
    inputs.requires_grad_()
    found = jet_mlp_triton(theta, inputs, chain, network)
    assert found.dtype == dtype
    close(found, jet_mlp(*exact[1:], chain, network), tolerance)
    for mine, theirs in zip(
        grad(found, (theta, inputs), adjoint), jet_mlp_backward(*exact, chain, network, True), strict=True
    ):
        close(mine, theirs, tolerance)
    theta, inputs = theta.detach(), inputs.detach()
    jacobian = jet_mlp_jacobian_triton(adjoint, theta, inputs, chain, network, rows(points, network, dtype))
    close(jacobian, jet_mlp_jacobian(*exact, chain, network, rows(points, network, torch.float64)), tolerance)


@pytest.mark.parametrize("blocks", [Blocks(16, 16, 16), Blocks(32, 32, 16)], ids=str)
def test_many_blocks_give_what_one_gives(blocks, monkeypatch):
    """And a program that takes several blocks of points, one after the other."""
    monkeypatch.setattr(triton_network, "_candidates", lambda *_, **__: (blocks,))
    monkeypatch.setattr(triton_network, "_programs", lambda *_: 2)
    chain, network, points = SLOPES[:1], Network(17, 1, 20, 2, "tanh"), 40
    adjoint, theta, inputs = given(chain, network, points)
    theta.requires_grad_()
    found = jet_mlp_triton(theta, inputs, chain, network)
    close(found, jet_mlp(theta, inputs, chain, network), 1e-13)
    (mine,) = grad(found, theta, adjoint)
    close(mine, jet_mlp_backward(adjoint, theta.detach(), inputs, chain, network)[0], 1e-13)


def test_the_twin_is_what_autograd_finds():
    chain, network, points = CASES["collapsed"]
    adjoint, theta, inputs = (tensor.requires_grad_() for tensor in given(chain, network, points))
    jet = jets(theta, inputs, chain, network)
    expected = grad(jet, (theta, inputs), adjoint)
    found = grad(jet_mlp(theta, inputs, chain, network), (theta, inputs), adjoint)
    for mine, theirs in zip(found, expected, strict=True):
        close(mine, theirs, 1e-13)
    # The network is deep enough in θ to be differentiated again; its operator says that it cannot be.
    assert grad(grad(jets(theta, inputs, chain, network).sum(), theta, create_graph=True)[0].sum(), theta)[0].any()


@pytest.mark.parametrize("views", ["steps", "transposed"])
def test_any_order_of_memory_is_read(views):
    chain, network = BURGERS, Network(2, 1, 5, 2, "tanh")
    _, theta, _ = given(chain, network, 5)
    inputs = random(4, 10, 4)[:, ::2, ::2] if views == "steps" else random(2, 5, 4).permute(2, 1, 0)
    adjoint = random(1, 5, 4).permute(2, 1, 0)
    theta = torch.stack([theta, theta], 1)[:, 0]
    close(jet_mlp_triton(theta, inputs, chain, network), jet_mlp(theta, inputs, chain, network), 1e-13)
    mine = jet_mlp_backward_triton(adjoint, theta, inputs, chain, network, True)
    for one, other in zip(mine, jet_mlp_backward(adjoint, theta, inputs, chain, network, True), strict=True):
        close(one, other, 1e-13)


def test_no_points_give_no_jets_and_no_gradient():
    chain, network = BURGERS, Network(2, 3, 5, 2, "tanh")
    _, theta, inputs = (tensor.requires_grad_() for tensor in given(chain, network, 0))
    found = jet_mlp_triton(theta, inputs, chain, network)
    assert found.shape == (4, 0, 3)
    of_theta, of_inputs = grad(found.sum(), (theta, inputs))
    assert of_theta.shape == theta.shape
    assert not of_theta.any()
    assert of_inputs.shape == inputs.shape


def test_equal_inputs_give_equal_bits():
    chain, network = SLOPES, Network(2, 1, 5, 1, "tanh")
    adjoint, theta, inputs = given(chain, network, 40, torch.float32)
    first, again = (jet_mlp_backward_triton(adjoint, theta, inputs, chain, network, True) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_kernels_may_be_run_again_on_what_they_have_written():
    """As tuning does: sums begin anew."""
    chain, network = SLOPES[:1], Network(1, 1, 3, 1, "tanh")
    adjoint, theta, inputs = given(chain, network, 20)
    sums = theta.new_empty(2, network.parameter_count)
    plan = triton_network.reverse_plan(adjoint, theta, inputs, sums, None, chain, network, "ieee", jacobian=False)
    for _ in range(2):
        triton_support.launch(plan)
    close(sums.sum(0), jet_mlp_backward(adjoint, theta, inputs, chain, network)[0], 1e-13)


@pytest.mark.parametrize("name", ["jet_mlp", "triton_jet_mlp"])
def test_they_are_operators_of_torch(name):
    chain, network = BURGERS[:1], Network(2, 1, 2, 1, "tanh")
    adjoint, theta, inputs = given(chain, network, 2)
    told = (*flat(chain, network), *(("ieee",) if name.startswith("triton") else ()))
    opcheck(getattr(OPS, name).default, (theta.requires_grad_(), inputs.requires_grad_(), *told))
    theta, inputs = theta.detach(), inputs.detach()
    for of_inputs in (True, False):
        opcheck(getattr(OPS, f"{name}_backward").default, (adjoint, theta, inputs, *told, of_inputs))
    out = theta.new_zeros(2, network.parameter_count)
    opcheck(getattr(OPS, f"{name}_jacobian").default, (adjoint, theta, inputs, *told, out))


def test_gradients_are_those_of_differences():
    chain, network = BURGERS[:1], Network(1, 2, 2, 2, "gelu")
    _, theta, inputs = (tensor.requires_grad_() for tensor in given(chain, network, 2))
    assert gradcheck(lambda t, x: jet_mlp_triton(t, x, chain, network), (theta, inputs), fast_mode=True)


def test_it_stays_whole_in_compiled_programs():
    chain, network = SLOPES, Network(2, 1, 4, 1, "sin")
    adjoint, theta, inputs = given(chain, network, 3)
    out = torch.zeros(3, network.parameter_count, dtype=theta.dtype, device=DEVICE)

    def program(theta):
        jacobian = jet_mlp_jacobian_triton(adjoint, theta.detach(), inputs, chain, network, out.clone())
        return jet_mlp_triton(theta, inputs, chain, network).square().sum() + jacobian.square().sum() * theta.sum()

    compiled = torch.compile(program, fullgraph=True, backend="aot_eager")
    found, expected = (grad(run(t), t)[0] for run in (compiled, program) for t in [theta.clone().requires_grad_()])
    torch.testing.assert_close(found, expected)


def test_what_cannot_be_done_is_refused(monkeypatch):
    chain, network = BURGERS, Network(2, 1, 5, 2, "tanh")
    adjoint, theta, inputs = given(chain, network, 3)
    with pytest.raises(ValueError, match="tanh, sin, gelu, silu, not 'relu'"):
        jet_mlp(theta, inputs, chain, network._replace(activation="relu"))
    with pytest.raises(ValueError, match=r"must be \(4, N, 2\), not \(3, 3, 2\)"):
        jet_mlp_triton(theta, inputs[1:], chain, network)
    with pytest.raises(ValueError, match="has 51 parameters, not"):
        jet_mlp_triton(theta[1:], inputs, chain, network)
    with pytest.raises(ValueError, match="of one type"):
        jet_mlp_triton(theta.float(), inputs, chain, network)
    with pytest.raises(ValueError, match=r"float32 or float64, not torch\.float16"):
        jet_mlp_triton(theta.half(), inputs.half(), chain, network)
    with pytest.raises(ValueError, match="precision must be one of"):
        jet_mlp_triton(theta.float(), inputs.float(), chain, network, precision="half")
    with pytest.raises(ValueError, match="must be whole in memory"):
        jet_mlp_jacobian_triton(adjoint, theta, inputs, chain, network, theta.new_empty(51, 3).T)
    for run in (jet_mlp_backward, jet_mlp_backward_triton):
        with pytest.raises(ValueError, match=r"cotangents must be \(4, 3, 1\), torch\.float64, not \(4, 3, 2\)"):
            run(torch.cat([adjoint, adjoint], 2), theta, inputs, chain, network)
    for run in (jet_mlp_jacobian, jet_mlp_jacobian_triton):
        with pytest.raises(ValueError, match=r"Jacobian must be \(3, 51\), torch\.float64, not \(3, 50\)"):
            run(adjoint, theta, inputs, chain, network, theta.new_empty(3, 50))
    with pytest.raises(ValueError, match="a hidden layer at least"):
        jet_mlp_triton(theta[:3], inputs, chain, network._replace(depth=0, width=2))
    wide = Network(2, 1, 257, 1, "tanh")
    with pytest.raises(ValueError, match="at most 256 units wide in a kernel, not 257"):
        jet_mlp_triton(given(chain, wide, 3)[1], inputs, chain, wide)
    monkeypatch.setattr(triton_support, "INTERPRETED", False)
    with pytest.raises(ValueError, match="on a CUDA device, not on cpu"):
        jet_mlp_triton(theta.cpu(), inputs.cpu(), chain, network)


def test_the_tape_of_kernels_is_that_of_the_twin():
    chain, network = BURGERS, Network(2, 1, 5, 2, "tanh")
    adjoint, theta, inputs = given(chain, network, 3)
    chosen = jet_kernels("triton", inputs.device, network)
    assert chosen.note == "network by triton"
    (mine, tape), (theirs, kept) = (run(theta, inputs, chain, network) for run in (chosen.linearised, linearised))
    close(mine, theirs, 1e-13)
    close(tape.pullback(adjoint), kept.pullback(adjoint), 1e-13)
    by_point = (way.jacobian(adjoint, rows(3, network, torch.float64)) for way in (tape, kept))
    close(*by_point, 1e-13)
    assert jet_kernels("auto", torch.device("cpu"), network).jets is jets
    assert "wider than 256" in jet_kernels("triton", inputs.device, network._replace(width=300)).note


@pytest.mark.parametrize("won", [True, False])
def test_whichever_is_faster_gives_the_same(won, monkeypatch):
    chain, network = BURGERS, Network(2, 1, 3, 2, "tanh")
    adjoint, theta, inputs = given(chain, network, 3)
    measured = []

    def times(name, key, kernel, twin, device):
        """Let one win; the functions that are measured agree too."""
        measured.append(name)
        for mine, theirs in zip(kernel(), twin(), strict=True):
            close(mine, theirs, 1e-13)
        return (1, 2) if won else (2, 1)

    monkeypatch.setattr(dispatch, "wanted", lambda *_: "contest")
    monkeypatch.setattr(contest, "_times", times)
    found, tape = jet_kernels("auto", inputs.device, network).linearised(theta, inputs, chain, network)
    expected, kept = linearised(theta, inputs, chain, network)
    close(found, expected, 1e-13)
    by_point = (way.jacobian(adjoint, rows(3, network, torch.float64)) for way in (tape, kept))
    close(*by_point, 1e-13)
    assert measured == ["jet_mlp_backward_triton", *(["jet_mlp_jacobian_triton"] if won else [])]


@pytest.mark.gpu
@pytest.mark.parametrize("precision, tolerance", [("ieee", 1e-5), ("tf32x3", 1e-5), ("tf32", 1e-2)])
@pytest.mark.parametrize(
    "width, activation, chain",
    [(16, "gelu", SIVASHINSKY), (100, "silu", BURGERS), (128, "tanh", SIVASHINSKY), (256, "sin", NAVIER_STOKES)],
)
def test_precisions_of_tensor_cores(width, activation, chain, precision, tolerance, monkeypatch):
    monkeypatch.setenv("PDEML_TUNE", "0")  # to compile one candidate of many
    network = Network(2, 3, width, 4, activation)
    adjoint, theta, inputs = given(chain, network, 1000, torch.float32)
    exact = adjoint.double(), theta.double(), inputs.double()
    tolerance = max(tolerance, 1e-4) if chain is SIVASHINSKY else tolerance
    close(
        jet_mlp_triton(theta, inputs, chain, network, precision=precision),
        jet_mlp(*exact[1:], chain, network),
        tolerance,
    )
    found = jet_mlp_backward_triton(adjoint, theta, inputs, chain, network, True, precision=precision)
    for mine, theirs in zip(found, jet_mlp_backward(*exact, chain, network, True), strict=True):
        close(mine, theirs, tolerance)


@pytest.mark.gpu
def test_a_step_is_captured_in_a_graph():
    chain, network = BURGERS, Network(2, 1, 128, 4, "tanh")
    _, theta, inputs = (tensor.requires_grad_() for tensor in given(chain, network, 5000, torch.float32))
    step = torch.cuda.make_graphed_callables(
        lambda t, x: jet_mlp_triton(t, x, chain, network),
        (theta.detach().clone().requires_grad_(), inputs.detach().clone().requires_grad_()),
    )
    found, expected = (grad(run(theta, inputs).square().sum(), (theta, inputs)) for run in (
        step, lambda t, x: jet_mlp(t, x, chain, network)
    ))  # fmt: skip
    for mine, theirs in zip(found, expected, strict=True):
        close(mine, theirs, 1e-5)
