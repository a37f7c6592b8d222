"""Products of one-dimensional features, or features of all coordinates: which of them suits a problem."""

from __future__ import annotations

from pdeml.errors import InputError
from pdeml.features.levels import LevelOptions, Route, ScatteredRoute
from pdeml.features.products import TensorRoute
from pdeml.problem import Problem
from pdeml.tensor import TensorSystem

__all__ = ["choose_route"]


def choose_route(problem: Problem, options: LevelOptions, method: str) -> tuple[Route, tuple[str, ...]]:
    """Return how a problem is discretised, and notes that say why.

    Args:
        problem: what is solved.
        options: of the user.
        method: tensor, scattered or auto.

    Raises:
        InputError: the method cannot treat the problem, or windows are asked for where there are none.
    """
    _check_windows(problem, options)
    if method == "scattered":
        return ScatteredRoute(problem, options), ()
    marching = (options.windows or 1) > 1
    why = "windows of time are for scattered features" if marching else TensorSystem.refusal(problem)
    if why is None:
        return TensorRoute(problem, options), ()
    if method == "tensor":
        raise InputError(f"'tensor' cannot solve this: {why}; take method 'scattered' or 'auto'", ("method",))
    return ScatteredRoute(problem, options), (f"no products of features of one coordinate: {why}",)


def _check_windows(problem: Problem, options: LevelOptions) -> None:
    if (options.windows or 1) == 1:
        return
    time = problem.domain.time
    if time is None:
        raise InputError("windows of time need a time, and this problem has none", ("windows",))
    for constraint in problem.constraints:
        if constraint.region.fixed.get(time[0], time[1]) != time[1]:
            message = f"windows of time are solved from the first to the last, but {constraint.name!r} looks ahead"
            raise InputError(message, ("windows",))
