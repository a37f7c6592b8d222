"""How a result came about, and what all results share: summary, lines of the report, saving."""

from __future__ import annotations

import platform
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pdeml.field import Error
from pdeml.files import atomic_json, atomic_text
from pdeml.train import TrainState, save_state

__all__ = ["FOREIGN", "UNTRUSTED", "Record", "Result", "recorded", "versions"]

FOREIGN = "the checkpoint does not belong to this problem and these options"
"""What is said of a state that is another's."""
UNTRUSTED = 0.05
"""A scaled residual above this says that the equation does not hold, whatever the optimiser reports."""


def versions() -> dict[str, str]:
    """Return the versions of what computed the solution."""
    from pdeml import __version__

    return {
        "pdeml": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


@dataclass(frozen=True)
class Record:
    """How a solution came about.

    Args:
        reason: why training stopped.
        converged: whether it stopped because nothing more was to be gained, with a residual that can be trusted.
        seconds: wall time.
        steps: of the optimiser.
        parameters: number of trained parameters.
        device: where it ran.
        precision: ``float64`` or ``float32``.
        seed: of all random draws.
        residuals: statement -> root mean square of the scaled residual on points never trained on.
        exact: conditions that hold exactly, by construction.
        notes: what the solver chose by itself, and warnings.
        learned: parameter -> value found.
        estimate: the relative L2 error that the solver itself estimates, where it can.
    """

    reason: str
    converged: bool
    seconds: float
    steps: int
    parameters: int
    device: str
    precision: str
    seed: int
    residuals: Mapping[str, float]
    exact: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    learned: Mapping[str, float] = field(default_factory=dict)
    estimate: float | None = None

    @property
    def verdict(self) -> str:
        """Whether it converged, stopped early, or did not solve the problem at all."""
        if self.estimate is not None:
            trusted = self.estimate <= UNTRUSTED
            return ("converged: " if self.converged else "stopped: " if trusted else "not solved: ") + self.reason
        name, worst = max(self.residuals.items(), key=lambda item: item[1], default=("", 0.0))
        if not worst <= UNTRUSTED:
            return (
                f"not solved: the residual of {name} is {worst:.1e} of the size of its terms, "
                f"so that the solution is not to be trusted ({self.reason})"
            )
        if self.converged:
            return f"converged: {self.reason}"
        return f"stopped: {self.reason}; the largest residual is {worst:.1e}, and more steps may lower it"

    def cost(self, size: str) -> str:
        """Return a line on steps, size, time and place."""
        return (
            f"  {self.steps} steps, {size}, {self.seconds:.1f} s on {self.device} in {self.precision}, seed {self.seed}"
        )


def recorded(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a `Record` that a summary of any solver holds."""
    return {
        **{name: summary[name] for name in ("seconds", "steps", "device", "precision", "seed")},
        "reason": summary.get("reason", ""),
        "converged": bool(summary.get("converged")),
        "residuals": summary.get("residuals", {}),
        "notes": tuple(summary.get("notes", ())),
    }


class Result(ABC):
    """What a solver found; subclasses evaluate it.

    Attributes:
        solver: the solver's options, as they were used.
        state: the final training state.
        record: how it came about.
        errors: unknown -> error, where it is known.
    """

    solver: Any
    state: TrainState
    record: Record
    errors: Mapping[str, Error]

    @property
    @abstractmethod
    def verdict(self) -> str:
        """One line: how training ended, and how good the answer is."""

    @abstractmethod
    def spec(self) -> str:
        """Return the YAML text that defines what was solved, and how."""

    def summary(self) -> dict[str, Any]:
        """Return what ``summary.json`` holds."""
        record = self.record
        return {
            "errors": {
                name: {"relative_l2": e.relative_l2, "max": e.max, "h1": e.h1} for name, e in self.errors.items()
            },
            "residuals": dict(record.residuals),
            "seconds": record.seconds,
            "steps": record.steps,
            "parameters": record.parameters,
            "device": record.device,
            "precision": record.precision,
            "seed": record.seed,
            "versions": versions(),
            "verdict": self.verdict,
            "reason": record.reason,
            "converged": record.converged,
            "notes": list(record.notes),
        }

    def save(self, folder: str | Path) -> None:
        """Write ``spec.yaml``, ``summary.json`` and ``checkpoint/``; `pdeml.load` reads them.

        Raises:
            RunError: the folder cannot be written.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        save_state(folder / "checkpoint", self.state)
        atomic_text(folder / "spec.yaml", self.spec())
        atomic_json(folder / "summary.json", self.summary())

    def _error_lines(self) -> list[str]:
        return [
            f"  error of {name}: relative L2 {e.relative_l2:.2e}, maximum {e.max:.2e}, relative H1 {e.h1:.2e}"
            for name, e in self.errors.items()
        ]
