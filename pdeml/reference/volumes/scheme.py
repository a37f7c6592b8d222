"""The semi-discrete scheme: interpolation to faces, a flux of Riemann problems, a conservative difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pdeml.problem import Problem
from pdeml.reference.case import Case
from pdeml.reference.volumes.formulas import Formulas, Known, Places
from pdeml.reference.volumes.law import ConservationLaw
from pdeml.reference.volumes.sides import GHOSTS, Ghosts, Side, folded
from pdeml.reference.volumes.waves import Waves

__all__ = ["Scheme", "node_axes", "weno"]

TINY = 1e-40


class Scheme:
    """``dw/dt`` at the nodes of a uniform grid, for a batch of cases.

    Every node owns the volume up to the middle of its neighbours, and what leaves one volume enters the next:

    1. The states on both sides of each face are interpolated by WENO5-Z from five nodes, unknown by unknown.
    2. Their flux is that of Harten, Lax and van Leer, with speeds from the eigenvalues of ``dF/dw`` at both states and
       at their mean.
    3. ``dF/dx = (G_{i+1/2} - G_{i-1/2}) / h`` with ``G = f - δ²f/24 + 3 δ⁴f/640``: fluxes of sixth order from the
       values f at the faces. In two dimensions this is done along each coordinate and loses no order.

    A face where an interpolated state is not physical gets the states of its two nodes and no correction.

    Args:
        law: the equations.
        sides: the conditions on the sides.
        cases: B instances of the problem.
        axes: space coordinate -> nodes, as `node_axes` gives them.
        device: where it is computed.
    Reference: Deng & Zhang, J. Comput. Phys. 165 (2000) 22-44 (interpolation and difference); Borges et al.,
        J. Comput. Phys. 227 (2008) 3191-3211 (weights); Harten, Lax & van Leer, SIAM Review 25 (1983) 35-61.
    """

    def __init__(
        self,
        law: ConservationLaw,
        sides: Sequence[Side],
        cases: Sequence[Case],
        axes: dict[str, np.ndarray],
        device: str,
    ):
        self.directions = [_Direction.of(law, k, sides, cases, axes, device) for k in range(len(axes))]
        self.source = Formulas(law.source, law.states) if any(law.source) else None
        self.places = Places(self.source.symbols if self.source else (), cases, axes, device)

    def rate(self, state: Tensor, times: Tensor, rough: Tensor | None = None) -> Tensor:
        """Return ``dw/dt``.

        Args:
            state: (C, B, …).
            times: (B,).
            rough: booleans (B, …): nodes whose faces get the scheme of first order.
        """
        result = torch.zeros_like(state) if self.source is None else self.source(state, self.places.at(times))
        for direction in self.directions:
            result -= direction.divergence(state, times, rough)
        return result

    def fixed(self, state: Tensor, times: Tensor) -> Tensor:
        """Return the states with the values that are prescribed on the sides put in."""
        for direction in self.directions:
            state = direction.ghosts.fixed(state, times)
        return state

    def admissible(self, state: Tensor, times: Tensor) -> Tensor:
        """Return which states are physical: finite, with real speeds; booleans (B, …)."""
        good = [d.waves.extremes(state, d.at_nodes.at(times))[2] for d in self.directions]
        return torch.stack(good).all(0)

    def frequency(self, state: Tensor, times: Tensor) -> Tensor:
        """Return for each case the most volumes that a wave crosses in unit time, (B,)."""
        total = torch.zeros_like(state[0])
        for direction in self.directions:
            low, high, _ = direction.waves.extremes(state, direction.at_nodes.at(times))
            total += torch.maximum(-low, high) / direction.step
        return total.flatten(1).amax(1)


@dataclass(frozen=True, eq=False)
class _Direction:
    """Fluxes along one coordinate; ``dim`` is its dimension in (C, B, …)."""

    dim: int
    count: int
    step: float
    flux: Formulas
    waves: Waves
    ghosts: Ghosts
    at_nodes: Places
    at_ghosts: Places
    at_faces: Places

    @classmethod
    def of(
        cls,
        law: ConservationLaw,
        axis: int,
        sides: Sequence[Side],
        cases: Sequence[Case],
        axes: dict[str, np.ndarray],
        device: str,
    ) -> _Direction:
        flux, waves = Formulas(law.fluxes[axis], law.states), Waves(law.jacobians[axis], law.states)
        name, ends = list(axes)[axis], law.problem.domain.space.bounds[axis]  # type: ignore[union-attr]
        own = [side for side in sides if side.axis == axis]
        count, step = len(axes[name]), float(axes[name][1] - axes[name][0])

        def places(symbols: Sequence, first: float, number: int) -> Places:
            positions = folded(ends[0] + step * (first + np.arange(number)), ends, own)
            return Places(symbols, cases, {**axes, name: positions}, device)

        speeds = waves.formulas.symbols
        both = sorted({*flux.symbols, *speeds}, key=str)
        ghosts = Ghosts(axis, count, own, cases, axes, device)
        at_nodes = Places(speeds, cases, axes, device)
        at_ghosts = places(speeds, -GHOSTS, count + 2 * GHOSTS)
        at_faces = places(both, 0.5 - (GHOSTS - 2), count + 5)
        return cls(axis + 2, count, step, flux, waves, ghosts, at_nodes, at_ghosts, at_faces)

    def divergence(self, state: Tensor, times: Tensor, rough: Tensor | None) -> Tensor:
        """Return ``dF/dx`` at the nodes."""
        extended = self.ghosts.extended(state)
        if self.ghosts.sides:
            good = self.waves.extremes(extended, self.at_ghosts.at(times))[2]
            extended = self.ghosts.flattened(extended, good)
        known = self.at_faces.at(times)
        fluxes, plain = self._riemann(extended, known, self._rough_faces(rough))
        faces = self.count + 1
        f = [fluxes.narrow(self.dim, k, faces) for k in range(5)]
        second, fourth = f[1] - 2.0 * f[2] + f[3], f[0] - 4.0 * f[1] + 6.0 * f[2] - 4.0 * f[3] + f[4]
        correction = 3.0 / 640.0 * fourth - second / 24.0
        if plain is not None:
            correction = torch.where(plain.narrow(self.dim - 1, 2, faces), 0.0, correction)
        return (f[2] + correction).diff(dim=self.dim) / self.step

    def _riemann(self, extended: Tensor, known: Known, rough: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the fluxes at ``n + 5`` faces, and at which of them the states are those of the nodes beside."""
        below, above = weno(extended, self.dim)
        faces = self.count + 5
        states = _with_mean(above.narrow(self.dim, 0, faces), below.narrow(self.dim, 1, faces))
        low, high, good = self.waves.extremes(states, known)
        plain = ~good[:2].all(0) if rough is None else rough | ~good[:2].all(0)
        if not bool(plain.any()):
            return self._hll(states, low, high, known), None
        nodes = _with_mean(*(extended.narrow(self.dim, k, faces) for k in (2, 3)))
        states = torch.where(plain, nodes, states)
        low, high, _ = self.waves.extremes(states, known)
        return self._hll(states, low, high, known), plain

    def _rough_faces(self, rough: Tensor | None) -> Tensor | None:
        if rough is None:
            return None
        nodes = rough.index_select(self.dim - 1, self.ghosts.index)
        return nodes.narrow(self.dim - 1, 2, self.count + 5) | nodes.narrow(self.dim - 1, 3, self.count + 5)

    def _hll(self, states: Tensor, low: Tensor, high: Tensor, known: Known) -> Tensor:
        """Return the flux of Harten, Lax and van Leer.

        Args:
            states: left, right and mean, (C, 3, B, …); the mean bounds the speeds of fluxes with an inflection.
            low, high: their speeds, (3, B, …).
            known: values at the faces.
        """
        low, high = low.amin(0).clamp(max=0.0), high.amax(0).clamp(min=0.0)
        width = high - low
        share = torch.where(width > 0, high / torch.where(width > 0, width, 1.0), 0.5)
        left, right = self.flux(states[:, :2], known).unbind(1)
        return share * left + (1.0 - share) * right + share * low * (states[:, 1] - states[:, 0])


