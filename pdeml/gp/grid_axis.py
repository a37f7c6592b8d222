"""The functions of one coordinate that a kernel on a grid spans, in a basis that rounding leaves intact."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pdeml.errors import InputError
from pdeml.gp.envelopes import Gaussian
from pdeml.gp.kernels import Kernel
from pdeml.gp.prior import SpectralFeatures

__all__ = ["CardinalAxis", "KernelAxis"]

_CANDIDATES = 4
"""Places from which one node is chosen."""
_BLOCK = 1 << 23
_FLOOR = 1e-13
_PHASES = 10.0
"""Times the rounding error of a feature's phase: singular values below that share of the largest are noise."""
_EIGENVALUES = 1e-12


class KernelAxis:
    """The space ``span{k(·, X_1), …, k(·, X_n)}`` on ``[low, high]``, as a `pdeml.tensor.AxisBasis`.

    With the eigenvectors V of ``K = k(X, X)`` the basis is ``φ(x) = k(x, X) K⁻¹ V``: the cardinal functions of the
    grid, turned so that they are orthonormal on it. Eigenvectors whose eigenvalue is rounding are left out: m <= n.
    Where the spectrum is known in closed form (Gaussian envelopes) the eigenvectors are the left singular vectors of
    spectral features F, ``K = F Fᵀ``, which are right to the square root of what those of K are: functions of relative
    variance 1e-26, in place of 1e-12, still count.

    A derivative of values on the grid is ``φ^(p)(X) Vᵀ U = K^(p) K⁻¹ U``: a kernel differentiation matrix. Nodes of the
    equation are approximate Fekete points: those of a fine grid at which the functions without the conditions at the
    ends are most independent.

    Args:
        kernel: of this coordinate.
        low: the lower end.
        high: the upper end.
        points: number n of points of the uniform grid X.

    Raises:
        InputError: the kernel is not given by finite numbers, or n is below 4.

    Reference: Fasshauer & McCourt, *Stable evaluation of Gaussian RBF interpolants*, SIAM J. Sci. Comput. 34 (2012);
    Sommariva & Vianello, *Computing approximate Fekete points by QR factorizations*, Comput. Math. Appl. 57 (2009).
    """

    def __init__(self, kernel: Kernel, low: float, high: float, points: int):
        if points < 4:
            raise InputError(f"{points} points along a coordinate; a kernel on a grid takes 4 or more")
        self.low, self.high = float(low), float(high)
        self.kernel = kernel.detached()
        self._centre = 0.5 * (self.low + self.high)
        like = self.kernel.weights
        self.grid = torch.linspace(self.low, self.high, points, dtype=like.dtype, device=like.device)
        smooth = isinstance(kernel.envelope, Gaussian)
        self._features = SpectralFeatures.of(self.kernel, self.high - self.low) if smooth else None
        self._turn, self.deviations = self._basis()

    @property
    def size(self) -> int:
        """Number m of functions."""
        return self._turn.shape[1]

    @property
    def joints(self) -> Tensor:
        """None: the functions are smooth over the whole interval."""
        return self.grid.new_zeros(0, self.size)

    def matrix(self, x_N: Tensor, order: int) -> Tensor:
        """Return ``φ_j^(order)(x_i)``, (N, m)."""
        places, back = torch.unique(x_N.to(self.grid), return_inverse=True)
        length = max(1, _BLOCK // len(self._turn))
        parts = [self._raw(part, order) @ self._turn for part in places.split(length)]
        return torch.cat(parts)[back] if parts else self.grid.new_zeros(0, self.size)

    def nodes(self, low: int, high: int) -> Tensor:
        """Return m − low − high Fekete points within the interval, increasing."""
        count = self.size - low - high
        if count < 1:
            raise InputError(f"{self.size} functions of a kernel and {low + high} conditions; take more points")
        steps = torch.arange(_CANDIDATES * self.size, dtype=self.grid.dtype, device=self.grid.device)
        angles = math.pi * (steps + 0.5) / len(steps)
        fine = self._centre - 0.5 * (self.high - self.low) * torch.cos(angles)
        functions = self.matrix(fine, 0)
        ends = [(self.low, p) for p in range(low)] + [(self.high, p) for p in range(high)]
        if ends:
            rows = torch.cat([self.matrix(self.grid.new_tensor([x]), p) for x, p in ends])
            taken, _ = torch.linalg.qr((rows / rows.norm(dim=1, keepdim=True)).T)
            functions = functions - functions @ taken @ taken.T
        return fine[_pivots(functions, count)].sort().values

    def _raw(self, x_N: Tensor, order: int) -> Tensor:
        """Return what the basis is a combination of: features, or the kernel's derivatives with the grid, (N, F)."""
        if self._features is not None:
            return self._features.matrix(x_N - self._centre, order)
        return self.kernel.matrices(x_N, self.grid, order)[order]

    def _basis(self) -> tuple[Tensor, Tensor]:
        """Return the combinations (F, m) and the prior standard deviation of each coefficient, (m,)."""
        raw, scale = self._raw(self.grid, 0), math.sqrt(len(self.grid))
        if not torch.isfinite(raw).all():
            raise InputError("a kernel with weights, widths or frequencies that are not finite")
        if self._features is None:
            values, vectors = torch.linalg.eigh(raw)
            kept = values > _EIGENVALUES * values[-1]
            return vectors[:, kept] / values[kept] * scale, values[kept].sqrt() / scale
        # Features are more than points: their triangular factor is all that the singular vectors need.
        q, r = torch.linalg.qr(raw.T)
        _, values, vectors = torch.linalg.svd(r.T)
        phase = 0.5 * (self.high - self.low) * float(self._features.frequencies.max())
        kept = values > max(_FLOOR, _PHASES * torch.finfo(values.dtype).eps * phase) * values[0]
        return q @ vectors[kept].T / values[kept] * scale, values[kept] / scale


class CardinalAxis:
    """The same space by values at nodes Y: ``φ(x) φ(Y)⁻¹``, (N, m), the coefficients being the values.

    These do not depend on how rounding turned the basis of eigenvectors, so that they are what is kept. (On the uniform
    grid itself they would be at the mercy of functions that are small there and large between its last points.)

    Args:
        basis: of the space.
        nodes: Y, (m,), such as all its Fekete points.
    """

    def __init__(self, basis: KernelAxis, nodes: Tensor):
        self.basis = basis
        self.low, self.high = basis.low, basis.high
        self.places = nodes
        self.projection = torch.linalg.pinv(basis.matrix(nodes, 0))

    @property
    def size(self) -> int:
        """Number m of nodes."""
        return len(self.places)

    @property
    def joints(self) -> Tensor:
        """None."""
        return self.places.new_zeros(0, self.size)

    def matrix(self, x_N: Tensor, order: int) -> Tensor:
        """Return derivatives of the cardinal functions, (N, m)."""
        return self.basis.matrix(x_N, order) @ self.projection

    def nodes(self, low: int, high: int) -> Tensor:
        """Return the nodes but the first ``low`` and the last ``high``."""
        return self.places[low : self.size - high]


def _pivots(rows_Nm: Tensor, count: int) -> Tensor:
    """Return ``count`` rows that are most independent, by Gram-Schmidt with pivoting."""
    rest, chosen = rows_Nm.clone(), []
    sizes = rest.square().sum(1)
    basis = rest.new_zeros(count, rest.shape[1])
    for k in range(count):
        best = int(sizes.argmax())
        row = rest[best] - basis[:k].T @ (basis[:k] @ rest[best])
        basis[k] = row / row.norm()
        chosen.append(best)
        sizes = (sizes - (rest @ basis[k]).square()).clamp(min=0)
        sizes[best] = -1.0
    return torch.tensor(chosen, device=rows_Nm.device)
