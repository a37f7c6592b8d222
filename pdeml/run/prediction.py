"""Evaluating a run elsewhere: on another grid, at listed points, at the points of a field file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pdeml.errors import InputError, one_of, under
from pdeml.field import Field, grid_sizes
from pdeml.run.api import restore
from pdeml.run.comparing import field_points
from pdeml.run.folder import RunFolder
from pdeml.run.operator_files import predict_file
from pdeml.run.points import read_points
from pdeml.solvers import Solution
from pdeml.solvers.operator_solution import OperatorSolution
from pdeml.spec import Document, load_spec

__all__ = ["evaluate_like", "export_field", "predict", "write_prediction"]


def predict(
    folder: RunFolder,
    *,
    grid: Mapping[str, int] | None = None,
    points: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    parameters: Mapping[str, float] | None = None,
    solution: Solution | OperatorSolution | None = None,
) -> Field:
    """Evaluate the solution of a run.

    Args:
        folder: of the run.
        grid: points per coordinate; those left out get a usual number.
        points: a CSV file with the coordinates' names in its header.
        data: a field file at whose points the solution is evaluated.
        parameters: values of parameters that the solution was made for a range of.
        solution: of the run, where it has been read already.

    Returns: the field; NaN outside the geometry. Without grid, points and data: where the spec exports it. Of an
        operator for the first test samples.

    Raises:
        InputError: something does not fit the problem.
    """
    if sum(part is not None for part in (grid, points, data)) > 1:
        raise InputError("give one of --grid, --points, --data")
    solution = restore(folder) if solution is None else solution
    if isinstance(solution, OperatorSolution):
        field = _operator_field(folder, solution, grid, points, parameters or {})
        return replace(field, attrs={**field.attrs, "spec": folder.spec.read_text(encoding="utf-8")})
    _check_parameters(solution, parameters or {})
    if grid is not None:
        with under("--grid"):
            sizes = grid_sizes(solution.problem, grid)
        field = solution.on_grid(**sizes)
    elif points is not None:
        field = solution.at(read_points(points, solution.problem.names.coordinates))
    elif data is not None:
        field = evaluate_like(solution, Field.from_hdf5(data), os.fspath(data))
    else:
        field = export_field(solution, load_spec(folder.spec))
    text = folder.spec.read_text(encoding="utf-8")
    return replace(field, attrs={**field.attrs, "spec": text})


def write_prediction(
    folder: RunFolder,
    target: Path,
    *,
    grid: Mapping[str, int] | None = None,
    points: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    parameters: Mapping[str, float] | None = None,
    names: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[str, tuple[str, ...]]:
    """Evaluate the solution of a run and write a file: a field, or of an operator and ``data`` a data set.

    Args:
        folder: of the run.
        target: the HDF5 file.
        grid: see `predict`.
        points: see `predict`.
        data: see `predict`; of an operator a data set of its inputs, larger than the memory if need be.
        parameters: see `predict`.
        names: ``inputs``, ``outputs`` and ``coordinates`` of a data set that does not say.
        progress: told (samples written, of how many) where samples are.

    Returns: what was written, in words, and warnings.

    Raises:
        InputError: something does not fit the problem or the operator.
        RunError: the disk refuses.
    """
    solution = restore(folder)
    if data is not None and isinstance(solution, OperatorSolution):
        if points is not None or parameters:
            raise InputError("with --data an operator is evaluated on grids: leave out --points and --set")
        text = folder.spec.read_text(encoding="utf-8")
        return predict_file(solution, data, target, grid or {}, text, names, progress), ()
    field = predict(folder, grid=grid, points=points, data=data, parameters=parameters, solution=solution)
    field.to_hdf5(target)
    outside = 0 if field.mask is None else int(field.mask.size - field.mask.sum())
    warnings = (f"{outside} of {field.mask.size} points lie outside the geometry: NaN there",) if outside else ()
    return repr(field), warnings


def export_field(solution: Solution, document: Document) -> Field:
    """Evaluate a solution where its spec exports it."""
    export = document.spec.export
    if export is not None and export.points is not None:
        with document.errors("export", "points"):
            return solution.at(read_points(document.folder / export.points, solution.problem.names.coordinates))
    with document.errors("export", "grid"):
        sizes = grid_sizes(solution.problem, (export.grid if export else None) or {})
    return solution.on_grid(**sizes)


def evaluate_like(solution: Solution, like: Field, name: str) -> Field:
    """Evaluate a solution at the points of another field; NaN outside the geometry.

    Raises:
        InputError: the field has other coordinates than the problem.
    """
    names = solution.problem.names.coordinates
    if set(like.coordinates) != set(names):
        found = ", ".join(like.coordinates) or "none"
        raise InputError(f"{name} has the coordinates {found}; the problem has {', '.join(names)}")
    if like.is_scattered:
        return solution.at(field_points(like, names))
    axes = {axis: like.coordinates[axis] for axis in names}
    domain, labels = solution.problem.domain, solution.on_grid(**dict.fromkeys(names, 2))
    field = Field.on_grid(
        axes, solution.values_and_std, time=labels.time, inside=domain.contains, units=labels.units, attrs=labels.attrs
    )
    return replace(field, mask=None) if field.mask is not None and np.all(field.mask) else field


def _operator_field(
    folder: RunFolder,
    solution: OperatorSolution,
    grid: Mapping[str, int] | None,
    points: str | os.PathLike[str] | None,
    parameters: Mapping[str, float],
) -> Field:
    """Apply an operator to the first test samples."""
    if parameters:
        raise InputError("--set: an operator is given its parameters with the samples; use --data FILE")
    if points is not None:
        return solution.at(read_points(points, tuple(reversed(solution.signature.dims))))
    if grid is not None:
        with under("--grid"):
            return solution.on_grid(**grid)
    export = load_spec(folder.spec).spec.export
    return solution.on_grid(**((export.grid if export else None) or {}))


def _check_parameters(solution: Solution, given: Mapping[str, float]) -> None:
    declared = solution.problem.parameters
    for name in given:
        if name not in declared:
            raise InputError(f"--set {name}: " + one_of(name, declared, "a parameter of the problem"))
        if declared[name].kind != "range":
            raise InputError(
                f"--set {name}: the run was made for {name} = {declared[name].value:g} alone; only a parameter with a "
                "range can be set here: train with another value, as --set problem.parameters."
                f"{name}=VALUE"
            )
        raise InputError(f"--set {name}: no solver of this version solves for a range of parameters")
