"""The choice between kernels and twins, with stand-ins for the clock and the device: no GPU is needed."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from functools import partial

import pytest
import torch

from pdeml_kernels import contest, dispatch
from pdeml_kernels.contest import Contested, bucket, outcome, with_gradients

pytest.importorskip("triton")

from pdeml_kernels import triton_support

CUDA = torch.device("cuda")
X = torch.arange(1.0, 5.0)


@pytest.fixture
def clock(monkeypatch, tmp_path):
    """Pretend that there is a GPU on which a function takes the milliseconds of its name's last letter."""
    asked = []

    def milliseconds(run):
        asked.append(run)
        return float(run.__name__[-1])

    monkeypatch.setenv("PDEML_TUNE_FOLDER", str(tmp_path))
    monkeypatch.setattr(triton_support, "milliseconds", milliseconds)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a device")
    monkeypatch.setattr(torch.cuda, "device", nullcontext)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    forget(monkeypatch)
    return asked


def forget(monkeypatch):
    """Begin a new process."""
    monkeypatch.setattr(triton_support, "_table", lambda _, known={}: known)
    monkeypatch.setattr(contest, "_LOST", set())


def faster(*given):
    """Say whether a kernel is taken."""
    times = contest._times(*given)
    return times is not None and times[0] < times[1]


def right_1():
    return X


def right_2():
    return (X,)


def test_the_faster_wins_and_is_kept_in_a_file(clock, monkeypatch):
    assert faster("op", ("a", 1), right_1, right_2, CUDA)
    assert not faster("op", ("b", 1), right_2, right_1, CUDA)
    assert len(clock) == 4
    forget(monkeypatch)
    monkeypatch.setenv("PDEML_TUNE", "0")
    assert faster("op", ("a", 1), right_1, right_2, CUDA)
    assert not faster("op", ("c", 1), right_1, right_2, CUDA)
    assert len(clock) == 4


def out_of_resources():
    raise RuntimeError("out of resource: shared memory")


def out_of_memory():
    raise torch.OutOfMemoryError


@pytest.mark.parametrize(
    "kernel, words",
    [
        (out_of_resources, "failed, RuntimeError: out of resource"),
        (lambda: X + 0.1, "differs by 1.0e-01"),
        (lambda: X * float("nan"), "differs by nan"),
        (lambda: (X, X), "failed, ValueError"),
        (out_of_memory, "failed, OutOfMemoryError"),
    ],
)
def test_a_kernel_that_fails_or_disagrees_loses_and_is_told_of_once(kernel, words, clock, monkeypatch):
    with pytest.warns(RuntimeWarning, match=f"^op is computed by torch: the Triton kernel {words}"):
        assert not faster("op", ("a",), kernel, right_2, CUDA)
    assert not faster("op", ("a",), kernel, right_2, CUDA)
    assert not clock
    forget(monkeypatch)
    assert faster("op", ("a",), right_1, right_2, CUDA)


def test_where_memory_is_short_the_twin_is_taken(clock):
    with pytest.warns(RuntimeWarning, match="cannot be measured beside it"):
        assert not faster("op", (), right_1, out_of_memory, CUDA)
    assert not faster("op", (), right_1, right_2, CUDA)


def test_nothing_is_measured_in_lower_precision(clock):
    """Twins would, by autocast, give other numbers than kernels."""
    lower = []

    def told_1():
        lower.append(torch.is_autocast_enabled("cuda"))
        return X

    torch.set_autocast_enabled("cuda", True)
    try:
        assert faster("op", (), told_1, right_2, CUDA)
        assert torch.is_autocast_enabled("cuda")
    finally:
        torch.set_autocast_enabled("cuda", False)
    assert lower == [False]


def test_differences_of_rounding_are_none(clock):
    small = torch.tensor([1e-9, 0.0])

    def near_1():
        return X * (1 + 1e-6), small * 2

    def exact_2():
        return X, small

    assert faster("op", (), near_1, exact_2, CUDA)


@pytest.mark.parametrize("state", ["captured", "compiled", "traced", "on the CPU"])
def test_nothing_is_measured_when_that_would_disturb(state, clock, monkeypatch):
    if state == "captured":
        monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    if state == "compiled":
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    if state == "traced":
        monkeypatch.setattr(triton_support, "traced", lambda: True)
    device = torch.device("cpu") if state == "on the CPU" else CUDA
    assert not faster("op", (), right_1, right_2, device)
    assert not clock


def test_what_is_known_is_used_while_a_graph_is_captured(clock, monkeypatch):
    assert faster("op", (), right_1, right_2, CUDA)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    assert faster("op", (), right_1, right_2, CUDA)


def test_shapes_of_about_a_size_are_one_case():
    x = torch.zeros(5, 64)
    assert bucket((x, [16, 3], True, None)) == bucket((torch.zeros(7, 100), [17, 2], True, None))
    others = [torch.zeros(8, 64), x.T.contiguous().T, x.double(), x.clone().requires_grad_()]
    assert len({bucket((x,)), *(bucket((other,)) for other in others)}) == 5
    texts = ["+" * 1000, "-" * 1000, ["+"] * 1000, "short"]
    keys = [str(bucket((text,))) for text in texts]
    assert len(set(keys)) == 4
    assert max(map(len, keys)) < 20


