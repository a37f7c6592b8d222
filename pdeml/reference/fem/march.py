"""Steady states by Newton's method, and evolutions by diagonally implicit Runge-Kutta methods.

The methods in time are stiffly accurate and L-stable, begin with an explicit stage, which is the last of the step
before, and all their stages have order 2, so that boundary values that change in time do not lower the order. Each
stage needs the same matrix: for a linear problem it is factorised once for each length of step.
Sources: order 2 Bank et al., IEEE Trans. CAD 4 (1985) 436-451 (TR-BDF2); order 3 Kennedy & Carpenter, Appl. Numer.
Math. 44 (2003) 139-181, the implicit part of ARK3(2)4L[2]SA.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse import csc_array

from pdeml.errors import DivergenceError, InputError
from pdeml.reference.fem.assembly import System
from pdeml.reference.fem.linear import factorised, solved_with_mean_zero
from pdeml.reference.method import substeps

__all__ = ["TABLEAUS", "march", "steady_state"]

MOST_NEWTON_STEPS = 40
NEWTON_TOLERANCE = 1e-9
"""Newton's method ends with a step this small relative to the largest iterate or step before: what is left is its
square."""
SHORTEST = 1.0 / 64
"""The smallest share of a Newton step that is tried."""
INCOMPATIBLE = 1e-2
"""Sources and outflows of a pure Neumann problem balance to this share of their size; quadrature accounts for less."""


DELAY = 1e-5
"""Time, in steps, over which the first slope of boundary values is taken."""


def _two_stages() -> np.ndarray:
    g = 1.0 - np.sqrt(0.5)
    return np.array([[g, g, 0.0], [np.sqrt(0.125), np.sqrt(0.125), g]])


def _three_stages() -> np.ndarray:
    """Return the method with nodes 0, 2g, 3/5, 1: the conditions of order 3 and of stage order 2 determine it."""
    g = 0.43586652150845899941601945  # the middle root of g^3 - 3 g^2 + 3/2 g - 1/6: L-stable
    c = np.array([2.0 * g, 0.6])
    a = c[1] * (c[1] / 2.0 - g) / c[0]
    b = np.linalg.solve(np.stack([c, c**2]), [1.0 / 2.0 - g, 1.0 / 3.0 - g])
    return np.array([[g, g, 0.0, 0.0], [c[1] - a - g, a, g, 0.0], [1.0 - b.sum() - g, *b, g]])


TABLEAUS = {2: _two_stages(), 3: _three_stages()}
"""Order -> coefficients of the implicit stages; the last row holds the weights."""


def steady_state(system: System) -> tuple[np.ndarray, dict[str, float | int | str]]:
    """Solve ``R(u) = 0``.

    Returns: the coefficients, and facts.
    Raises:
        InputError: a problem with outflows only whose data do not balance.
        DivergenceError: Newton's method does not converge.
    """
    state = np.zeros(system.size)
    given, values = system.prescribed()
    state[given] = values
    free = np.setdiff1d(np.arange(system.size), given)
    if system.mean_is_free:
        return _mean_zero(system)
    solver = Newton(system, lambda state: (system.residual(state), lambda: system.jacobian(state)))
    state = solver.run(state, free, system.definite)
    return state, {"degrees_of_freedom": len(free), "newton_steps": solver.steps}


def march(
    system: System, order: int, times: np.ndarray, steps: int, progress: Callable[[float], None] | None = None
) -> tuple[np.ndarray, dict[str, float | int | str]]:
    """Integrate ``M u_t + R(u, t) = 0`` from the start of the time interval.

    Args:
        system: with values at the start.
        order: 2 or 3.
        times: increasing times that are stored.
        steps: spread evenly over the duration; a few more where stored times ask for it.
        progress: told the share that is done.
    Returns: coefficients (T, size), and facts.
    Raises:
        DivergenceError: Newton's method does not converge, or the numbers become infinite.
    """
    _, start, end = system.case.problem.domain.time
    state, now, stored, done = system.initial(start), start, [], 0
    stepper = Stepper(system, TABLEAUS[order])
    plan = substeps(times, start, end, steps)
    total = max(1, sum(count for _, count in plan))
    for step, count in plan:
        for _ in range(count):
            state = stepper.step(state, now, step)
            now, done = now + step, done + 1
            if progress is not None:
                progress(done / total)
        stored.append(state)
    return np.stack(stored), {"degrees_of_freedom": system.size, "steps": done, "newton_steps": stepper.newton_steps}


class Newton:
    """Newton's method for ``R(u) = 0`` with some entries of ``u`` kept; one step where ``R`` is affine.

    Args:
        system: says whether ``R`` is affine.
        evaluate: u -> (R(u), a function that returns dR/du).
    """

    def __init__(self, system: System, evaluate: Callable):
        self.system, self.evaluate = system, evaluate
        self.steps = 0

    def run(
        self, state: np.ndarray, free: np.ndarray, definite: bool = False, solve: Callable | None = None
    ) -> np.ndarray:
        """Return the solution from a first guess (size,), whose entries outside of ``free`` are kept."""
        residual, jacobian = self.evaluate(state)
        largest = 0.0
        for _ in range(MOST_NEWTON_STEPS):
            inverse = solve or factorised(csc_array(jacobian())[free][:, free], definite)
            change = -inverse(residual[free])
            self.steps += 1
            if not np.isfinite(change).all():
                raise DivergenceError("the solution is not a finite number; choose a smaller grid step")
            largest = max(largest, float(np.linalg.norm(state)))
            if self.system.is_linear or np.linalg.norm(change) <= NEWTON_TOLERANCE * largest:
                return _moved(state, free, change)
            largest = max(largest, float(np.linalg.norm(change)))
            state, residual, jacobian = self._shortened(state, free, change, np.linalg.norm(residual[free]))
        raise DivergenceError(f"Newton's method did not converge within {MOST_NEWTON_STEPS} steps")

    def _shortened(self, state: np.ndarray, free: np.ndarray, change: np.ndarray, size: float):
        """Halve the step until the residual falls."""
        share = 1.0
        while True:
            tried = _moved(state, free, share * change)
            residual, jacobian = self.evaluate(tried)
            if np.linalg.norm(residual[free]) < size or share <= SHORTEST:
                return tried, residual, jacobian
            share /= 2


class Stepper:
    """One step after the other of a diagonally implicit method; factors are kept while the step stays the same."""

    def __init__(self, system: System, tableau: np.ndarray):
        self.system, self.tableau = system, tableau
        self.newton_steps = 0
        self._slope: np.ndarray | None = None
        self._mass: csc_array | None = None
        self._kept: tuple[float, np.ndarray, Callable] | None = None

    def step(self, state: np.ndarray, now: float, step: float) -> np.ndarray:
        """Return the coefficients a time ``step`` later."""
        slopes = [self._first_slope(state, now, step) if self._slope is None else self._slope]
        diagonal, found = self.tableau[0, 1] * step, state
        for row in self.tableau:
            base = state + step * sum(a * slope for a, slope in zip(row, slopes, strict=False))
            found = self._stage(found, base, now + row.sum() * step, diagonal)
            slopes.append((found - base) / diagonal)
        self._slope = slopes[-1]
        return found

    def _first_slope(self, state: np.ndarray, now: float, step: float) -> np.ndarray:
        """Return ``u_t`` (size,) at the start; zero for unknowns without time derivative, where it does not count."""
        system, slope = self.system, np.zeros(self.system.size)
        given, _ = system.prescribed(now)
        delay = DELAY * step
        slope[given] = (system.prescribed(now + delay)[1] - system.prescribed(now - delay)[1]) / (2 * delay)
        mass = self._mass_at(now)
        free = np.setdiff1d(np.flatnonzero(mass.diagonal()), given)
        right = -(system.residual(state, now) + mass @ slope)[free]
        slope[free] = factorised(mass[free][:, free])(right)
        return slope

    def _stage(self, guess: np.ndarray, base: np.ndarray, time: float, diagonal: float) -> np.ndarray:
        """Solve ``M (u - base) / diagonal + R(u, time) = 0``."""
        system, mass = self.system, self._mass_at(time)
        given, values = system.prescribed(time)
        guess = guess.copy()
        guess[given] = values
        free = np.setdiff1d(np.arange(system.size), given)

        def evaluate(state: np.ndarray):
            residual = mass @ (state - base) / diagonal + system.residual(state, time)
            return residual, lambda: mass / diagonal + system.jacobian(state, time)

        newton = Newton(system, evaluate)
        solve = self._factors(evaluate, free, diagonal) if system.is_linear and system.is_steady else None
        found = newton.run(guess, free, solve=solve)
        self.newton_steps += newton.steps
        return found

    def _mass_at(self, time: float) -> csc_array:
        if self._mass is None or not self.system.is_steady:
            self._mass = self.system.mass(time)
        return self._mass

    def _factors(self, evaluate: Callable, free: np.ndarray, diagonal: float) -> Callable:
        kept = self._kept
        if kept is None or abs(kept[0] - diagonal) > 1e-12 * diagonal or not np.array_equal(kept[1], free):
            matrix = csc_array(evaluate(np.zeros(self.system.size))[1]())[free][:, free]
            self._kept = kept = (diagonal, free, factorised(matrix))
        return kept[2]


def _moved(state: np.ndarray, free: np.ndarray, change: np.ndarray) -> np.ndarray:
    result = state.copy()
    result[free] += change
    return result


def _mean_zero(system: System) -> tuple[np.ndarray, dict[str, float | int | str]]:
    """Solve a problem with outflows only, for the solution of mean zero."""
    if not system.is_linear:
        raise InputError("nothing determines the mean of the solution, and the problem is not linear")
    load = -system.residual(np.zeros(system.size))
    patch = system.space.inside
    local = np.einsum("eql,eq->el", patch.slots[0], patch.weights)
    weights = np.bincount(patch.dofs.ravel(), local.ravel(), system.size)
    state, excess = solved_with_mean_zero(system.jacobian(load * 0), weights, load)
    if abs(load.sum()) > INCOMPATIBLE * np.abs(load).sum():
        raise InputError(
            f"with outflows given on all of the boundary the sources must balance them, but they differ by "
            f"{load.sum():.3g}: there is no solution"
        )
    return state, {"degrees_of_freedom": system.size, "imbalance": excess}
