"""Refinement of random features as training: one step is one level."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pdeml.errors import InputError, RunError
from pdeml.features.levels import Route, Stage
from pdeml.features.route import INSTEAD
from pdeml.lower import Ansatz, Statement
from pdeml.problem import Problem
from pdeml.problem.counting import missing_conditions
from pdeml.sampling import sample
from pdeml.sampling.fresh import fresh_norms
from pdeml.solvers.problem_solver import Monitor
from pdeml.train import Callback, Event, TrainState
from pdeml.train.loop import prefixed, unprefixed

__all__ = ["Deadline", "FeatureTask", "stage_of"]

_COMPARED = 2048  # points at which two levels are compared
_FLAT = 3  # levels without gain
_GAIN = 0.5
_LEAST_RATIO, _MOST_RATIO = 1e-3, 0.8  # a fall of the residual beyond this is not believed, or so small a one
_ROUNDING = 1e-10  # below it levels may share rounding errors: a fall of the residual then proves nothing,
_SHARED = 4.0  # and the error may be so many times their difference (twice to three times, on forty problems)
_LEAST = 1e-13  # no error is called smaller
_NEGLIGIBLE = 1e-2  # of an unknown's size: below it an unknown is compared with its size, not with itself
_ROUGH = 0.05  # a scaled residual above this is no solution, whatever two levels have in common: nor its error less
_FREER = 8.0  # growth of the condition with the functions of a patch that betrays an ill-posed problem
_TIGHT = 1e3  # a condition below this is no sign of anything
_STAGE = "stage."


class _Stopped(Exception):
    """A callback asked to stop within a step."""


@dataclass(frozen=True)
class FeatureTask:
    """A `pdeml.train.Trainable` whose state holds the coefficients of a level, and what is needed to make it again.

    Args:
        problem: what is solved.
        statements: what shall hold.
        sizes: about how large each unknown is.
        route: how it is discretised.
        tolerance: wanted relative L2 error.
        steps: levels at most, the first two being one step.
        seed: of points at which is measured.
        callbacks: told within a step too.
        monitor: error of an ansatz with parameters against a reference, or none.
    """

    problem: Problem
    statements: tuple[Statement, ...]
    sizes: Mapping[str, float]
    route: Route
    tolerance: float
    steps: int
    seed: int
    callbacks: tuple[Callback, ...]
    monitor: Monitor | None

    def advance(self, state: TrainState) -> tuple[TrainState, dict[str, float], str | None]:
        """Solve on the next level; the first step solves on two, so that there is a difference."""
        try:
            before, past = (stage_of(self.route, state), state.facts) if state.step else (None, {})
            if before is None:
                before = self.route.solve(0, None, self._show)
                past = {"residuals": self._residuals(before), "conditions": [_condition(before)], "estimates": []}
            watch = self._watch if state.step else self._show
            stage = self.route.solve(before.facts["level"] + 1, before, watch)
        except _Stopped:
            return state, {"loss": state.facts.get("estimate", math.nan)}, None
        except (InputError, RunError) as error:
            if not state.step:
                raise
            return state, {"loss": state.facts["estimate"]}, f"no finer level: {error}"
        residuals, difference = self._residuals(stage), self._difference(before, stage)
        ratio = max(residuals.values()) / max(max(past["residuals"].values()), 1e-300)
        estimate = max(_error(difference, ratio, max(residuals.values())), stage.facts.get("contradiction", 0.0))
        facts = {
            **state.facts,
            "stage": dict(stage.facts),
            "text": stage.text,
            "unknowns": stage.unknowns,
            "null": stage.null,
            "conditions": [*past["conditions"], _condition(stage)],
            "residuals": residuals,
            "estimates": [*past["estimates"], estimate],
            "estimate": estimate,
        }
        reason, facts["met"] = self._ended(facts)
        tensors = {"z": stage.theta, **prefixed(stage.tensors, _STAGE)}
        metrics = {"loss": estimate, "residual": max(residuals.values()), "difference": difference}
        if self.monitor is not None:
            metrics["error"] = self.monitor(stage.ansatz, stage.theta)
        return TrainState(state.step + 1, tensors, facts), metrics, reason

    @property
    def is_linear(self) -> bool:
        """Whether the equations are linear."""
        return all(form.is_linear for form in self.problem.forms)

    def best(self, state: TrainState) -> TrainState:
        """The last solution."""
        return state

    def notes(self, state: TrainState) -> tuple[str, ...]:
        """Return what is to be said of a solution."""
        found = [f"last level: {state.facts['text']}"]
        if INSTEAD in state.facts["stage"]:
            found.append(f"products of features of one coordinate find no solution: {state.facts['stage'][INSTEAD]}")
        contradiction = state.facts["stage"].get("contradiction", 0.0)
        if contradiction > max(self.tolerance, _ROUNDING):
            found.append(
                f"the conditions contradict each other where two sides meet, by {contradiction:.1e} of the size of the "
                "solution: no smooth solution meets them all"
            )
        branch = state.facts["stage"].get("branch")
        if branch and not self.is_linear:
            found.append(branch)
        if state.facts["null"]:
            plural = "s" * (state.facts["null"] != 1)
            found.append(
                f"the solution is not unique: the equations and conditions leave {state.facts['null']} direction"
                f"{plural} free; a small one of all solutions is shown"
            )
        elif self._looser(state.facts):
            found.append("the problem is ill-posed or nearly so: small errors of the data may be large in the solution")
        return tuple(found)

    def _ended(self, facts: dict[str, Any]) -> tuple[str | None, bool]:
        """Return why no further level is needed, if so, and whether the tolerance is met."""
        estimates, estimate, residual = facts["estimates"], facts["estimate"], max(facts["residuals"].values())
        free = self._left_free(facts)
        if free is not None:
            return free, False
        if estimate <= self.tolerance and residual <= _ROUGH:
            return f"the estimated error, {estimate:.1e}, is below the tolerance, {self.tolerance:.1e}", True
        if len(estimates) >= self.steps:
            return f"all {self.steps + 1} levels done; the tolerance, {self.tolerance:.1e}, was not met", False
        if len(estimates) > _FLAT and min(estimates[-_FLAT:]) > _GAIN * min(estimates[:-_FLAT]):
            return f"the estimated error no longer falls; the tolerance, {self.tolerance:.1e}, was not met", False
        if len(estimates) > _FLAT:
            rate = min(b / a for a, b in itertools.pairwise(estimates[-_FLAT:]))
            wanted = math.log(self.tolerance / estimate) / math.log(min(rate, _GAIN))
            if wanted > self.steps - len(estimates):
                return f"the estimated error, {estimate:.1e}, falls too slowly to meet the tolerance", False
        return None, False

    def _left_free(self, facts: dict[str, Any]) -> str | None:
        """Return why the solution is not determined: many directions are free, or with each level more nearly so."""
        unknowns = len(self.problem.names.real_unknowns)
        missing = missing_conditions(self.problem)
        if facts["null"] > unknowns or (missing and (facts["null"] or self._looser(facts))):
            told = f": {missing[0]}" if missing else ": is a condition missing?"
            return f"the solution is not unique{told}"
        return None

    def _looser(self, facts: dict[str, Any]) -> bool:
        """Tell whether on as many patches more functions are determined far worse."""
        (patches, before), (now_patches, now) = facts["conditions"][-2:]
        return patches == now_patches and now > max(_FREER * before, _TIGHT)

    def _residuals(self, stage: Stage) -> dict[str, float]:
        return fresh_norms(self.statements, stage.ansatz, stage.theta, self.seed)

    def _difference(self, before: Stage, stage: Stage) -> float:
        """Return the relative L2 norm of the difference of two levels, of the unknown where it is largest."""
        # Where a constant is left free, levels agree up to constants.
        drawn = sample(self.problem.domain.region("interior"), _COMPARED, "sobol", (self.seed, 1))
        points = torch.tensor(np.ascontiguousarray(drawn.x))
        old, new = self._values(before, points), self._values(stage, points)
        if stage.null:
            old, new = old - old.mean(0), new - new.mean(0)
        least = torch.tensor([_NEGLIGIBLE * self.sizes[name] for name in self.problem.names.real_unknowns]).to(new)
        return float(((new - old).square().mean(0).sqrt() / new.square().mean(0).sqrt().maximum(least)).max())

    def _values(self, stage: Stage, points: Tensor) -> Tensor:
        return stage.ansatz.values(stage.theta, points.to(stage.theta))

    def _show(self, share: float) -> None:
        """Tell callbacks; before there is a solution, what they ask for waits for one."""
        for callback in self.callbacks:
            callback.on_progress(share)

    def _watch(self, share: float) -> None:
        for callback in self.callbacks:
            if callback.on_progress(share) is not None:
                raise _Stopped


class Deadline(Callback):
    """Begins no level for which the time that is left will not do, by what the levels before took.

    Args:
        route: knows how the work grows.
        seconds: of wall time in all.
    """

    def __init__(self, route: Route, seconds: float):
        self.route, self.seconds, self._before = route, seconds, 0.0

    def on_step(self, event: Event) -> str | None:
        """Ask to stop where the next level would end too late."""
        took, self._before = event.seconds - self._before, event.seconds
        if not event.state.step:
            return None
        stage = event.state.facts["stage"]
        done = self.route.work(stage["level"], stage) + (self.route.work(0, None) if event.state.step == 1 else 0.0)
        ahead = took * self.route.work(stage["level"] + 1, stage) / done
        if event.seconds + ahead <= self.seconds:
            return None
        left = max(self.seconds - event.seconds, 0.0)
        told = f"the next level would take about {ahead:.2g} s, and {left:.2g} s are left"
        return f"stopped by time, not reproducible: {told}"


def _error(difference: float, ratio: float, residual: float) -> float:
    """Return an estimate of the relative error of the finer of two levels.

    Args:
        difference: of the levels, relative.
        ratio: of their residuals on points not collocated.
        residual: of the finer level, scaled.
    """
    ratio = min(max(ratio, _LEAST_RATIO), _MOST_RATIO)
    rough = _ROUGH if residual > _ROUGH else 0.0
    return max(difference * ratio / (1 - ratio), min(_SHARED * difference, _ROUNDING), _LEAST, rough)


def _condition(stage: Stage) -> list[float]:
    """Return the number of patches, and the condition of the rows."""
    return [math.prod(stage.facts["counts"]), stage.condition]


def stage_of(route: Route, state: TrainState) -> Stage:
    """Return the solution that a state holds."""
    facts = state.facts
    tensors = unprefixed(state.tensors, _STAGE)
    ansatz: Ansatz = route.ansatz(facts["stage"], tensors)
    return Stage(
        ansatz,
        state.tensors["z"],
        facts["stage"],
        tensors,
        facts["unknowns"],
        facts["null"],
        facts["conditions"][-1][1],
        facts["text"],
    )
