"""The published joint objective: grid values, kernels and precisions of conditions and equation in one density.

``U_u = (L_1 ⊗ … ⊗ L_D) W_u`` with ``K_j = L_j L_jᵀ``: the density is that of the values U, but the coordinates W, in
which the prior is a standard normal, are what is stepped in. Every operation is a product with an n_j × n_j matrix.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from pdeml.gp.envelopes import Envelope
from pdeml.gp.grid_algebra import along, require_memory, toeplitz
from pdeml.gp.joint_ansatz import JointAnsatz
from pdeml.gp.joint_program import Specialised
from pdeml.gp.kernels import KernelCodec, ProductKernel, spectral_mixture
from pdeml.linalg import NotPositiveDefinite, factor_spd
from pdeml.lower import Index, Statement, estimate_scales, statements
from pdeml.problem import Problem
from pdeml.tensor.conditions import Side, normals_of, read_sides

__all__ = ["JointObjective", "first_guess", "joint_memory"]


_WAVES = 8.0
"""Radians over the interval that are resolved beyond the bandwidth."""
_SAMPLING, _SPARE = 1.5, 12
_SMALLEST = 1e-16
"""Mean square of a scaled residual below which its precision is not raised at the start."""


class JointObjective:
    """Negative logarithm of the joint density of the values U, the kernels and the data, per grid point:

        L = ½ Σ_j (N/n_j) log det K_j + ½ ⟨U, (K_1 ⊗ … ⊗ K_D)⁻¹ U⟩
          + λ_b (½ τ ‖B U − g‖² − ½ N_b log τ) + ½ v ‖R(U)‖² − ½ N_c log v,

    for each unknown with its kernels, divided by N. Derivatives of U are those of the conditional mean:
    ``∂^p = K^(p) K⁻¹`` along each coordinate. R and B are the residuals in the scaled equations (dimensionless), at all
    grid points and at those of each side. An objective of `pdeml.optim`: ``z = (W, kernels, log τ, log v)``.

    Args:
        problem: on a box; it need not be linear.
        sizes: points n_j of the uniform grid along each coordinate.
        kernels: where to begin, one for each unknown.
        boundary_weight: λ_b.
        nugget: of each K_j, relative to its variance.
        device: where it is evaluated; z is there.

    Raises:
        InputError: a condition is not on whole sides, the kernel is too rough, or the memory does not suffice.

    Reference: Fang et al., *Solving high frequency and multi-scale PDEs with Gaussian processes* (ICLR 2024), §3.
    """

    def __init__(
        self,
        problem: Problem,
        sizes: Sequence[int],
        kernels: Sequence[ProductKernel],
        boundary_weight: float = 200.0,
        nugget: float = 1e-6,
        device: str = "cpu",
    ):
        self.problem, self.sizes = problem, tuple(sizes)
        self.boundary_weight, self.nugget = boundary_weight, nugget
        self._begin = tuple(kernels)
        scales = estimate_scales(problem)
        whole, *_ = every = statements(problem, scales)
        channels, unknowns = len(whole.plan.spec.indices) + 2, len(problem.names.real_unknowns)
        require_memory(self.sizes, lambda n: joint_memory(n, unknowns, channels))
        bounds = problem.domain.bounds.tolist()
        self.axes = tuple(
            torch.linspace(*ends, n, dtype=torch.float64, device=device) for ends, n in zip(bounds, sizes, strict=True)
        )
        self.extents = tuple(high - low for low, high in bounds)
        self._typical = tuple(scales.unknowns.get(name) or 1.0 for name in problem.names.real_unknowns)
        self.codec = KernelCodec.of(kernels, [2 * math.pi / extent for extent in self.extents])
        self._blocks = [_Rows(whole), *(_Rows(side.statement, side) for side in read_sides(problem, every))]
        self._periodic = [
            (problem.names.coordinates.index(name), order, unknown)
            for name in problem.periodic
            for unknown, called in enumerate(problem.names.real_unknowns)
            for order in range(max(form.order(name, called) for form in problem.forms))
        ]

    @cached_property
    def unknowns(self) -> int:
        """Number U."""
        return len(self.problem.names.real_unknowns)

    @property
    def size(self) -> int:
        """Length of z."""
        return self.unknowns * math.prod(self.sizes) + self.codec.size + 2

    def start(self, values: Tensor | None = None) -> Tensor:
        """Return z of given values, the first kernels, and the precision that is best for the worst residual.

        The density has no bound: a precision runs off where its part of the data is met ever better, whatever becomes
        of the rest. Beginning near a solution, with equal precisions, keeps to the maximum that is meant.

        Args:
            values: U, (U, n_1, …, n_D); zero by default.
        """
        if values is None:
            values = self.axes[0].new_zeros(self.unknowns, *self.sizes)
        parameters = self.codec.pack(self._begin).to(values.device)
        blank = torch.cat([torch.zeros_like(values).reshape(-1), parameters, values.new_zeros(2)])
        with torch.no_grad():
            axes, _ = self._values(blank)
            whitened = values.clone()
            for u, own in enumerate(axes):
                for j, axis in enumerate(own):
                    whitened[u] = along(axis.inverse, whitened[u], j)
            worst = max(float(rows.square().mean()) for rows in self._residuals(axes, list(values)))
        best = -math.log(max(worst, _SMALLEST))
        return torch.cat([whitened.reshape(-1), parameters, values.new_tensor([best, best])])

    def value(self, z: Tensor) -> Tensor:
        """Return L / N."""
        with torch.no_grad():
            return self._checked(z)

    def gradient(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return L / N and its gradient; both are of no use (infinite, zero) where rounding makes a K_j indefinite."""
        theta = z.detach().clone().requires_grad_()
        with torch.enable_grad():
            value = self._checked(theta)
            if not torch.isfinite(value):
                return value.detach(), torch.zeros_like(z)
            (slope,) = torch.autograd.grad(value, theta)
        return value.detach(), slope

    def norms(self, z: Tensor) -> dict[str, float]:
        """Return the root mean square of each scaled residual on the grid, by statement."""
        with torch.no_grad():
            axes, values = self._values(z)
            squares: dict[str, list[Tensor]] = {}
            for rows in self._blocks:
                found = self._residual(rows, axes, values)
                squares.setdefault(rows.statement.name, []).append(found.square().mean())
        return {name: float(torch.stack(parts).mean().sqrt()) for name, parts in squares.items()}

    def kernels(self, z: Tensor) -> tuple[ProductKernel, ...]:
        """Return the kernels of z."""
        return tuple(kernel.detached() for kernel in self.codec.unpack(self._split(z)[1]))

    def values(self, z: Tensor) -> Tensor:
        """Return U on the grid, (U, n_1, …, n_D)."""
        with torch.no_grad():
            return torch.stack(self._values(z)[1])

    def ansatz(self, z: Tensor) -> tuple[JointAnsatz, Tensor]:
        """Return the conditional mean as a family of functions and its parameters ``K⁻¹ U``."""
        with torch.no_grad():
            axes, _ = self._values(z)
            weights = []
            for whitened, own in zip(self._split(z)[0], axes, strict=True):
                for j, axis in enumerate(own):
                    whitened = along(axis.inverse.T, whitened, j)
                weights.append(whitened)
        return JointAnsatz(self.kernels(z), self.axes), torch.stack(weights).reshape(-1)

    def _split(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        whitened, kernels, precisions = z.split([self.unknowns * math.prod(self.sizes), self.codec.size, 2])
        return whitened.reshape(self.unknowns, *self.sizes), kernels, precisions

    def _values(self, z: Tensor) -> tuple[list[list[_Axis]], list[Tensor]]:
        """Return the matrices of each unknown and axis, and the values of each unknown."""
        whitened, parameters, _ = self._split(z)
        axes, values = [], []
        for kernel, field in zip(self.codec.unpack(parameters), whitened, strict=True):
            own = [
                _Axis.of(k, x, self.nugget, order)
                for k, x, order in zip(kernel.axes, self.axes, self._orders, strict=True)
            ]
            for j, axis in enumerate(own):
                field = along(axis.lower, field, j)
            axes.append(own)
            values.append(field)
        return axes, values

    def _checked(self, z: Tensor) -> Tensor:
        try:
            return self._evaluated(z)
        except NotPositiveDefinite:
            return z.new_tensor(math.inf)

    def _evaluated(self, z: Tensor) -> Tensor:
        whitened, _, (log_tau, log_v) = self._split(z)
        axes, values = self._values(z)
        points = math.prod(self.sizes)
        total = 0.5 * whitened.square().sum()
        for own in axes:
            for n, axis in zip(self.sizes, own, strict=True):
                total = total + points / n * axis.lower.diagonal().log().sum()
        equation, *sides = self._residuals(axes, values)
        total = total + 0.5 * (log_v.exp() * equation.square().sum() - equation.numel() * log_v)
        for side in sides:
            density = 0.5 * (log_tau.exp() * side.square().sum() - side.numel() * log_tau)
            total = total + self.boundary_weight * density
        return total / points

    @cached_property
    def _orders(self) -> tuple[int, ...]:
        """Return the highest derivative along each coordinate that occurs."""
        indices = [
            index for rows in self._blocks for members in rows.statement.plan.spec.members for _, index in members
        ]
        return tuple(max(index[j] for index in indices) for j in range(len(self.sizes)))

    def _residuals(self, axes: list[list[_Axis]], values: list[Tensor]) -> list[Tensor]:
        """Return those of the equation, then those of each side and periodic coordinate."""
        found = [self._residual(rows, axes, values) for rows in self._blocks]
        return found + [self._jump(axes, values, *where) for where in self._periodic]

    def _residual(self, rows: _Rows, axes: list[list[_Axis]], values: list[Tensor]) -> Tensor:
        """Return the scaled and weighted residuals of a statement, (M, points)."""
        plan, statement, jets = rows.statement.plan, rows.statement, {}

        def channel(slot_channel: int, unknown: int) -> Tensor:
            total = 0.0
            for c, index in plan.spec.members[slot_channel]:
                if (index, unknown) not in jets:
                    jets[index, unknown] = self._jet(axes[unknown], values[unknown], index, rows).reshape(-1)
                total = total + c * jets[index, unknown]
            return total  # type: ignore[return-value]

        found = torch.stack(self._program(rows)([channel(slot.channel, slot.unknown) for slot in plan.slots]))
        factors = [w / s for w, s in zip(statement.weights, statement.scales, strict=True)]
        return found * found.new_tensor(factors)[:, None]

    def _jet(self, axes: Sequence[_Axis], values: Tensor, index: Index, rows: _Rows) -> Tensor:
        """Return a derivative of an unknown on the grid, or on one side of it."""
        for j, order in enumerate(index):
            at = slice(None)
            if rows.side is not None and rows.side.axis == j:
                at = slice(-1, None) if rows.side.high else slice(0, 1)
            if order:
                values = along(axes[j].derivative(order)[at], values, j)
            elif at != slice(None):
                values = values[(slice(None),) * j + (at,)]
        return values

    def _jump(self, axes: list[list[_Axis]], fields: list[Tensor], axis: int, order: int, unknown: int) -> Tensor:
        """Return the difference of a derivative between both ends of a periodic coordinate, scaled."""
        values = fields[unknown]
        if order:
            values = along(axes[unknown][axis].derivative(order)[[0, -1]], values, axis)
        ends = values.select(axis, -1) - values.select(axis, 0)
        return ends * self.extents[axis] ** order / self._typical[unknown]

    def _program(self, rows: _Rows) -> Specialised:
        """Return the residuals of a block as a function of its channels."""
        if rows.program is None:
            places = list(self.axes)
            if rows.side is not None:
                places[rows.side.axis] = self.axes[0].new_tensor([rows.side.at])
            mesh = [column.reshape(-1) for column in torch.meshgrid(*places, indexing="ij")]
            normals = None if rows.side is None else normals_of(rows.side, torch.stack(mesh, 1))
            wanted = len(rows.statement.plan.columns) - len(mesh)
            extra = [torch.zeros_like(mesh[0])] * wanted if normals is None else list(normals.unbind(1))
            rows.program = Specialised.of(rows.statement.plan.residual, [*mesh, *extra])
        return rows.program


@dataclass
class _Rows:
    """A statement on the grid, or on a side of it, with its program once that is needed."""

    statement: Statement
    side: Side | None = None
    program: Specialised | None = None


class _Axis:
    """The matrices of one kernel along one axis, differentiable; derivatives when they are asked for."""

    def __init__(self, lower: Tensor, lags: Tensor):
        self.lower, self._lags = lower, lags
        self._derivatives: dict[int, Tensor] = {}

    @classmethod
    def of(cls, kernel, x_n: Tensor, nugget: float, highest: int) -> _Axis:
        lags = kernel.derivatives(x_n - x_n[0], highest)
        matrix = toeplitz(lags[0])
        matrix = matrix + torch.diag((nugget * lags[0, 0]).expand(len(x_n)))
        return cls(_Cholesky.apply(matrix), lags)

    @property
    def inverse(self) -> Tensor:
        """Return ``L⁻¹``, (n, n)."""
        unit = torch.eye(len(self.lower), dtype=self.lower.dtype, device=self.lower.device)
        return torch.linalg.solve_triangular(self.lower, unit, upper=False)

    def derivative(self, order: int) -> Tensor:
        """Return ``D_p = K^(p) K⁻¹``, (n, n)."""
        if order not in self._derivatives:
            raw = toeplitz(self._lags[order], odd=order % 2 == 1)
            self._derivatives[order] = torch.cholesky_solve(raw.T, self.lower).T
        return self._derivatives[order]


class _Cholesky(torch.autograd.Function):
    """``torch.linalg.cholesky`` that reports failure as `NotPositiveDefinite` and takes no jitter of its own."""

    @staticmethod
    def forward(ctx, matrix):
        lower = factor_spd(matrix, attempts=0).lower
        ctx.save_for_backward(lower)
        return lower

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, cotangent):
        # Murray, *Differentiation of the Cholesky decomposition* (2016), eq. 8: K̄ = ½ (S + Sᵀ), S = L⁻ᵀ Φ(Lᵀ L̄) L⁻¹.
        (lower,) = ctx.saved_tensors
        middle = (lower.T @ cotangent.tril()).tril()
        middle.diagonal().mul_(0.5)
        half = torch.linalg.solve_triangular(lower.T, middle, upper=True)
        found = torch.linalg.solve_triangular(lower, half, upper=False, left=False)
        return 0.5 * (found + found.T)


