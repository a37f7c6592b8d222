"""The base of every solver: its frozen options, and what it would do with a problem."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pdeml.spec import Options

__all__ = ["Preview", "SolverOptions"]


@dataclass(frozen=True)
class Preview:
    """What a solver would do with a problem.

    Args:
        parameters: number of trained parameters.
        points: statement -> number of points of a draw.
        exact: conditions that hold exactly, by construction.
        optimisers: each with its largest number of steps, in order.
        device: where it would run.
        notes: what the solver would choose by itself, and warnings.
    """

    parameters: int
    points: Mapping[str, int]
    exact: tuple[str, ...]
    optimisers: tuple[tuple[str, int], ...]
    device: str
    notes: tuple[str, ...] = ()

    @property
    def steps(self) -> int:
        """Largest number of steps of all optimisers."""
        return sum(count for _, count in self.optimisers)


class SolverOptions(Options):
    """Options of a solver and nothing else; `fit` changes nothing in them.

    Raises:
        InputError: an option is unknown, of the wrong type or out of its range.
    """

    def to_spec(self) -> dict[str, Any]:
        """Return the options that were given, as they stand under ``solver:`` in a spec."""
        return {"kind": self.kind, **self.model_dump(exclude_unset=True)}
