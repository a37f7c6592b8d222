"""One time step of ``u_t = L u + N(u, t)`` by each scheme, with all that depends on the step computed beforehand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor

from pdeml.reference.fourier.symbol import Operator

__all__ = ["CarpenterKennedy", "CoxMatthews", "Heun", "Stepper"]

Rest = Callable[[Tensor, float], Tensor]


class Stepper(ABC):
    """Advances the state by one fixed step.

    Args:
        linear: L.
        rest: N, a function of state and time.
        step: length of the step.
    """

    def __init__(self, linear: Operator, rest: Rest, step: float):
        self.rest, self.step = rest, step
        self._prepare(linear)

    @abstractmethod
    def _prepare(self, linear: Operator) -> None:
        """Compute the operators of the scheme."""

    @abstractmethod
    def __call__(self, state: Tensor, time: float) -> Tensor:
        """Return the state at ``time + step``."""


class CoxMatthews(Stepper):
    """ETDRK4: exact in L, fourth order in N (Cox & Matthews 2002, eqs. 26-29; coefficients by phi functions)."""

    def _prepare(self, linear: Operator) -> None:
        h = self.step
        self.half, first = linear.phi(h / 2)[:2]
        self.whole, p1, p2, p3 = linear.phi(h)
        matrix = linear.matrix
        self.stage = Operator(h / 2 * first.values, matrix)
        self.start = Operator(h * (p1.values - 3 * p2.values + 4 * p3.values), matrix)
        self.middle = Operator(h * (2 * p2.values - 4 * p3.values), matrix)
        self.end = Operator(h * (4 * p3.values - p2.values), matrix)

    def __call__(self, state: Tensor, time: float) -> Tensor:
        centre, end = time + self.step / 2, time + self.step
        n0 = self.rest(state, time)
        carried = self.half(state)
        a = self.stage(n0).add_(carried)
        na = self.rest(a, centre)
        nb = self.rest(self.stage(na).add_(carried), centre)
        nc = self.rest(self.stage(2 * nb - n0).add_(self.half(a)), end)
        return self.whole(state).add_(self.start(n0)).add_(self.middle(na.add_(nb))).add_(self.end(nc))


class CarpenterKennedy(Stepper):
    """Low-storage five-stage fourth-order Runge-Kutta for N, Crank-Nicolson for L within each stage.

    Carpenter & Kennedy (1994), NASA TM-109112, solution 3; with Crank-Nicolson as in Canuto et al., *Spectral Methods:
    Evolution to Complex Geometries* (2007), app. D.3. Fourth order in N, second in L.
    """

    NODES = (
        0.0,
        1432997174477 / 9575080441755,
        2526269341429 / 6820363962896,
        2006345519317 / 3224310063776,
        2802321613138 / 2924317926251,
        1.0,
    )
    KEPT = (
        0.0,
        -567301805773 / 1357537059087,
        -2404267990393 / 2016746695238,
        -3550918686646 / 2091501179385,
        -1275806237668 / 842570457699,
    )
    NEW = (
        1432997174477 / 9575080441755,
        5161836677717 / 13612068292357,
        1720146321549 / 2090206949498,
        3134564353537 / 4481467310338,
        2277821191437 / 14882151754819,
    )

    def _prepare(self, linear: Operator) -> None:
        gaps = [after - before for before, after in zip(self.NODES, self.NODES[1:], strict=False)]
        self.parts = [linear.crank_nicolson(gap * self.step) for gap in gaps]

    def __call__(self, state: Tensor, time: float) -> Tensor:
        slope = None
        for k, (explicit, implicit) in enumerate(self.parts):
            found = self.rest(state, time + self.NODES[k] * self.step)
            slope = found if slope is None else slope.mul_(self.KEPT[k]).add_(found)
            state = implicit(explicit(state).add_(slope, alpha=self.NEW[k] * self.step))
        return state


class Heun(Stepper):
    """Heun's method for N and Crank-Nicolson for L; second order (Chandler & Kerswell 2013, app. A)."""

    def _prepare(self, linear: Operator) -> None:
        self.explicit, self.implicit = linear.crank_nicolson(self.step)

    def __call__(self, state: Tensor, time: float) -> Tensor:
        n0 = self.rest(state, time)
        carried = self.explicit(state)
        predicted = self.implicit(carried.add(n0, alpha=self.step))
        n1 = self.rest(predicted, time + self.step)
        return self.implicit(carried.add_(n0.add_(n1), alpha=self.step / 2))