def _with_mean(left: Tensor, right: Tensor) -> Tensor:
    """Return left, right and mean states, (C, 3, B, …)."""
    return torch.stack((left, right, 0.5 * (left + right)), 1)


def weno(values: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Interpolate nodal values to half a step below and above each node but the two outermost at both ends.

    Order 5 where smooth; else without a stencil that holds a jump. With the differences ``d`` and ``c`` of first and
    second order the three parabolas are ``w + d/2 + 3c/8`` (from below), ``w + d/2 - c/8`` (about the node, and from
    above). They get the weights of WENO-Z, with the squares of their first and second derivative at the node as
    smoothness (Deng & Zhang, 2000); both faces share these.

    Args:
        values: N nodes along ``dim``.
        dim: the dimension.
    Returns: two tensors with N - 4 nodes along ``dim``.
    """
    size = values.shape[dim] - 4
    first = values.diff(dim=dim)
    second = first.diff(dim=dim)
    node = values.narrow(dim, 2, size)
    d = [first.narrow(dim, k, size) for k in (1, 2)]
    c = [second.narrow(dim, k, size) for k in range(3)]
    tilts = (d[0] + 0.5 * c[0], 0.5 * (d[0] + d[1]), d[1] - 0.5 * c[2])
    rough = [tilt.square_().add_(curve.square()) for tilt, curve in zip(tilts, c, strict=True)]
    gap = (rough[0] - rough[2]).abs_()
    low, middle, high = (torch.div(gap, r.add_(TINY)).square_().add_(1.0) for r in rough)
    middle.mul_(10.0)
    about = -0.125 * c[1]
    above = low * (0.5 * d[0] + 0.375 * c[0]) + middle * (0.5 * d[1] + about) + 5.0 * high * (0.5 * d[1] - 0.125 * c[2])
    below = high * (0.375 * c[2] - 0.5 * d[1]) + middle * (about - 0.5 * d[0]) - 5.0 * low * (0.5 * d[0] + 0.125 * c[0])
    return node + below.div_(high + middle + 5.0 * low), node + above.div_(low + middle + 5.0 * high)


def node_axes(problem: Problem, grid: dict[str, int]) -> dict[str, np.ndarray]:
    """Return the nodes along each space coordinate: with both ends, or without the upper one if it is periodic."""
    bounds = problem.domain.space.bounds  # type: ignore[union-attr]
    return {
        name: np.linspace(low, high, grid[name], endpoint=name not in problem.periodic)
        for name, (low, high) in zip(problem.names.space, bounds, strict=True)
    }
