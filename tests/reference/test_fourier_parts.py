"""Phi functions, transforms, and trigonometric polynomials evaluated anywhere."""

import math

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import pdeml as pm
from pdeml.reference.fourier import FourierSolved
from pdeml.reference.fourier.modes import Modes
from pdeml.reference.fourier.symbol import Operator, phi_functions


def phi(j, z):
    """The confluent hypergeometric function, with digits to spare."""
    with mpmath.workdps(30):
        return complex(mpmath.hyp1f1(1, j + 1, mpmath.mpc(z)) / math.factorial(j))


@given(st.floats(-1e4, 1.0), st.floats(-50.0, 50.0), st.sampled_from([0, -2, -5, -9]))
def test_phi_functions_of_numbers(real, imaginary, digits):
    z = complex(real, imaginary) * 10.0**digits
    found = phi_functions(torch.tensor([z], dtype=torch.complex128), torch.mul, False)
    for j, value in enumerate(found):
        assert abs(complex(value[0]) - phi(j, z)) <= 4e-16 * max(1, abs(z.imag)) * max(1, abs(phi(j, z))) + 4e-16


def test_phi_functions_of_matrices():
    rng = np.random.default_rng(0)
    values = np.array([-300.0, 0.5, -2 + 3j])
    base = rng.normal(size=(3, 3)) + 3 * np.eye(3)
    matrix = torch.as_tensor(base @ np.diag(values) @ np.linalg.inv(base))
    for j, found in enumerate(phi_functions(matrix[None], torch.matmul, True)):
        expected = base @ np.diag([phi(j, z) for z in values]) @ np.linalg.inv(base)
        np.testing.assert_allclose(found[0].numpy(), expected, atol=2e-13)


def test_phi_functions_of_a_matrix_that_cannot_be_diagonalised_and_of_a_stiff_oscillator():
    block = torch.zeros(1, 2, 2, 2, dtype=torch.complex128)
    block[0, 0, 1] = 1.0
    block[0, 1, 0, 1] = -(1e3**2)  # second wave number: u_tt = -1e6 u
    for j, found in enumerate(Operator(block, matrix=True).phi(0.1)):
        still, fast = found.values[0, ..., 0].numpy(), found.values[0, ..., 1].numpy()
        expected = np.array([[1, 0.1 / (j + 1)], [0, 1]]) / math.factorial(j)
        np.testing.assert_allclose(still, expected, rtol=1e-14, atol=1e-16)
        cos, sin = phi(j, 100j).real, phi(j, 100j).imag
        np.testing.assert_allclose(fast, [[cos, sin / 1e3], [-1e3 * sin, cos]], rtol=1e-12, atol=1e-13)


SHAPES = [(8,), (9,), (16, 11), (7, 8), (8, 9, 10)]


@pytest.mark.parametrize("truncate", [False, True])
@pytest.mark.parametrize("sizes", SHAPES, ids=str)
def test_transforms_are_inverse_and_derivatives_exact(sizes, truncate):
    modes = Modes(sizes, [2.0] * len(sizes), truncate)
    rng = np.random.default_rng(1)
    values = modes.inverse(modes.forward(torch.as_tensor(rng.normal(size=(3, *sizes)))))  # now a kept polynomial
    coefficients = modes.forward(values)
    torch.testing.assert_close(modes.inverse(coefficients), values, atol=1e-14, rtol=0)
    axes = np.meshgrid(*(2.0 * np.arange(n) / n for n in sizes), indexing="ij")
    phase = np.pi * (sum(axes) + 0.3)
    index = (1,) * (len(sizes) - 1) + (2,)
    found = modes.inverse(modes.forward(torch.as_tensor(np.sin(phase))) * modes.derivative(index))
    expected = np.pi ** sum(index) * np.sin(phase + sum(index) * np.pi / 2)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-11)


@pytest.mark.parametrize("sizes", SHAPES, ids=str)
def test_quadratic_products_are_exact_in_the_modes_that_are_kept(sizes):
    modes, fine = Modes(sizes, [1.0] * len(sizes), True), [4 * n for n in sizes]
    rng = np.random.default_rng(2)
    a, b = (modes.forward(torch.as_tensor(rng.normal(size=sizes))) for _ in "ab")
    a, b = (modes.forward(modes.inverse(part)) for part in (a, b))
    found = modes.forward(modes.inverse(a) * modes.inverse(b))

    def full(coefficients):
        solved = solution(modes, coefficients)
        return solved.on_axes({name: np.arange(n) / n for name, n in zip("xyz", fine, strict=False)})["u"][0]

    exact = np.fft.rfftn(full(a) * full(b), norm="forward")
    rows = [
        np.arange(-m, m + 1)[[*range(m, 2 * m + 1), *range(m)]] if k < len(sizes) - 1 else np.arange(m + 1)
        for k, m in enumerate(modes.degrees)
    ]
    np.testing.assert_allclose(found.numpy(), exact[np.ix_(*rows)], atol=1e-14)


def solution(modes, coefficients):
    names = "xyz"[: len(modes.sizes)]
    problem = pm.Problem(
        coordinates={**dict.fromkeys(names, (0, 1)), "t": (0, 1)},
        time="t",
        unknowns="u",
        equations="u_t = u_xx",
        conditions=[pm.Initial(u=0), *(pm.Periodic(name) for name in names)],
    )
    return FourierSolved(problem, np.zeros(1), torch.view_as_real(coefficients)[None, None].numpy())


@pytest.mark.parametrize("sizes", SHAPES, ids=str)
def test_evaluation_agrees_on_all_kinds_of_axes(sizes):
    """Even axes go by an FFT, coarser or finer than the grid and of any start; others by sums."""
    rng = np.random.default_rng(3)
    modes = Modes(sizes, [1.0] * len(sizes), False)
    solved = solution(modes, modes.forward(torch.as_tensor(rng.normal(size=sizes))))
    kinds = [
        np.linspace(0, 1, 6),
        np.linspace(0.03, 0.03 + 3 / 40, 4),
        rng.uniform(0, 1, 5),
        np.array([0.4]),
        np.arange(3) / 3,
    ]
    for shift in range(len(kinds)):
        axes = {name: kinds[(shift + k) % len(kinds)] for k, name in enumerate("xyz"[: len(sizes)])}
        mesh = np.meshgrid(*axes.values(), indexing="ij")
        points = np.stack([part.ravel() for part in mesh], 1)
        found, expected = solved.on_axes(axes)["u"], solved.at_space(points)["u"]
        np.testing.assert_allclose(found.reshape(1, -1), expected, atol=1e-12)


@pytest.mark.parametrize("sizes", SHAPES, ids=str)
def test_evaluation_reproduces_the_values_on_the_grid(sizes):
    modes = Modes(sizes, [1.0] * len(sizes), False)
    rng = np.random.default_rng(4)
    coefficients = modes.forward(torch.as_tensor(rng.normal(size=sizes)))
    axes = {name: np.arange(n) / n for name, n in zip("xyz", sizes, strict=False)}
    found = solution(modes, coefficients).on_axes(axes)["u"][0]
    np.testing.assert_allclose(found, modes.inverse(coefficients).numpy(), atol=1e-13)