def first_guess(
    highest: Sequence[float], extents: Sequence[float], components: int, envelope: Envelope
) -> tuple[tuple[int, ...], ProductKernel]:
    """Return points along each coordinate and a kernel to begin with: peaks of the width of their spacing.

    Args:
        highest: angular frequency along each coordinate that the solution is expected to have.
        extents: length of each coordinate's interval.
        components: number of peaks.
        envelope: of the peaks.
    """
    sizes, axes = [], []
    for high, extent in zip(highest, extents, strict=True):
        reach = 1.05 * high + _WAVES / extent
        frequencies = torch.linspace(0.0, reach, components, dtype=torch.float64)
        axes.append(spectral_mixture(frequencies, reach / max(components - 1, 1), envelope=envelope))
        sizes.append(math.ceil(_SAMPLING * reach * extent / math.pi) + _SPARE)
    return tuple(sizes), ProductKernel(tuple(axes))


def joint_memory(sizes: Sequence[int], unknowns: int, channels: int) -> int:
    """Return about how many bytes an evaluation with its gradient takes.

    Args:
        sizes: points along each coordinate.
        unknowns: U.
        channels: derivatives of an unknown in the equation.
    """
    return 8 * unknowns * (math.prod(sizes) * (14 + 6 * channels) + sum(20 * n**2 for n in sizes))
