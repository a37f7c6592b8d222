"""Gaussian conditioning: what a Gaussian becomes when linear functionals of it are known, exactly or with noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeml.errors import InputError, RunError
from pdeml.linalg.cholesky import factor_spd

__all__ = ["Determined", "Gaussian", "Observed", "condition", "observe", "observe_features"]

_EIGEN_LIMIT = 2000
"""Rows up to which a covariance is taken apart into eigenvectors; beyond, a Cholesky factor with jitter."""

_CUT = 1e-14
"""Eigenvalues below this share of the largest are rounding."""

_REFINEMENTS = 3


@dataclass(frozen=True, eq=False)
class Observed:
    """A Gaussian vector of m numbers with mean zero and covariance S, of which the values d have been seen.

    Whatever is jointly Gaussian with it is conditioned by its cross covariance C: mean ``C S⁻¹ d``, covariance less
    ``C S⁻¹ Cᵀ``.

    Args:
        weights: ``S⁻¹ d``, (m,) or (m, K).
        root: (m, r), with ``root rootᵀ`` the inverse of S, or its pseudo-inverse.
        log_determinant: of S, over the r directions kept.
        square: ``dᵀ S⁻¹ d``, summed over the K columns.
        jitter: what was added to the diagonal of S, or the share of the largest eigenvalue below which it was cut off.
        misfit: ``‖S weights − d‖ / ‖d‖``: above rounding where the values contradict each other.
    """

    weights: Tensor
    root: Tensor
    log_determinant: float
    square: float
    jitter: float
    misfit: float

    @property
    def rank(self) -> int:
        """Number r of independent values."""
        return self.root.shape[1]

    @property
    def log_evidence(self) -> float:
        """Logarithm of the density of the values, over the r directions that vary."""
        columns = self.weights[0].numel() if len(self.weights) else 1
        return -0.5 * (self.square + columns * (self.log_determinant + self.rank * math.log(2 * math.pi)))

    def solve(self, values: Tensor) -> Tensor:
        """Return ``S⁻¹ v`` for other values, (m,) or (m, K)."""
        return self.root @ (self.root.T @ values)

    def mean(self, cross_Nm: Tensor) -> Tensor:
        """Return the mean of N numbers of prior mean zero, (N,) or (N, K)."""
        return cross_Nm @ self.weights

    def variance(self, prior_N: Tensor, cross_Nm: Tensor) -> Tensor:
        """Return their variances, (N,), never below zero."""
        return (prior_N - (cross_Nm @ self.root).square().sum(1)).clamp(min=0)

    def covariance(self, prior_NN: Tensor, cross_Nm: Tensor) -> Tensor:
        """Return their covariance, (N, N)."""
        known = cross_Nm @ self.root
        return prior_NN - known @ known.T


def observe(matrix_mm: Tensor, values: Tensor, nugget: float = 0.0) -> Observed:
    """Factor the covariance S of m numbers and solve for their values.

    Up to 2000 rows by eigenvectors without those that are rounding: jitter, which keeps Cholesky factors alive, would
    cost digits. Beyond, by a Cholesky factor with the smallest jitter that works, and iterative refinement.

    Args:
        matrix_mm: S, symmetric positive semi-definite; a diagonal of about one size is best.
        values: d, (m,) or (m, K).
        nugget: the first jitter tried beyond 2000 rows.

    Raises:
        RunError: the matrix is not finite, or not positive definite whatever the jitter.

    Reference: Rasmussen & Williams, *Gaussian Processes for Machine Learning* (2006), equations 2.25, 2.26 and 2.30.
    """
    if not (torch.isfinite(matrix_mm).all() and torch.isfinite(values).all()):
        raise RunError("the covariance of the rows, or a value, is not finite")
    right = values.reshape(len(values), -1)
    if len(matrix_mm) <= _EIGEN_LIMIT:
        sizes, vectors = torch.linalg.eigh(matrix_mm)
        kept = sizes > _CUT * sizes.amax().clamp(min=0) if len(sizes) else sizes > 0
        root, jitter = vectors[:, kept] * sizes[kept].rsqrt(), _CUT
        solved, logarithm = root @ (root.T @ right), float(sizes[kept].log().sum())
    else:
        root, solved, logarithm, jitter = _by_cholesky(matrix_mm, right, nugget)
    size = float(right.norm())
    misfit = float((matrix_mm @ solved - right).norm()) / size if size else 0.0
    square = float((right * solved).sum())
    return Observed(solved.reshape(values.shape), root, logarithm, square, jitter, misfit)


def _by_cholesky(matrix: Tensor, right: Tensor, nugget: float) -> tuple[Tensor, Tensor, float, float]:
    factor = factor_spd(matrix, nugget)
    solved = torch.cholesky_solve(right, factor.lower)
    for _ in range(_REFINEMENTS):
        solved = solved + torch.cholesky_solve(right - matrix @ solved, factor.lower)
    identity = torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
    root = torch.linalg.solve_triangular(factor.lower, identity, upper=False).T
    return root, solved, 2 * float(factor.lower.diagonal().log().sum()), factor.jitter


@dataclass(frozen=True, eq=False)
class Determined:
    """Weights ``θ ~ N(0, I)`` of F features, of which ``A θ = d`` is known: the square-root form of `Observed`.

    Args:
        mean: the solution of least norm, (F,) or (F, K).
        known: orthonormal directions that the rows determine, (F, r).
        sizes: singular values of A along them, (r,), largest first.
        log_determinant: of ``A Aᵀ``, over these directions.
        square: ``|mean|² = dᵀ (A Aᵀ)⁻¹ d``, summed over the columns.
        cut: share of the largest singular value below which directions count as undetermined.
        misfit: ``‖A mean − d‖ / ‖d‖``.
    """

    mean: Tensor
    known: Tensor
    sizes: Tensor
    log_determinant: float
    square: float
    cut: float
    misfit: float

    @property
    def rank(self) -> int:
        """Number r of directions."""
        return self.known.shape[1]


def observe_features(rows_mF: Tensor, values: Tensor, cut: float = 1e-12) -> Determined:
    """Condition ``θ ~ N(0, I)`` on exact rows by singular values.

    For a covariance ``S = A Aᵀ`` that is known by its root, this is `observe` with twice its digits: a covariance
    squares the condition of the problem.

    Args:
        rows_mF: A; rows of about one size are best.
        values: d, (m,) or (m, K).
        cut: singular values below this share of the largest are rounding.

    Raises:
        RunError: something is not finite, or the singular values do not converge.

    Reference: Rasmussen & Williams, *Gaussian Processes for Machine Learning* (2006), section 2.1, the weight-space
    view, in the limit of no noise.
    """
    if not (torch.isfinite(rows_mF).all() and torch.isfinite(values).all()):
        raise RunError("a row, or its value, is not finite")
    try:
        left, sizes, right = torch.linalg.svd(rows_mF, full_matrices=False)
    except torch.linalg.LinAlgError as error:
        raise RunError(f"the rows cannot be solved: {error}") from error
    rank = int((sizes > cut * sizes.amax()).sum()) if len(sizes) else 0
    flat = values.reshape(len(values), -1)
    coordinates = (left[:, :rank].T @ flat) / sizes[:rank, None]
    known = right[:rank].T.contiguous()
    mean, size = known @ coordinates, float(flat.norm())
    misfit = float((rows_mF @ mean - flat).norm()) / size if size else 0.0
    logarithm, square = 2 * float(sizes[:rank].log().sum()), float(coordinates.square().sum())
    return Determined(mean.reshape(-1, *values.shape[1:]), known, sizes[:rank], logarithm, square, cut, misfit)


@dataclass(frozen=True, eq=False)
class Gaussian:
    """A Gaussian vector of n numbers given values of functionals of it; see `condition`.

    Args:
        mean: (n,) or (n, K).
        observed: the functionals, each scaled to a prior standard deviation of one.
        log_evidence: logarithm of the density of the values before they were seen.
        cross: covariance of the vector with these functionals, (n, m).
        prior: its covariance before, (n, n), or what multiplies by it.
    """

    mean: Tensor
    observed: Observed
    log_evidence: float
    cross: Tensor
    prior: Tensor | Callable[[Tensor], Tensor]

    def times(self, vectors: Tensor) -> Tensor:
        """Return the posterior covariance times vectors, (n, k)."""
        known = self.cross @ self.observed.root
        return _product(self.prior, vectors) - known @ (known.T @ vectors)

    @property
    def covariance(self) -> Tensor:
        """Posterior covariance, (n, n)."""
        if callable(self.prior):
            return self.times(torch.eye(len(self.cross), dtype=self.cross.dtype, device=self.cross.device))
        return self.observed.covariance(self.prior, self.cross)


def condition(
    mean: Tensor,
    covariance: Tensor | Callable[[Tensor], Tensor],
    rows_mn: Tensor,
    values: Tensor,
    noise: Tensor | float = 0.0,
) -> Gaussian:
    """Condition ``u ~ N(μ, Σ)`` on ``b = G u + e``, ``e ~ N(0, R)``.

    The mean becomes ``μ − Σ Gᵀ (R + G Σ Gᵀ)⁻¹ (G μ − b)``, the covariance ``Σ − Σ Gᵀ (R + G Σ Gᵀ)⁻¹ G Σ``. With R = 0
    the constraints hold exactly: the mean is projected onto them, most where it is least sure. Constraints that repeat
    each other are counted once.

    Args:
        mean: μ, (n,), or (n, K) for K vectors of one covariance.
        covariance: Σ, (n, n), symmetric positive semi-definite; or a function that multiplies (n, k) by it.
        rows_mn: G.
        values: b, (m,) or (m, K).
        noise: R: zero, one variance, variances (m,) or a covariance (m, m).

    Raises:
        InputError: shapes do not fit, or a variance is negative.
        RunError: something is not finite.

    Reference: Hansen et al., *Learning physical models that can respect conservation laws* (ICML 2023), equation 9;
    Rasmussen & Williams, *Gaussian Processes for Machine Learning* (2006), equation A.6.
    """
    m, n = rows_mn.shape
    if mean.shape[0] != n or values.shape != (m, *mean.shape[1:]):
        raise InputError(f"a mean {tuple(mean.shape)}, rows {m, n} and values {tuple(values.shape)} do not fit")
    cross = _product(covariance, rows_mn.T)
    matrix = rows_mn @ cross + _noise(noise, rows_mn)
    scale = torch.where(matrix.diagonal() > 0, matrix.diagonal(), 1.0).rsqrt()
    misfit = (values - rows_mn @ mean).reshape(m, -1) * scale[:, None]
    scaled = matrix * scale[:, None] * scale
    observed = observe(0.5 * (scaled + scaled.T), misfit.reshape(values.shape))
    cross = cross * scale
    columns = misfit.shape[1]
    return Gaussian(
        mean + observed.mean(cross),
        observed,
        observed.log_evidence + columns * float(scale.log().sum()),
        cross,
        covariance,
    )


def _product(covariance: Tensor | Callable[[Tensor], Tensor], vectors: Tensor) -> Tensor:
    return covariance(vectors) if callable(covariance) else covariance @ vectors


def _noise(noise: Tensor | float, like: Tensor) -> Tensor:
    """Return R, (m, m)."""
    m = len(like)
    given = torch.as_tensor(noise, dtype=like.dtype, device=like.device)
    if given.ndim > 2 or any(size != m for size in given.shape):
        raise InputError(f"noise of shape {tuple(given.shape)}; one variance, {m} of them, or a matrix of {m} rows")
    if given.ndim == 2:
        return given
    if bool((given < 0).any()):
        raise InputError(f"a variance of {float(given.min()):g}; variances are not negative")
    return torch.diag(given.expand(m))
