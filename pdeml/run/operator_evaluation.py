"""Errors of an operator over the parts of its data, or over another file on any grid."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pdeml.data.operator import OperatorData
from pdeml.errors import InputError
from pdeml.linalg.metrics import Scores
from pdeml.run.folder import RunFolder, finite
from pdeml.run.operator_files import part_of_file
from pdeml.solvers.operator_scores import error_entries, score_parts
from pdeml.solvers.operator_solution import OperatorSolution
from pdeml.solvers.scoring import score, scores_table

__all__ = ["OperatorEvaluation", "evaluate_operator"]


@dataclass(frozen=True)
class OperatorEvaluation:
    """Errors of an operator.

    Args:
        run: the folder.
        reference: the file whose outputs it was compared with.
        scores: part of the data (of another file: ``data``) -> errors over its samples.
    """

    run: str
    reference: str
    scores: Mapping[str, Scores]

    def to_json(self) -> dict[str, Any]:
        """Return plain values; numbers that do not exist are null."""
        plain = {name: part.to_plain() for name, part in self.scores.items()}
        errors = {
            name: {"relative_l2": e.relative_l2, "max": e.max, "h1": e.h1} for name, e in error_entries(plain).items()
        }
        return finite({"run": self.run, "reference": self.reference, "errors": errors, "scores": plain})

    def table(self) -> str:
        """Return the errors for people to read."""
        table = scores_table({name: part.to_plain() for name, part in self.scores.items()})
        return f"{table}\nagainst {self.reference}"


def evaluate_operator(
    folder: RunFolder,
    solution: OperatorSolution,
    data: str | os.PathLike[str] | None,
    names: Mapping[str, Any] | None = None,
) -> OperatorEvaluation:
    """Measure the errors of an operator.

    Args:
        folder: of the run.
        solution: of the run.
        data: a data set with inputs and outputs, on any grid; default: what it was trained on, all parts.
        names: ``inputs``, ``outputs`` and ``coordinates`` of `pdeml.data.open_source`, for files that do not say.

    Raises:
        InputError: the file lacks something, or the data of the run are not there any more.
    """
    size = solution.solver.batch_size
    if data is not None:
        scores = {"data": score(solution.members, part_of_file(solution, data, names), size=size)}
        return OperatorEvaluation(str(folder.path), os.fspath(data), scores)
    if not isinstance(solution.data, OperatorData):
        raise InputError(f"the samples of {folder.path} are not there; compare with a data set: --data FILE")
    scores = score_parts(solution.members, solution.data, size)
    return OperatorEvaluation(str(folder.path), str(solution.data.source.path), scores)
