"""Products of one-dimensional features, or features of all coordinates: which of them suits a problem."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from pdeml.errors import DivergenceError, InputError, PdemlError
from pdeml.features.levels import LevelOptions, Route, ScatteredRoute, Stage
from pdeml.features.products import TensorRoute
from pdeml.lower import Ansatz
from pdeml.problem import Problem
from pdeml.tensor import TensorSystem

__all__ = ["INSTEAD", "FallbackRoute", "choose_route"]

INSTEAD = "instead"
"""The fact of a stage of a second route: why the first one was left."""


@dataclass(frozen=True)
class FallbackRoute:
    """A route, and another one if the first finds no solution on its first two levels; see `Route`.

    Args:
        first_route: is tried.
        second_route: takes its place.
    """

    first_route: Route
    second_route: Route

    def solve(self, level: int, before: Stage | None, watch: Callable[[float], None]) -> Stage:
        """Solve on a level."""
        left = before is not None and INSTEAD in before.facts
        if left or level > 1:
            return _left(self._of(before.facts), level, before, watch, before.facts.get(INSTEAD))
        try:
            return self.first_route.solve(level, before, watch)
        except DivergenceError as error:
            try:
                return _left(self.second_route, level, None, watch, str(error))
            except PdemlError:
                raise error from None

    def work(self, level: int, facts: Mapping[str, Any] | None) -> float:
        """Return a number that is proportional to the time a level takes, about."""
        return self._of(facts or {}).work(level, facts)

    def ansatz(self, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Ansatz:
        """Return the family of functions of a stage that was saved."""
        return self._of(facts).ansatz(facts, tensors)

    def first(self) -> tuple[int, str]:
        """Return the first level of the first route."""
        return self.first_route.first()

    def _of(self, facts: Mapping[str, Any]) -> Route:
        return self.second_route if INSTEAD in facts else self.first_route


def _left(route: Route, level: int, before: Stage | None, watch: Callable[[float], None], why: str | None) -> Stage:
    """Solve, and keep why an earlier route was left."""
    stage = route.solve(level, before, watch)
    return stage if why is None else replace(stage, facts={**stage.facts, INSTEAD: why})


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
    if why is None and method == "auto":
        return FallbackRoute(TensorRoute(problem, options), ScatteredRoute(problem, options)), ()
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
