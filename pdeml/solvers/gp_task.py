"""What a Gaussian process does step by step: learning the spectrum by the evidence, and Gauss-Newton in between."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from torch import Tensor

from pdeml.errors import DivergenceError
from pdeml.gp.evidence import Evidence
from pdeml.gp.fitting import EXACT_ROWS, Beginning, posterior_of
from pdeml.gp.kernels import ProductKernel
from pdeml.gp.newton import SHARES, change, next_rows, rows_at
from pdeml.gp.nystrom import thinned
from pdeml.gp.posterior import PosteriorAnsatz, Space
from pdeml.gp.rows import Site, rows_of
from pdeml.gp.spectrum import Peak, frequencies_found
from pdeml.lower import Functionals, Statement
from pdeml.optim import LBFGS
from pdeml.solvers.problem_solver import Found, Monitor
from pdeml.train import TrainState
from pdeml.train.loop import prefixed, unprefixed

__all__ = ["EvidenceTask", "GPTask"]

_THINNED = 2000
_FLAT_OVER, _FLAT = 8, 1.0  # steps, and by how much the logarithm of the evidence has to grow in them
_NEWTON_MOST, _NEWTON_SMALL, _NEWTON_LOOSE = 25, 1e-10, 1e-4
_LOOK_EVERY = 10
_NUGGETS = 6


class GPTask(Protocol):
    """A `Trainable` that the solver class drives, whatever the mode."""

    @property
    def steps(self) -> int:
        """Largest number of steps."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is known before the first step."""

    @property
    def points(self) -> dict[str, int]:
        """Statement -> number of points."""

    @property
    def statements(self) -> tuple[Statement, ...]:
        """What holds."""

    @property
    def parameter_count(self) -> int:
        """Number of parameters that are learned."""

    def begin(self) -> TrainState:
        """Return the state before the first step."""

    def owns(self, state: TrainState) -> bool:
        """Tell whether a checkpoint is of this problem and these options."""

    def advance(self, state: TrainState) -> tuple[TrainState, dict[str, float], str | None]:
        """Do one step; see `pdeml.train.Trainable`."""

    def best(self, state: TrainState) -> TrainState:
        """Return the state to keep if a step broke down."""

    def solved(self, state: TrainState) -> Found:
        """Solve with what has been learned so far."""


