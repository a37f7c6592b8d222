"""Spectral mixtures: twins against nested automatic differentiation, interpreted Triton kernels against the twins."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch
from torch.autograd import grad, gradcheck
from torch.library import opcheck

from pdeml_kernels import mixture_derivatives, mixture_kernels, mixture_matrices

pytest.importorskip("triton")

from pdeml_kernels import triton_mixture, triton_support
from pdeml_kernels.triton_mixture import mixture_derivatives_triton, mixture_matrices_triton

from .tensors import DEVICE, random

pytestmark = pytest.mark.usefixtures("poison")
OPS = torch.ops.pdeml_kernels
CASES = [(None, 0), (None, 2), (None, 8), (0.5, 0), (2.5, 4), (4.5, 8), (10.5, 3)]  # ν, highest derivative


def mixture(components=3, dtype=torch.float64, fastest=9.0):
    """Weights, widths and frequencies."""
    draw = torch.rand(3, components, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    rows = draw[0] + 0.1, 2 * draw[1] + 0.3, fastest * (2 * draw[2] - 1)
    return [row.to(DEVICE, dtype) for row in rows]


def lags(count, dtype=torch.float64):
    """Of both signs, with zero where there are several."""
    found = random(count, seed=1, dtype=dtype)
    found[1:2] = 0
    return found


def relative(found, expected):
    """The largest error over the largest value."""
    assert found.shape == expected.shape
    return float((found - expected).detach().abs().max() / expected.detach().abs().max())


def compare(triton, twin, given, tolerance):
    """Compare every derivative and every gradient; twins compute in double precision."""
    given = [tensor.detach().requires_grad_() for tensor in given]
    exact = [tensor.detach().double().requires_grad_() for tensor in given]
    found, expected = triton(*given), twin(*exact)
    assert found.dtype == given[0].dtype
    for n in range(len(expected)):
        assert relative(found[n], expected[n]) <= tolerance, f"derivative {n}"
    # Each order counts alike, although the derivatives grow with it.
    sizes = expected.detach().abs().flatten(1).amax(1)
    towards = (random(*expected.shape, seed=9) / sizes.view(-1, *[1] * (expected.ndim - 1))).to(found.dtype)
    pairs = zip(grad(found, given, towards), grad(expected, exact, towards.double()), strict=True)
    for place, (mine, theirs) in enumerate(pairs):
        assert mine.dtype == given[place].dtype
        assert relative(mine, theirs) <= tolerance, f"gradient {place}"


def definition(z, weights, widths, frequencies, nu):
    """The formula of the kernel, to be differentiated by torch; z is not zero."""
    if nu is None:
        envelope = torch.exp(-((widths * z[:, None]) ** 2) / 2)
    else:
        t, p = math.sqrt(2 * nu) * widths * z[:, None].abs(), int(nu - 0.5)
        terms = [math.comb(p, k) * math.perm(2 * p - k, p - k) / math.perm(2 * p, p) for k in range(p + 1)]
        envelope = torch.exp(-t) * sum(c * (2 * t) ** k for k, c in enumerate(terms))
    return (weights * envelope * torch.cos(frequencies * z[:, None])).sum(1)


@pytest.mark.parametrize("nu, highest", [(None, 5), (0.5, 0), (1.5, 2), (4.5, 4)])
def test_the_twin_is_nested_automatic_differentiation(nu, highest):
    z, parameters = random(5).requires_grad_(), [tensor.requires_grad_() for tensor in mixture()]
    found, value = mixture_derivatives(z, *parameters, highest, nu), definition(z, *parameters, nu)
    for n in range(highest + 1):
        assert relative(found[n], value) <= 1e-12
        mine, theirs = (grad(side.sum(), parameters, retain_graph=True) for side in (found[n], value))
        assert max(map(relative, mine, theirs)) <= 1e-11
        slope = grad(value.sum(), z, create_graph=True)[0]
        assert relative(grad(found[n].sum(), z, retain_graph=True)[0], slope) <= 1e-11
        value = slope


@pytest.mark.parametrize("nu, highest", CASES)
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-13)])
def test_derivatives_and_gradients_are_those_of_the_twin(nu, highest, dtype, tolerance):
    compare(
        lambda z, *parameters: mixture_derivatives_triton(z, *parameters, highest, nu),
        lambda z, *parameters: mixture_derivatives(z, *parameters, highest, nu),
        (lags(37, dtype), *mixture(dtype=dtype)),
        tolerance,
    )


@pytest.mark.parametrize("rows, columns", [(1, 9), (7, 1), (5, 13)])
@pytest.mark.parametrize("nu", [None, 3.5])
def test_matrices_form_their_lags(rows, columns, nu):
    compare(
        lambda x, y, *parameters: mixture_matrices_triton(x, y, *parameters, 2, nu),
        lambda x, y, *parameters: mixture_matrices(x, y, *parameters, 2, nu),
        (random(rows, seed=1), random(columns, seed=2), *mixture()),
        1e-13,
    )


def test_many_blocks_give_what_one_gives(monkeypatch):
    monkeypatch.setattr(triton_mixture, "_THREADS", 8)
    x, y, parameters = random(11, seed=1), random(7, seed=2), mixture(4)
    compare(
        lambda x, y, *parameters: mixture_matrices_triton(x, y, *parameters, 3),
        lambda x, y, *parameters: mixture_matrices(x, y, *parameters, 3),
        (x, y, *parameters),
        1e-13,
    )


@pytest.mark.parametrize("dtype, allowed", [(torch.float32, 4e-7), (torch.float64, 4e-15)])
def test_many_turns_cost_no_digits(dtype, allowed):
    """Products m z up to 4000; rounding them alone would cost 2e-4 and 4e-13."""
    z = torch.tensor([1.0, 3.7, -12.1, 40.3], dtype=dtype, device=DEVICE)
    rows = torch.tensor([[1.0], [1e-3], [99.7]], dtype=dtype, device=DEVICE)
    found = mixture_derivatives_triton(z, *rows, 1)
    with mpmath.workdps(40):
        w, k, m = (mpmath.mpf(float(row)) for row in rows)

        def kernel(z):
            return w * mpmath.exp(-((k * z) ** 2) / 2) * mpmath.cos(m * z)

        expected = [[float(mpmath.diff(kernel, mpmath.mpf(float(lag)), n)) for lag in z] for n in range(2)]
    errors = (found.double().cpu() - torch.tensor(expected, dtype=torch.float64)).abs().amax(1)
    assert float(errors[0]) <= allowed
    assert float(errors[1]) <= 99.7 * allowed


def test_absurd_angles_stay_bounded():
    z = torch.tensor([1e15, -3e9, 1e18], device=DEVICE)
    parameters = [torch.tensor([value], device=DEVICE) for value in (1.0, 1e-32, 1e7)]
    found = mixture_derivatives_triton(z, *parameters, 0)
    assert (found.abs() <= 1.01).all()
    vanished = mixture_derivatives_triton(z, parameters[0], parameters[0], parameters[2], 2)
    assert (vanished == 0).all()


def test_places_beyond_32_bits():
    """Derivatives that lie 2³⁰ numbers apart, as of so many lags; memory between them is never touched."""
    z, parameters = lags(1024, torch.float32), mixture(dtype=torch.float32)
    given, near = triton_mixture._Mixture.of(z, None, *parameters), mixture_derivatives_triton(z, *parameters, 2)
    far = torch.empty(2**31 + 1024, device=DEVICE).as_strided(near.shape, (2**30, 1))

    def launched(plan, **arguments):
        triton_support.launch(plan._replace(arguments={**plan.arguments, **arguments}))

    launched(triton_mixture.mixture_plan(given, far, None), points=2**30)
    assert torch.equal(far, near)
    pairs = [triton_mixture.mixture_backward_plan(given, table, None, None) for table in (far, near)]
    for (plan, _), arguments in zip(pairs, ({"points": 2**30}, {}), strict=True):
        launched(plan, **arguments)
    assert torch.equal(*(sums for _, sums in pairs))


@pytest.mark.parametrize("nu", [None, 2.5])
def test_moments_of_odd_order_are_zero(nu):
    zero = torch.zeros(1, dtype=torch.float64, device=DEVICE)
    found = mixture_derivatives_triton(zero, *mixture(), 4, nu)[:, 0]
    assert (found[1::2] == 0).all()
    assert (found[::2] * torch.tensor([1.0, -1.0, 1.0], device=DEVICE) > 0).all()


def test_views_are_read_where_they_are():
    z, parameters = random(74)[::2], torch.stack(mixture(), 1).unbind(1)
    assert not any(tensor.is_contiguous() for tensor in (z, *parameters))
    compare(
        lambda z, *parameters: mixture_derivatives_triton(z, *parameters, 1),
        lambda z, *parameters: mixture_derivatives(z, *parameters, 1),
        (z, *parameters),
        1e-13,
    )
    z, parameters = z.clone().requires_grad_(), mixture()
    one, two = (run(z, *parameters, 1).sum() for run in (mixture_derivatives_triton, mixture_derivatives))
    torch.testing.assert_close(*(grad(total, z)[0] for total in (one, two)))  # of a gradient without memory


def test_nothing_in_gives_nothing_out():
    none, parameters = random(0).requires_grad_(), [tensor.requires_grad_() for tensor in mixture()]
    for run in (mixture_derivatives, mixture_derivatives_triton):
        found = run(none, *parameters, 2)
        assert found.shape == (3, 0)
        of_lags, *others = grad(found.sum(), (none, *parameters))
        assert of_lags.shape == (0,)
        assert not any(tensor.any() for tensor in others)
        empty = run(random(4), *[tensor[:0] for tensor in parameters], 1)
        assert empty.shape == (2, 4)
        assert not empty.any()
    for run in (mixture_matrices, mixture_matrices_triton):
        assert run(random(3), none, *parameters, 1).shape == (2, 3, 0)


def test_gradients_are_summed_as_far_as_they_are_wanted():
    x, y, parameters = random(3), random(4), mixture()
    x.requires_grad_()
    parameters[1].requires_grad_()
    found = mixture_matrices_triton(x, y, *parameters, 1)
    expected = mixture_matrices(x, y, *parameters, 1)
    for tensor in (x, parameters[1]):
        pair = (grad(side.square().sum(), tensor, retain_graph=True)[0] for side in (found, expected))
        torch.testing.assert_close(*pair)


def test_they_are_operators_of_torch():
    z, y, parameters = random(5).requires_grad_(), random(2, seed=3).requires_grad_(), mixture(2)
    parameters = [tensor.requires_grad_() for tensor in parameters]
    opcheck(OPS.mixture_derivatives.default, (z, *parameters, 1, 2.5))
    opcheck(OPS.triton_mixture.default, (z, None, *parameters, 1, 2.5))
    opcheck(OPS.triton_mixture.default, (z, y, *parameters, 1, None))
    only = {"test_utils": ("test_schema", "test_faketensor")}
    given = random(2, 10), z.detach(), y.detach(), *mixture(2)
    for of_lags in (True, False):
        opcheck(OPS.triton_mixture_backward.default, (*given, None, of_lags), **only)
        opcheck(
            OPS.mixture_derivatives_backward.default, (random(2, 5), z.detach(), *mixture(2), None, of_lags), **only
        )


def test_gradients_are_those_of_differences():
    z, parameters = random(3).requires_grad_(), [tensor.requires_grad_() for tensor in mixture(2, fastest=2.0)]
    for nu in (None, 3.5):
        for run in (mixture_derivatives, mixture_derivatives_triton):
            assert gradcheck(lambda *given, run=run, nu=nu: run(*given, 2, nu), (z, *parameters), fast_mode=True)


def test_they_stay_whole_in_compiled_programs():
    parameters = mixture()

    def program(z):
        one, two = mixture_derivatives_triton(z, *parameters, 2), mixture_derivatives(z, *parameters, 2)
        return (one * two).sum() + mixture_matrices_triton(z, z, *parameters, 0).sum()

    compiled = torch.compile(program, fullgraph=True, backend="aot_eager")
    found, expected = (grad(run(x), x)[0] for run in (compiled, program) for x in [lags(6).requires_grad_()])
    torch.testing.assert_close(found, expected)


def test_equal_inputs_give_equal_bits():
    given = [tensor.requires_grad_() for tensor in (lags(600, torch.float32), *mixture(dtype=torch.float32))]

    def found():
        table = mixture_derivatives_triton(*given, 1)
        return table, *grad(table.square().sum(), given)

    assert all(torch.equal(a, b) for a, b in zip(found(), found(), strict=True))


@pytest.mark.parametrize("run", [mixture_derivatives, mixture_derivatives_triton])
def test_what_is_no_mixture_is_refused(run):
    z, parameters = lags(3), mixture()
    with pytest.raises(ValueError, match=r"not the shapes \(1, 3\)"):
        run(z[None], *parameters, 1)
    with pytest.raises(ValueError, match=r"not the shapes \(3,\), \(3,\), \(3,\), \(2,\)"):
        run(z, *parameters[:2], parameters[2][:2], 1)
    with pytest.raises(ValueError, match=r"not torch\.float32, torch\.float64"):
        run(z.float(), *parameters, 1)
    with pytest.raises(ValueError, match=r"half-integer from 0\.5 to 10\.5, or None, not 2\.0"):
        run(z, *parameters, 1, 2.0)
    with pytest.raises(ValueError, match=r"up to 2, which a kernel of nu = 1\.5 has, not 3"):
        run(z, *parameters, 3, 1.5)
    with pytest.raises(ValueError, match="a number from 0, not -1"):
        run(z, *parameters, -1)


def test_no_kernel_reads_what_is_not_on_its_device(monkeypatch):
    monkeypatch.setattr(triton_support, "INTERPRETED", False)
    for run in (mixture_derivatives_triton, lambda z, *rest: mixture_matrices_triton(z, z, *rest)):
        with pytest.raises(ValueError, match="on a CUDA device, not on cpu"):
            run(lags(3).cpu(), *(tensor.cpu() for tensor in mixture()), 1)


def test_triton_is_used_only_where_it_is_asked_for():
    cpu = torch.device("cpu")
    assert mixture_kernels("auto", cpu).derivatives is mixture_derivatives
    assert mixture_kernels("torch", cpu).matrices is mixture_matrices
    chosen = mixture_kernels("triton", torch.device(DEVICE))
    assert chosen[:2] == (mixture_derivatives_triton, mixture_matrices_triton)
    assert "triton" in chosen.note


def test_the_report_is_given_plans_of_both_kernels():
    plans = list(triton_mixture.example_plans(torch.float32, "ieee"))
    assert len({name for name, _ in plans}) == len(plans)
    kernels = triton_mixture.mixture_kernel, triton_mixture.mixture_backward_kernel
    assert {id(plan.kernel) for _, plan in plans} == set(map(id, kernels))


@pytest.mark.gpu
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("nu", [None, 4.5])
def test_large_matrices(dtype, tolerance, nu):
    compare(
        lambda x, y, *parameters: mixture_matrices_triton(x, y, *parameters, 4, nu),
        lambda x, y, *parameters: mixture_matrices(x, y, *parameters, 4, nu),
        (random(1025, seed=1, dtype=dtype), random(777, seed=2, dtype=dtype), *mixture(30, dtype, 100.0)),
        tolerance,
    )


@pytest.mark.gpu
def test_a_step_is_captured_in_a_graph():
    given = [tensor.requires_grad_() for tensor in (lags(3000, torch.float32), *mixture(dtype=torch.float32))]
    step = torch.cuda.make_graphed_callables(lambda *given: mixture_derivatives_triton(*given, 2), tuple(given))
    compare(step, lambda *given: mixture_derivatives(*given, 2), given, 1e-5)