def test_gradients_are_those_that_are_asked_for():
    x, y, z = torch.randn(3, requires_grad=True), torch.randn(3), torch.randn(3, requires_grad=True)
    step = with_gradients(lambda x, y, n: x * y * n, (x, y, 2))
    value, of_x = step()
    torch.testing.assert_close(value, 2 * x * y)
    (direction,) = torch.autograd.grad(2 * x * y, x, torch.ones(3))
    torch.testing.assert_close(of_x, step()[1])
    assert not torch.equal(of_x, direction)
    assert [t.requires_grad for t in (value, of_x)] == [False, False]
    assert len(with_gradients(lambda x, z: x, (x, z))()) == 3
    assert not with_gradients(lambda x, z: x, (x, z))()[2].any()
    assert len(with_gradients(lambda y: y, (y,))()) == 1
    assert len(with_gradients(lambda x: (2 * x, x.detach().sum()), (x,))()) == 3
    assert len(with_gradients(lambda pair: pair[0] * pair[1], ([x, z],))()) == 3


def contested(monkeypatch, kernel_time, twin_time):
    """Return an operator and the list of what ran."""
    ran = []
    monkeypatch.setattr(contest, "_times", lambda *_: (kernel_time, twin_time))

    def kernel(x):
        ran.append("kernel")
        return 2 * x

    def twin(x):
        ran.append("twin")
        return x + x

    return Contested("double", kernel, twin), ran


@pytest.mark.parametrize("times, runs", [((10, 25), "kernel"), ((25, 10), "twin")])
def test_a_contested_operator_takes_the_winner(times, runs, monkeypatch):
    double, ran = contested(monkeypatch, *times)
    x = X.clone().requires_grad_()
    double(x).sum().backward()
    assert torch.equal(x.grad, torch.full_like(x, 2))
    assert ran == [runs]
    with torch.no_grad():
        assert not double(x).requires_grad
    assert len(double.times) == 2
    assert torch.equal(torch.compile(double, backend="eager", fullgraph=True)(x), 2 * X)
    assert ran[2:] == ["twin"]
    told = "triton in 2 of 2 cases, 2.5 to 2.5 times as fast as torch" if runs == "kernel" else "triton in 0 of 2 cases"
    assert outcome("sums", [double, torch.add]) == f"sums: {told}"
    assert outcome("sums", [torch.add]) == "sums"


@pytest.mark.parametrize("busy", [True, False])
def test_what_cannot_be_measured_is_asked_again_only_if_it_can_be_later(busy, monkeypatch):
    asked = []
    monkeypatch.setattr(contest, "_times", lambda *_: asked.append(1))
    monkeypatch.setattr(contest, "_busy", lambda _: busy)
    double = Contested("double", lambda x: pytest.fail("an unmeasured kernel was used"), lambda x: x + x)
    for _ in range(3):
        assert torch.equal(double(X), 2 * X)
    assert len(asked) == (3 if busy else 1)


def test_what_is_measured_may_be_told(clock, monkeypatch):
    """Of operators that give more than tensors, such as a tape."""

    def measured(run, given):
        def values_1():
            return run(*given)["value"]

        def values_2():
            return run(*given)["value"]

        return values_1 if run is quick else values_2

    def quick(x):
        return {"value": x, "by": "kernel"}

    double = Contested("tape", quick, lambda x: {"value": x, "by": "twin"}, measured)
    monkeypatch.setattr(contest, "_times", partial(times_anywhere, contest._times))
    assert double(X)["by"] == "kernel"


def times_anywhere(times, name, key, kernel, twin, device):
    return times(name, key, kernel, twin, CUDA)


def test_the_choice_for_each_device(monkeypatch):
    cpu = torch.device("cpu")
    for interpreted in (True, False):
        monkeypatch.setattr(triton_support, "INTERPRETED", interpreted)
        assert dispatch.wanted("auto", CUDA) == ("torch" if interpreted else "contest")
        assert dispatch.wanted("auto", cpu) == dispatch.wanted("torch", CUDA) == "torch"
        assert dispatch.wanted("triton", CUDA) == "triton"
    with pytest.raises(ValueError, match="needs a CUDA device, not cpu; give auto or torch"):
        dispatch.wanted("triton", cpu)
    with pytest.raises(ValueError, match="one of auto, triton, torch, not 'Tritn'; did you mean 'triton'"):
        dispatch.wanted("Tritn", cpu)


def test_without_triton_there_is_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "pdeml_kernels.triton_support", None)
    assert dispatch.wanted("auto", CUDA) == "torch"
    with pytest.raises(ValueError, match="triton, which is not installed"):
        dispatch.wanted("triton", CUDA)


def test_operators_of_a_family_are_contested_on_a_gpu(monkeypatch):
    monkeypatch.setattr(triton_support, "INTERPRETED", False)
    found = dispatch.spectral_kernels("auto", CUDA)
    assert isinstance(found.conv, Contested)
    assert "whichever is faster" in found.note
