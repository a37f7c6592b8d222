"""The residual system: named blocks of residual vectors that every optimiser minimises as ½‖r(θ)‖²."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from pdeml.lower.functions import run
from pdeml.lower.multi_index import JetSpec
from pdeml.lower.plan import ResidualPlan

__all__ = ["Ansatz", "Block", "Prepared", "ResidualSystem", "Tape"]


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
class Block:
    """M residuals at N points, as rows ``r = √w · weight · R / s``.

    Args:
        name: what the user calls it: "equation", "initial", "boundary.left", "data", ...
        plan: how the residuals follow from jets.
        prepared: the ansatz at the points.
        columns: coordinates and normal components at the points, in the plan's order, each (N,).
        roots: (N,), √w_i with Σ w_i = 1, so that Σ r² estimates a mean square.
        scales: (M,), the size of each residual in the scaled equation.
        weights: (M,), what the user multiplies each row by; no part of the norms that are reported.
    """

    name: str
    plan: ResidualPlan
    prepared: Prepared
    columns: tuple[Tensor, ...]
    roots: Tensor
    scales: Tensor
    weights: Tensor

    @property
    def points(self) -> int:
        """Number of points N."""
        return len(self.roots)

    def residual(self, theta: Tensor, learned: Tensor) -> Tensor:
        """Return the weighted rows, (M, N)."""
        return self._rows(self.prepared.jets(theta), learned)

    def scaled(self, theta: Tensor, learned: Tensor) -> Tensor:
        """Return ``R / s``, (M, N): dimensionless, without any weight."""
        return self._outputs(self.prepared.jets(theta), learned) / self.scales[:, None]

    def norms(self, theta: Tensor, learned: Tensor) -> dict[str, float]:
        """Return the root mean square of ``R / s`` over the region, for each of the M residuals."""
        squares = (self.scaled(theta, learned) * self.roots).square().sum(1).sqrt().tolist()
        if len(squares) == 1:
            return {self.name: squares[0]}
        return {f"{self.name} {m}": norm for m, norm in enumerate(squares, start=1)}

    def linearise(self, theta: Tensor, learned: Tensor) -> tuple[Tensor, list[Tensor], Tensor, Tape]:
        """Return rows (M, N), their cotangents on the channels (M times (K, N, U)), ∂rows/∂learned, and the tape."""
        jets, tape = self.prepared.linearise(theta)
        rows = self._rows(jets, learned)
        adjoints = [torch.zeros_like(jets) for _ in range(len(rows))]
        by_parameter = jets.new_zeros(len(rows), self.points, len(learned))
        partials = run(self.plan.partials, self._inputs(jets, learned), self.roots)
        for (m, v), partial in zip(self.plan.partial_of, partials, strict=True):
            weighted = partial * self.roots * (self.weights[m] / self.scales[m])
            if v < len(learned):
                by_parameter[m, :, v] = weighted
            else:
                slot = self.plan.slots[v - len(learned)]
                adjoints[m][slot.channel, :, slot.unknown] = weighted
        return rows, adjoints, by_parameter, tape

    def _inputs(self, jets: Tensor, learned: Tensor) -> list[Tensor]:
        return [*self.columns, *learned.unbind(), *(jets[s.channel, :, s.unknown] for s in self.plan.slots)]

    def _outputs(self, jets: Tensor, learned: Tensor) -> Tensor:
        return torch.stack(run(self.plan.residual, self._inputs(jets, learned), self.roots))

    def _rows(self, jets: Tensor, learned: Tensor) -> Tensor:
        return self._outputs(jets, learned) * (self.roots * (self.weights / self.scales)[:, None])


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
            r, adjoints, by_parameter, tape = block.linearise(theta, learned)
            rows.append(r.reshape(-1))
            for adjoint, extra in zip(adjoints, by_parameter, strict=True):
                part = jacobian[start : start + block.points]
                tape.jacobian(adjoint, part[:, : self.parameter_count])
                part[:, self.parameter_count :] = extra
                start += block.points
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
            r, adjoints, by_parameter, tape = block.linearise(theta, learned)
            value += 0.5 * r.square().sum()
            cotangent = sum(adjoint * row[:, None] for adjoint, row in zip(adjoints, r, strict=True))
            gradient[: self.parameter_count] += tape.pullback(cotangent)
            gradient[self.parameter_count :] += torch.einsum("mnp,mn->p", by_parameter, r)
        return value, gradient

    def norms(self, z: Tensor) -> dict[str, float]:
        """Return the root mean square of each scaled residual: no weights, whatever N and the sampler."""
        theta, learned = self._split(z)
        return {name: norm for block in self.blocks for name, norm in block.norms(theta, learned).items()}

    def _split(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return z[: self.parameter_count], z[self.parameter_count :]
