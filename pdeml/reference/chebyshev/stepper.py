"""Steps of a Radau IIA method for collocated equations ``F(t, y, y') = 0``."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csc_array

from pdeml.errors import DivergenceError
from pdeml.reference.chebyshev.newton import Solve, factorised
from pdeml.reference.chebyshev.radau import radau
from pdeml.reference.chebyshev.system import System

__all__ = ["Stepper"]

TOLERANCE, ROUNDING = 1e-12, 1e-8
"""Change of the stages, relative to the solution, at which Newton's method ends, and at which it may stagnate."""
ITERATIONS, QUICK = 15, 4
HALVINGS = 10
TINY = np.finfo(float).tiny


class Stepper:
    """Advances a system in time; it keeps the matrices that are factorised as long as they serve.

    The stage values ``Y`` solve ``F(t + c_i h, Y_i, (A^-1 (Y - y))_i / h) = 0``. With the eigenvectors of ``A^-1`` the
    matrix of Newton's method falls apart into ``dF/dy + λ/h dF/dy'``, one for each eigenvalue.

    Args:
        system: with B columns that share its matrices.
        stages: of the method.
    Reference: Hairer & Wanner, Solving Ordinary Differential Equations II (1996), IV.8 and VI.1.
    """

    def __init__(self, system: System, stages: int):
        self.system, self.tableau, self.solves = system, radau(stages), 0
        self._inverse = np.linalg.inv(self.tableau.vectors)
        self._slopes: tuple[csc_array, csc_array] | None = None
        self._solves: list[Solve] = []
        self._step = 0.0
        self._last: tuple[float, float, np.ndarray] | None = None

    def advance(self, time: float, step: float, y: np.ndarray, halvings: int = HALVINGS) -> np.ndarray:
        """Return the numbers (N, B) at ``time + step``; a step that fails is taken in two halves.

        Raises:
            DivergenceError: very short steps fail too.
        """
        try:
            return self._advance(time, step, y)
        except DivergenceError:
            self._last = self._slopes = None
            if halvings == 0:
                raise DivergenceError(
                    f"no solution is found beyond the time {time:.6g}, however short the step"
                ) from None
        half = self.advance(time, step / 2.0, y, halvings - 1)
        return self.advance(time + step / 2.0, step / 2.0, half, halvings - 1)

    def _advance(self, time: float, step: float, y: np.ndarray) -> np.ndarray:
        fresh = self._slopes is None
        if fresh:
            self._linearise(time, y)
        if not self._solves or abs(step - self._step) > 1e-9 * step:
            self._factorise(step)
        stages, quick = self._iterate(time, step, y)
        if stages is None and not fresh:
            self._linearise(time, y)
            self._factorise(step)
            stages, quick = self._iterate(time, step, y)
        if stages is None:
            raise DivergenceError("Newton's method does not converge")
        if not quick:
            self._slopes = None
        self._last = (time + step, step, np.concatenate([y[None], stages]))
        return stages[-1]

    def _linearise(self, time: float, y: np.ndarray) -> None:
        self._slopes = self.system.jacobian(time, y, np.zeros_like(y))
        self._solves = []

    def _factorise(self, step: float) -> None:
        assert self._slopes is not None
        value, rate = self._slopes
        shifts = [self.tableau.values[k] / step for k, _ in self.tableau.parts]
        self._solves = [factorised(value + (shift if shift.imag else shift.real) * rate) for shift in shifts]
        self._step = step

    def _iterate(self, time: float, step: float, y: np.ndarray) -> tuple[np.ndarray | None, bool]:
        """Return the stages (s, N, B), None where the iteration fails, and whether it was quick."""
        system, tableau = self.system, self.tableau
        stages, before = self._guess(time, step, y), np.inf
        for iteration in range(ITERATIONS):
            rates = np.tensordot(tableau.inverse, stages - y, 1) / step
            found = [
                system.residual(time + node * step, stage, rate)
                for node, stage, rate in zip(tableau.nodes, stages, rates, strict=True)
            ]
            change = self._solved(np.stack(found))
            self.solves += 1
            stages = stages - change
            if not np.all(np.isfinite(stages)):
                return None, False
            if system.constant:
                return stages, True
            size = max(map(system.norm, change)) / max(*map(system.norm, stages), TINY)
            if size <= TOLERANCE or (size > before / 2.0 and size <= ROUNDING):
                return stages, iteration < QUICK
            if iteration > 1 and size > before:
                return None, False
            before = size
        return None, False

    def _solved(self, found: np.ndarray) -> np.ndarray:
        """Solve the linearised equations of all stages, (s, N, B)."""
        tableau, result = self.tableau, np.zeros_like(found)
        for (k, weight), solve in zip(tableau.parts, self._solves, strict=True):
            right = np.tensordot(self._inverse[k], found, 1)
            part = solve(right if tableau.values[k].imag else right.real)
            result += weight * (tableau.vectors[:, k, None, None] * part).real
        return result

    def _guess(self, time: float, step: float, y: np.ndarray) -> np.ndarray:
        """Continue the polynomial of the last step, where there is one and the first guess makes a difference."""
        if self.system.constant or self._last is None or abs(self._last[0] - time) > 1e-9 * step:
            return np.repeat(y[None], len(self.tableau.nodes), axis=0)
        return np.tensordot(self.tableau.ahead(step / self._last[1]), self._last[2], 1)
