"""The residual system: named blocks of residual vectors that every optimiser minimises as ½‖r(θ)‖²."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from pdeml.lower.multi_index import JetSpec
from pdeml.lower.plan import ResidualPlan
from pdeml_kernels.dispatch import ResidualKernels

__all__ = ["Ansatz", "Block", "Part", "Prepared", "ResidualSystem", "Tape"]


class Tape(Protocol):
    """A record of a forward sweep, for reverse sweeps with respect to the parameters."""

    def jacobian(self, adjoint_KNU: Tensor, out_NP: Tensor) -> Tensor:
        """Fill and return ``∂/∂θ Σ_ku adjoint[k, n, u] · jet[k, n, u]`` for each point alone."""

    def pullback(self, adjoint_KNU: Tensor) -> Tensor:
        """Return ``∂/∂θ Σ_knu adjoint · jet``: (P,)."""


class Prepared(Protocol):
    """An ansatz at fixed points: everything that does not depend on θ is done."""

    def jets(self, theta_P: Tensor) -> Tensor:
        """Return the channels of all unknowns: (K, N, U)."""

    def linearise(self, theta_P: Tensor) -> tuple[Tensor, Tape]:
        """Return the channels and a tape."""


class Ansatz(Protocol):
    """A family of functions u(x; θ) that gives the wanted derivatives of each unknown at points."""

    @property
    def parameter_count(self) -> int:
        """Length P of θ."""

    def prepare(self, points_ND: Tensor, spec: JetSpec) -> Prepared:
        """Do the work for these points that does not depend on θ."""

    def values(self, theta_P: Tensor, points_ND: Tensor) -> Tensor:
        """Return the unknowns at the points, (N, U)."""


@dataclass(frozen=True)
class Part:
    """Some of the points of a block, on which all is done before the next are taken: what that needs fits into a cache.

    Args:
        prepared: the ansatz at the n points.
        columns: coordinates and normal components at the points, in the plan's order, (C, n).
        roots: (n,), √w_i with Σ w_i = 1 over the whole block, so that Σ r² estimates a mean square.
    """

    prepared: Prepared
    columns: Tensor
    roots: Tensor


@dataclass(frozen=True)
class Block:
    """M residuals at N points, as rows ``r = √w · weight · R / s``.

    Args:
        name: what the user calls it: "equation", "initial", "boundary.left", "data", ...
        plan: how the residuals follow from jets.
        parts: the points.
        scales: (M,), the size of each residual in the scaled equation.
        weights: (M,), what the user multiplies each row by; no part of the norms that are reported.
        kernels: compute the rows and their derivatives from jets.
    """

    name: str
    plan: ResidualPlan
    parts: tuple[Part, ...]
    scales: Tensor
    weights: Tensor
    kernels: ResidualKernels

    @property
    def points(self) -> int:
        """Number of points N."""
        return sum(len(part.roots) for part in self.parts)

    @property
    def roots(self) -> Tensor:
        """√w at all points, (N,)."""
        return torch.cat([part.roots for part in self.parts])

    def residual(self, theta: Tensor, learned: Tensor) -> Tensor:
        """Return the weighted rows, (M, N)."""
        rows = [self.kernels.rows(*self._at(part, part.prepared.jets(theta), learned)) for part in self.parts]
        return torch.cat(rows, 1)

    def scaled(self, theta: Tensor, learned: Tensor) -> Tensor:
        """Return ``R / s``, (M, N): dimensionless, without any weight."""
        rows, factors = [], 1 / self.scales
        for part in self.parts:
            jets, ones = part.prepared.jets(theta), torch.ones_like(part.roots)
            rows.append(self.kernels.rows(jets, learned, part.columns, ones, factors, self.plan.program))
        return torch.cat(rows, 1)

    def norms(self, theta: Tensor, learned: Tensor) -> dict[str, float]:
        """Return the root mean square of ``R / s`` over the region, for each of the M residuals."""
        squares = (self.scaled(theta, learned) * self.roots).square().sum(1).sqrt().tolist()
        if len(squares) == 1:
            return {self.name: squares[0]}
        return {f"{self.name} {m}": norm for m, norm in enumerate(squares, start=1)}

    def linearise(self, theta: Tensor, learned: Tensor, out_MNZ: Tensor) -> Tensor:
        """Return the rows (M, N); fill ``out``, (M, N, P + L), with their derivatives by θ and learned parameters."""
        rows, start = [], 0
        for part in self.parts:
            jets, tape = part.prepared.linearise(theta)
            found, by_jets, by_learned = self.kernels.linearised(*self._at(part, jets, learned))
            rows.append(found)
            own = out_MNZ[:, start : start + len(part.roots)]
            for adjoint, jacobian in zip(by_jets, own, strict=True):
                tape.jacobian(adjoint, jacobian[:, : len(theta)])
            own[:, :, len(theta) :] = by_learned
            start += len(part.roots)
        return torch.cat(rows, 1)

    def gradient(self, theta: Tensor, learned: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return ½ Σ rows² and its derivatives by θ and by learned parameters."""
        sums = theta.new_zeros(()), torch.zeros_like(theta), torch.zeros_like(learned)
        for part in self.parts:
            for total, own in zip(sums, self._gradient_of(part, theta, learned), strict=True):
                total += own
        return sums

    def _gradient_of(self, part: Part, theta: Tensor, learned: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # A function of its own: its tape must be gone before that of the next part is made.
        jets, tape = part.prepared.linearise(theta)
        loss, by_jets, by_learned = self.kernels.loss(*self._at(part, jets, learned))
        return loss, tape.pullback(by_jets), by_learned

    def _at(self, part: Part, jets: Tensor, learned: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, str]:
        """Return the arguments of the kernels."""
        return jets, learned, part.columns, part.roots, self.weights / self.scales, self.plan.program


@dataclass(frozen=True)
class ResidualSystem:
    """All rows of a problem as one vector function of z = (θ, learned parameters).

    Args:
        blocks: the named blocks.
        parameter_count: length of θ, the ansatz's own parameters; what follows in z are learned parameters.

    The memory for the Jacobian, tens of megabytes, is made once and reused: touching fresh memory is slow.
    """

    blocks: tuple[Block, ...]
    parameter_count: int
    _memory: dict[str, Tensor] = field(default_factory=dict, compare=False, repr=False)

    def residual(self, z: Tensor) -> Tensor:
        """Return r(z), all rows, block by block."""
        theta, learned = self._split(z)
        return torch.cat([block.residual(theta, learned).reshape(-1) for block in self.blocks])

    def value(self, z: Tensor) -> Tensor:
        """Return ½‖r(z)‖²."""
        return 0.5 * self.residual(z).square().sum()

    def linearise(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return r(z), shape (R,), and its Jacobian, shape (R, len(z)), which the next call overwrites."""
        theta, learned = self._split(z)
        jacobian, rows, start = self._jacobian_memory(z), [], 0
        for block in self.blocks:
            count = len(block.scales) * block.points
            own = jacobian[start : start + count].view(len(block.scales), block.points, len(z))
            rows.append(block.linearise(theta, learned, own).reshape(-1))
            start += count
        return torch.cat(rows), jacobian

    def _jacobian_memory(self, z: Tensor) -> Tensor:
        shape = (sum(block.points * len(block.scales) for block in self.blocks), len(z))
        if "jacobian" not in self._memory or self._memory["jacobian"].shape != shape:
            self._memory["jacobian"] = z.new_empty(shape)
        return self._memory["jacobian"]

    def gradient(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return ½‖r‖² and its gradient Jᵀr, without forming J."""
        theta, learned = self._split(z)
        value, gradient = z.new_zeros(()), torch.zeros_like(z)
        for block in self.blocks:
            loss, by_theta, by_learned = block.gradient(theta, learned)
            value += loss
            gradient += torch.cat([by_theta, by_learned])
        return value, gradient

    def norms(self, z: Tensor) -> dict[str, float]:
        """Return the root mean square of each scaled residual: no weights, whatever N and the sampler."""
        theta, learned = self._split(z)
        return {name: norm for block in self.blocks for name, norm in block.norms(theta, learned).items()}

    def _split(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return z[: self.parameter_count], z[self.parameter_count :]