@dataclass(frozen=True)
class EvidenceTask:
    """Learn the spectrum by the evidence of linear rows, or of rows linearised at the current solution.

    A linear problem has one phase. A non-linear one has four: the spectrum for its linear part; Gauss-Newton, with the
    non-linear terms switched on in steps; the spectrum for the rows linearised at the solution; Gauss-Newton again.

    Args:
        sites: statements at points.
        space: the coordinates.
        beginning: the first kernels.
        orders: highest order of differentiation along each coordinate.
        linear: whether all statements are linear.
        nugget: see `Evidence`.
        most: steps of learning the spectrum, each time.
        told: notes.
        held_out: statements at points of which nothing is learned, that the standard deviation is checked on.
        monitor: error of an ansatz with parameters against a reference, or none; it decides nothing.
    """

    sites: tuple[Site, ...]
    space: Space
    beginning: Beginning
    orders: tuple[int, ...]
    linear: bool
    nugget: float
    most: int
    told: tuple[str, ...] = ()
    held_out: tuple[Site, ...] = ()
    monitor: Monitor | None = None
    _made: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def phases(self) -> tuple[str, ...]:
        """What is done in turn."""
        return ("spectrum",) if self.linear else ("spectrum", "newton", "spectrum", "newton")

    @property
    def steps(self) -> int:
        """Largest number of steps."""
        return sum({"spectrum": self.most, "newton": _NEWTON_MOST}[phase] for phase in self.phases)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is known before the first step."""
        rows = sum(len(site.points) * site.statement.residuals for site in self.sites)
        if rows <= EXACT_ROWS:
            return self.told
        return (
            *self.told,
            f"{rows} rows, more than {EXACT_ROWS}: the spectrum is learned from about {_THINNED} of them",
        )

    @property
    def points(self) -> dict[str, int]:
        """Statement -> number of points."""
        return {site.statement.name: len(site.points) for site in self.sites}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """What holds."""
        return tuple(site.statement for site in self.sites)

    @property
    def parameter_count(self) -> int:
        """Number of parameters of the kernels that are learned."""
        return int(self.beginning.free.sum())

    def begin(self) -> TrainState:
        """Return the state before the first step: the first kernels, and the smallest nugget that they bear."""
        parameters, rows = self.beginning.parameters, self._first_rows
        nugget = self.nugget
        for _ in range(_NUGGETS):
            if math.isfinite(float(self._evidence(rows, nugget).value(parameters))):
                break
            nugget *= 10
        facts = {"phase": 0, "since": 0, "nugget": nugget, "values": [], "changes": []}
        own = prefixed(LBFGS().start(parameters))
        return TrainState(0, {"z": parameters[:0], "kernel": parameters, **own}, facts)

    def owns(self, state: TrainState) -> bool:
        """Tell whether a checkpoint is of this problem and these options."""
        return len(state.tensors.get("kernel", ())) == self.beginning.codec.size and "phase" in state.facts

    def best(self, state: TrainState) -> TrainState:
        """The state before the step that broke down."""
        return state

    def advance(self, state: TrainState) -> tuple[TrainState, dict[str, float], str | None]:
        """Take one step of L-BFGS on the evidence, or one of Gauss-Newton."""
        step = self._spectrum if self.phases[state.facts["phase"]] == "spectrum" else self._newton
        new, metrics, ended = step(state)
        if self.monitor is not None and (ended or new.step % _LOOK_EVERY == 0):
            solved = self.solved(new)
            metrics["error"] = self.monitor(solved.ansatz, solved.theta)
        if ended is None or new.facts["phase"] + 1 == len(self.phases):
            return new, metrics, ended
        facts = {**new.facts, "phase": new.facts["phase"] + 1, "since": new.step, "values": [], "changes": []}
        own = prefixed(LBFGS().restart(unprefixed(new.tensors)))
        return replace(new, tensors={**new.tensors, **own}, facts=facts), metrics, None

    def solved(self, state: TrainState) -> Found:
        """Condition the processes on the rows of the state."""
        ansatz = self.ansatz(state)
        ansatz = ansatz.calibrated(rows_at(ansatz, ansatz.conditioned.theta, self.held_out))
        found = ansatz.conditioned
        notes = [
            f"along {name}, {frequencies_found([Peak(*peak) for peak in peaks])}"
            for name, peaks in ansatz.frequencies(found.theta).items()
            if peaks
        ]
        notes.append(
            f"{found.rank} of {ansatz.parameter_count} directions above rounding ({found.cut:.0e} of the largest); "
            f"nugget while learning {state.facts['nugget']:.0e}"
        )
        rows = sum(map(len, self._first_rows))
        if rows > EXACT_ROWS:
            notes.append(
                f"{rows} rows are more than {EXACT_ROWS}: the spectrum is learned from about {_THINNED} of them"
            )
        if not self.linear:
            notes.append(
                "of several solutions the branch that continues the solution of the linear part of the equation"
            )
        return Found(ansatz, found.theta, notes=tuple(notes), estimate=ansatz.estimate(found.theta))

    def ansatz(self, state: TrainState) -> PosteriorAnsatz:
        """Return the processes given the rows of the state."""
        return posterior_of(self._kernels(state), self._rows(state), self.orders, self.space)

    def _spectrum(self, state: TrainState) -> tuple[TrainState, dict[str, float], str | None]:
        objective = self._objective(state)
        done = LBFGS().step(objective, state.tensors["kernel"], unprefixed(state.tensors))
        values = [*state.facts["values"], done.value][-_FLAT_OVER - 1 :]
        tensors = {**state.tensors, "kernel": done.z, **prefixed(done.state)}
        loss = math.exp(min(done.value / objective.size, 300.0))
        new = TrainState(state.step + 1, tensors, {**state.facts, "values": values, "loss": loss})
        reason = None
        if done.stopped is not None:
            reason = "no step raises the evidence of the equations any more"
        elif len(values) > _FLAT_OVER and values[0] - values[-1] < _FLAT:
            reason = f"the evidence is flat: its logarithm grew by less than {_FLAT:g} in {_FLAT_OVER} steps"
        elif new.step - state.facts["since"] >= self.most and len(self.phases) > 1:
            reason = f"{self.most} steps done"
        return new, {"loss": loss, "evidence": -done.value}, reason

    def _newton(self, state: TrainState) -> tuple[TrainState, dict[str, float], str | None]:
        """Solve the rows of the state and linearise at the solution."""
        first = state.facts["phase"] == 1
        ansatz = self.ansatz(state)
        theta = ansatz.conditioned.theta
        changes = state.facts["changes"]
        shares = SHARES if first else SHARES[-1:]
        share = shares[min(len(changes) + 1, len(shares) - 1)]
        rows, seen = next_rows(ansatz, theta, self.sites, share)
        moved = change(state.tensors.get("seen", seen[:0]), seen)
        changes = [*changes, moved]
        tensors = {**state.tensors, "seen": seen, **_as_tensors(rows)}
        new = TrainState(state.step + 1, tensors, {**state.facts, "changes": changes})
        metrics = {"loss": state.facts["loss"], "change": moved}
        if not math.isfinite(moved):
            raise DivergenceError("Gauss-Newton diverged: the solution is not finite; take more points")
        settled = len(changes) > len(shares)
        if settled and (moved <= _NEWTON_SMALL or (moved <= _NEWTON_LOOSE and moved > 0.5 * changes[-2])):
            return new, metrics, f"Gauss-Newton has converged: the last step moved the solution by {moved:.0e}"
        if len(changes) >= _NEWTON_MOST:
            if moved > _NEWTON_LOOSE:
                raise DivergenceError(
                    f"Gauss-Newton does not converge: after {_NEWTON_MOST} steps the solution still moves by "
                    f"{moved:.0e} of its size; take more points, or another method"
                )
            return new, metrics, f"{_NEWTON_MOST} steps of Gauss-Newton done"
        return new, metrics, None

    @property
    def _first_rows(self) -> tuple[Functionals, ...]:
        if "first" not in self._made:
            self._made["first"] = rows_of(self.sites, len(self.beginning.codec.counts))
        return self._made["first"]

    def _rows(self, state: TrainState) -> tuple[Functionals, ...]:
        """Return the rows of the state: the linear part's, or those of the last step of Gauss-Newton."""
        return tuple(
            replace(
                part,
                coefficients=state.tensors.get(f"rows.{k}.coefficients", part.coefficients),
                values=state.tensors.get(f"rows.{k}.values", part.values),
            )
            for k, part in enumerate(self._first_rows)
        )

    def _kernels(self, state: TrainState) -> tuple[ProductKernel, ...]:
        return tuple(kernel.detached() for kernel in self.beginning.codec.unpack(state.tensors["kernel"]))

    def _objective(self, state: TrainState) -> Evidence:
        """Return the evidence of the state's rows, planned once a phase."""
        key = (state.facts["phase"], state.facts["since"])
        if self._made.get("key") != key:
            self._made.update(key=key, evidence=self._evidence(self._rows(state), state.facts["nugget"]))
        return self._made["evidence"]

    def _evidence(self, rows: tuple[Functionals, ...], nugget: float) -> Evidence:
        chosen = rows if sum(map(len, rows)) <= EXACT_ROWS else thinned(rows, _THINNED)
        return Evidence(chosen, self.beginning.codec, nugget, self.beginning.free)


def _as_tensors(rows: Sequence[Functionals]) -> dict[str, Tensor]:
    found = {f"rows.{k}.coefficients": part.coefficients for k, part in enumerate(rows)}
    return found | {f"rows.{k}.values": part.values for k, part in enumerate(rows)}
