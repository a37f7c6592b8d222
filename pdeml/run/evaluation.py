"""Errors of a finished or unfinished run: against the reference of its spec, or against a field file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from pdeml.errors import InputError
from pdeml.field import Error, Field
from pdeml.reference import make_reference
from pdeml.run.api import restore
from pdeml.run.comparing import errors_of, floor_of, with_reference
from pdeml.run.folder import RunFolder, finite
from pdeml.run.operator_evaluation import OperatorEvaluation, evaluate_operator
from pdeml.run.prediction import evaluate_like, export_field
from pdeml.solvers.operator_solution import OperatorSolution
from pdeml.spec import load_spec

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True)
class Evaluation:
    """Errors of a run.

    Args:
        run: the folder.
        reference: what it was compared with.
        floor: relative L2 error of the reference itself.
        errors: unknown -> error.
        points: number of points compared.
    """

    run: str
    reference: str
    floor: float
    errors: Mapping[str, Error]
    points: int

    def to_json(self) -> dict[str, Any]:
        """Return plain values; numbers that are not finite become null."""
        plain = {**asdict(self), "errors": {name: asdict(error) for name, error in self.errors.items()}}
        at_floor = {name: error.relative_l2 <= self.floor for name, error in self.errors.items()}
        return finite({**plain, "at_floor": at_floor})

    def table(self) -> str:
        """Return the errors for people to read."""
        wide = max(7, *(len(name) for name in self.errors))
        lines = [f"{'unknown':<{wide}}  relative L2    maximum  relative H1"]
        for name, error in self.errors.items():
            floor = "  at the floor" if error.relative_l2 <= self.floor else ""
            h1 = f"{error.h1:11.2e}" if error.h1 == error.h1 else " " * 10 + "-"
            lines.append(f"{name:<{wide}}  {error.relative_l2:11.2e}  {error.max:9.2e}  {h1}{floor}")
        return "\n".join([*lines, f"at {self.points} points, against {self.reference}"])


def evaluate(
    folder: RunFolder, data: str | os.PathLike[str] | None = None, names: Mapping[str, Any] | None = None
) -> Evaluation | OperatorEvaluation:
    """Measure the errors of a run.

    Args:
        folder: of the run.
        data: a field file to compare with, at its own points; default: the spec's reference on the export grid. Of an
            operator a data set, on any grid; default: the parts of the data that it was trained on.
        names: ``inputs``, ``outputs`` and ``coordinates`` of a data set that does not say.

    Raises:
        InputError: there is no reference, or it does not fit.
    """
    solution = restore(folder)
    if isinstance(solution, OperatorSolution):
        return evaluate_operator(folder, solution, data, names)
    _refuse_names(names)
    if data is not None:
        given = Field.from_hdf5(data)
        found = evaluate_like(solution, given, os.fspath(data))
        common = {name: part for name, part in given.values.items() if name in found.values}
        if not common:
            wanted = ", ".join(found.values)
            raise InputError(f"{os.fspath(data)} holds {', '.join(given.values)}, none of the unknowns {wanted}")
        field, name, floor = replace(found, reference=common), os.fspath(data), 0.0
    else:
        document = load_spec(folder.spec)
        with document.errors("reference"):
            reference = make_reference(document.spec.reference, solution.problem, document.folder)
        if reference is None:
            raise InputError(f"the spec of {folder.path} has no reference; compare with a field file: --data FILE")
        field = with_reference(export_field(solution, document), solution.problem, reference)
        name, floor = reference.description, floor_of(field, solution.problem, reference)
    count = int(field.mask.sum()) if field.mask is not None else field.values[field.unknowns[0]].size
    return Evaluation(str(folder.path), name, floor, errors_of(field), count)


def _refuse_names(names: Mapping[str, Any] | None) -> None:
    given = [f"--{key}" for key, value in (names or {}).items() if value]
    if given:
        raise InputError(f"{given[0]}: is for the data sets of operators; field files name their coordinates")
