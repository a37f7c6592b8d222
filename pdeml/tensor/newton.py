"""Newton's method for collocated equations, and the path from their linear part to the whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from pdeml.errors import DivergenceError
from pdeml.lower import Index
from pdeml.tensor.equations import Equations

__all__ = ["Discrete", "GridFunction", "Progress", "Solve", "follow", "newton"]

Solve = Callable[[np.ndarray], np.ndarray]
GridFunction = Callable[[Sequence[Tensor], Index], Tensor]
"""(places along each coordinate, index of a derivative) -> the derivative of the unknowns on the grid, (*n, U)."""
Progress = Callable[[int, float], None]
"""Called with the number of steps done and the size of the last one, relative to the solution."""

STEPS = 50
REFINEMENTS = 4
"""A linear system is solved at most so often, each time for what is left of the residual."""
HARMLESS = 1e-2
"""Largest relative step that may be left of a linear system."""
CONVERGED = 1e-14
ROUNDING = 1e-7
"""Below this relative size a step that is not ten times shorter than the last one is rounding error."""
SMALLEST_DAMPING = 1e-6
NEAR = 0.25
"""Contraction of the first step within which Newton's method stays on the branch it was on."""
SMALLEST_SHARE = 1e-3


class Discrete(ABC):
    """Collocated equations ``linear part + share · rest = 0`` for an array of coefficients."""

    equations: Equations

    @property
    def is_linear(self) -> bool:
        """Whether they are linear."""
        return self.equations.is_linear

    @property
    def has_linear_part(self) -> bool:
        """Whether the linear part alone is a system of the same order."""
        return self.equations.linear is not None

    @abstractmethod
    def start(self, base: np.ndarray | None) -> np.ndarray:
        """Return coefficients near ``base`` (zero) from which to begin."""

    @abstractmethod
    def residual(self, coefficients: np.ndarray, share: float) -> np.ndarray:
        """Return what shall vanish."""

    @abstractmethod
    def linearise(self, coefficients: np.ndarray, share: float) -> tuple[np.ndarray, Solve]:
        """Return the residual, and what solves for the step that removes a residual."""

    @abstractmethod
    def size(self, coefficients: np.ndarray) -> float:
        """Return the root mean square of the functions."""

    @abstractmethod
    def contradiction(self, coefficients: np.ndarray) -> float:
        """Return by how much functions miss conditions that disagree where sides meet, relative to their size."""

    @abstractmethod
    def recovered(self, function: GridFunction, at: np.ndarray) -> np.ndarray:
        """Return what the equations linearised at ``at`` make of the data of a function."""


class _TooFar(DivergenceError):
    """Newton's method does not contract enough to stay on a branch."""


class _Recorder:
    """Keeps the relative size of each step."""

    def __init__(self, progress: Progress | None):
        self.history: list[float] = []
        self._progress = progress

    def __call__(self, relative: float) -> None:
        self.history.append(relative)
        if self._progress is not None:
            self._progress(len(self.history), relative)


def follow(
    system: Discrete, start: np.ndarray | None = None, progress: Progress | None = None
) -> tuple[np.ndarray, list[float], str]:
    """Solve a system: from ``start`` by Newton's method, or along the path from its linear part.

    Returns: coefficients, relative sizes of all steps, and in words which solution was found.

    Raises:
        DivergenceError: no solution was reached.
    Reference: Deuflhard, Newton Methods for Nonlinear Problems (2004), sections 3.3 and 5.1.
    """
    recorder = _Recorder(progress)
    if system.is_linear:
        return newton(system, system.start(start), 1.0, recorder), recorder.history, "the equation is linear"
    if start is not None:
        found = newton(system, system.start(start), 1.0, recorder)
        return found, recorder.history, "the one near the start that was given"
    try:
        if not system.has_linear_part:
            raise DivergenceError("the linear part is of lower order")
        found = newton(system, system.start(None), 0.0, recorder)
    except DivergenceError:
        found = newton(system, system.start(None), 1.0, recorder)
        return found, recorder.history, "the one that Newton's method reaches from zero"
    found, steps = _continued(system, found, recorder)
    plural = "s" * (steps != 1)
    return found, recorder.history, f"the one continued from the linear part, in {steps} step{plural}"


def _continued(system: Discrete, found: np.ndarray, recorder: _Recorder) -> tuple[np.ndarray, int]:
    reached, stride, steps = 0.0, 1.0, 0
    while reached < 1.0:
        share = min(1.0, reached + stride)
        try:
            found = newton(system, found, share, recorder, near=True)
        except _TooFar:
            stride = (share - reached) / 4.0
            if stride < SMALLEST_SHARE:
                raise DivergenceError(
                    f"the solution that begins at the linear part of the equation ends where {reached:.3f} of the "
                    "rest is added: give a start"
                ) from None
        else:
            reached, stride, steps = share, 2.0 * stride, steps + 1
    return found, steps


def newton(
    system: Discrete, start: np.ndarray, share: float, record: Callable[[float], None], near: bool = False
) -> np.ndarray:
    """Solve by Newton's method, damped until the next step with the old matrix is shorter.

    A linear system is solved, and solved again for what rounding leaves of its residual.

    Args:
        system: what is solved.
        start: from where.
        share: of the non-linear part.
        record: called with the relative size of each step.
        near: do not damp, and fail unless the method contracts at once.
    Raises:
        DivergenceError: it does not converge.
    """
    linear = system.is_linear or share == 0.0
    found, before = start, np.inf
    for done in range(REFINEMENTS if linear else STEPS):
        try:
            residual, solve = system.linearise(found, share)
            step = solve(residual)
        except DivergenceError as error:
            if linear:
                raise
            raise DivergenceError(f"Newton's method stops after {done} steps: linearised there, {error}") from None
        length = system.size(step)
        if not np.isfinite(length):
            raise DivergenceError("the equations have no finite value on the way to a solution")
        relative = length / max(system.size(found - step), np.finfo(float).tiny)
        record(relative)
        if relative < ROUNDING and length > 0.1 * before:
            return found
        if relative <= CONVERGED:
            return found - step
        damping = 1.0
        if not linear and relative > ROUNDING:
            damping = _damping(system, found, step, share, solve, length, near)
        found, before = found - damping * step, length
    if linear and relative < HARMLESS:
        return found
    if linear:
        raise DivergenceError(
            "the equations and conditions do not determine the solution, or nearly so: after "
            f"{REFINEMENTS} solutions of the linear system a step of {relative:.0e} is left"
        )
    raise DivergenceError(f"Newton's method did not converge within {STEPS} steps")


def _damping(
    system: Discrete, found: np.ndarray, step: np.ndarray, share: float, solve: Solve, length: float, near: bool
) -> float:
    damping = 1.0
    while damping > SMALLEST_DAMPING:
        ahead = system.size(solve(system.residual(found - damping * step, share)))
        if near and not ahead <= NEAR * length:
            raise _TooFar("Newton's method does not contract")
        if ahead <= (1.0 - damping / 4.0) * length:
            return damping
        damping /= 2.0
    raise DivergenceError("Newton's method comes no nearer to a solution: more functions, or there is none")
