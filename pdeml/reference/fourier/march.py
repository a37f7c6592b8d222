"""From the initial data to the output times: one run of several cases together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pdeml.errors import DivergenceError
from pdeml.problem import Problem
from pdeml.reference.case import Case
from pdeml.reference.fourier.modes import Modes, periods_of
from pdeml.reference.fourier.remainder import Nonlinearity
from pdeml.reference.fourier.split import make_split
from pdeml.reference.fourier.steppers import Stepper
from pdeml.reference.fourier.symbol import Blocks, coefficients
from pdeml.reference.method import Progress, substeps

__all__ = ["March"]

LOOK = 64
"""Steps between two looks at whether the numbers are still finite."""


class March:
    """Advances B cases of a problem.

    Args:
        scheme: the class of the stepper.
        problem: what is solved.
        cases: the instances.
        modes: the grid and the wave numbers.
    Attributes:
        steps: how many steps were made.
    """

    def __init__(self, scheme: type[Stepper], problem: Problem, cases: Sequence[Case], modes: Modes):
        self.scheme, self.problem, self.cases, self.modes = scheme, problem, cases, modes
        self.split = make_split(problem)
        lower, periods = periods_of(problem)
        self.axes = {
            name: low + period * np.arange(size) / size
            for name, low, period, size in zip(problem.names.space, lower, periods, modes.sizes, strict=True)
        }
        blocks = Blocks(self.split, coefficients(self.split, [case.numbers for case in cases]), modes.waves)
        self.linear = blocks.operator
        self.rest = Nonlinearity(self.split, modes, cases, self.axes, blocks)
        self.steps = 0
        self._stepper: Stepper | None = None

    def run(self, times: np.ndarray, steps: int, progress: Progress | None = None) -> list[np.ndarray]:
        """Return for each case the coefficients (T, unknowns, *modes, 2) of all real unknowns at the output times.

        Args:
            times: increasing, within the duration.
            steps: number of equal steps for the whole duration; each stretch between outputs has its share, rounded up.
            progress: told the share that is done.
        Raises:
            DivergenceError: naming the time.
        """
        start, end = self.split.evolution.start, self.split.evolution.end
        pieces = substeps(times, start, end, steps)
        total = max(1, sum(count for _, count in pieces))
        state, now, outputs = self._initial(start), start, []
        for time, (step, count) in zip(times, pieces, strict=True):
            for k in range(count):
                state = self._stepped(step)(state, now + k * step)
                self.steps += 1
                if self.steps % LOOK == 0:
                    state = self._cleaned(state, now + (k + 1) * step)
                    if progress is not None:
                        progress(self.steps / total)
            now = float(time) if count else now
            self._look(state, now)
            outputs.append(self._unknowns(state, now).cpu())
        if progress is not None:
            progress(1.0)
        return list(torch.view_as_real(torch.stack(outputs, 1)).numpy())

    def _initial(self, start: float) -> Tensor:
        places = {**self.axes, self.problem.names.time or "": start}
        formulas = self.split.evolution.initial
        values = np.stack([[case.on_grid(formula, places) for formula in formulas] for case in self.cases])
        return self.modes.forward(torch.as_tensor(values, dtype=torch.float64, device=self.modes.device))

    def _stepped(self, step: float) -> Stepper:
        """Return the stepper for steps of this length, made anew only when the length changes."""
        if self._stepper is None or abs(self._stepper.step - step) > 1e-12 * step:
            self._stepper = self.scheme(self.linear, self.rest, step)
        return self._stepper

    def _cleaned(self, state: Tensor, time: float) -> Tensor:
        """Drop what belongs to no real function: rounding errors that N does not see, but L may let grow."""
        self._look(state, time)
        return self.modes.forward(self.modes.inverse(state))

    def _look(self, state: Tensor, time: float) -> None:
        finite = torch.isfinite(torch.view_as_real(state)).flatten(1).all(1)
        if not bool(finite.all()):
            case = int((~finite).nonzero()[0])
            which = f" of case {case + 1} of {len(self.cases)}" if len(self.cases) > 1 else ""
            raise DivergenceError(
                f"the solution{which} became infinite before {self.problem.time} = {time:.6g}; "
                f"take more steps in {self.problem.time}, or more points"
            )

    def _unknowns(self, state: Tensor, time: float) -> Tensor:
        """Return all real unknowns (B, unknowns, *modes) in declared order."""
        others, _ = self.rest.constrained(state, time)
        columns = state if others is None else torch.cat([state, others], 1)
        names = self.problem.names
        still = (0,) * len(names.coordinates)
        return columns[:, [self.split.column((name, still))[0] for name in names.real_unknowns]]
