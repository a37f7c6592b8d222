"""From a spec to everything that a run needs, checked before anything is written or computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pdeml.errors import InputError
from pdeml.expr import parse_constant
from pdeml.field import grid_points, grid_sizes
from pdeml.problem import Problem, from_spec
from pdeml.reference import Reference, make_reference
from pdeml.run.comparing import HeldOut, held_out
from pdeml.run.finding import run_name
from pdeml.run.folder import HEADER
from pdeml.run.points import read_points
from pdeml.solvers import KINDS, Preview, SolverOptions, solver_class
from pdeml.spec import Document, Spec, SpecError, dump_spec, make_spec, to_plain

__all__ = ["RunPlan", "choose", "make_plan", "make_problem", "make_solver"]

_SHARED = ("seed", "device", "precision")
"""Keys of the spec that are options of the solver."""


@dataclass(frozen=True)
class RunPlan:
    """What a run will do.

    Args:
        name: of the run.
        problem: what is solved.
        solver: the method with its options.
        preview: what the solver will do with the problem.
        reference: what the solution is compared with, or none.
        grid: points per coordinate of ``fields.h5``.
        points: (N, D) in place of the grid, or none.
        resolved: the spec with overrides, defaults and absolute paths written out.
        notes: what was chosen, for the report.
    """

    name: str
    problem: Problem
    solver: SolverOptions
    preview: Preview
    reference: Reference | None
    grid: Mapping[str, int]
    points: np.ndarray | None
    resolved: Spec
    notes: tuple[str, ...]

    @cached_property
    def held_out(self) -> HeldOut | None:
        """Points of the reference for the error while training."""
        if self.reference is None:
            return None
        return held_out(self.problem, self.reference, getattr(self.solver, "seed", 0))

    @property
    def text(self) -> str:
        """What ``spec.yaml`` holds."""
        return f"{HEADER}\n{dump_spec(self.resolved)}"


def make_plan(document: Document) -> RunPlan:
    """Build what a spec describes.

    Raises:
        SpecError: anything in the spec that cannot be done, with file, line and path.
    """
    _refuse_what_is_to_come(document)
    name = run_name(document)
    problem = make_problem(document, name)
    solver, notes = make_solver(document)
    with _at_home(document, solver):
        preview = solver.preview(problem)
    with document.errors("reference"):
        reference = make_reference(document.spec.reference, problem, document.folder)
    grid, points = _export(document, problem)
    resolved = _resolve(document, name, solver, grid)
    plan = RunPlan(name, problem, solver, preview, reference, grid, points, resolved, notes)
    if reference is not None and not reference.costly:
        with document.errors("reference"):
            _ = plan.held_out
            reference.floor_at(_compared(problem, grid, points))
    return plan


def make_problem(document: Document, name: str | None = None) -> Problem:
    """Build the problem of a spec under the name of the run; errors name file and line."""
    with document.errors():
        return from_spec(document.spec.model_copy(update={"name": name or run_name(document)}))


def make_solver(document: Document) -> tuple[SolverOptions, tuple[str, ...]]:
    """Build the solver of a spec, and notes on what was chosen.

    Raises:
        SpecError: there is no such solver, or an option is wrong.
    """
    spec = document.spec
    with document.errors("solver"):
        kind, notes = choose(spec.solver.kind if spec.solver else "auto")
        method = solver_class(kind)
    options = dict(spec.solver.options) if spec.solver else {}
    if spec.solver and spec.solver.tolerance is not None:
        options["tolerance"] = spec.solver.tolerance
    for key in _SHARED:
        top = getattr(spec, key)
        if key not in spec.given or (key == "precision" and top == "auto"):
            continue
        if options.get(key, top) != top:
            raise document.error(f"is {options[key]!r}, but {top!r} at the top of the spec", ("solver", key))
        options[key] = top
    with document.errors("solver"):
        return method(**{key: _number(method, key, value) for key, value in options.items()}), notes


def choose(kind: str) -> tuple[str, tuple[str, ...]]:
    """Return the kind of solver that ``auto`` stands for, and a note that says why."""
    if kind != "auto":
        return kind, ()
    return "pinn", ("auto chose 'pinn': the solver there is for problems without data",)


def _refuse_what_is_to_come(document: Document) -> None:
    spec, existing = document.spec, f"solvers that exist: {', '.join(KINDS)}"
    if spec.generate is not None:
        message = "a recipe for a data set: `pdeml generate` makes it; remove 'generate' to solve the problem itself"
        raise document.error(message, ("generate",))
    if spec.data:
        raise document.error(f"no solver uses data yet; remove 'data' and give conditions ({existing})", ("data",))
    if spec.solver is not None:
        with document.errors("solver"):
            solver_class(choose(spec.solver.kind)[0])
        if spec.solver.ensemble is not None:
            raise document.error("ensembles are not there yet; remove it", ("solver", "ensemble"))
    if spec.kernels == "triton":
        raise document.error("no solver uses fused kernels yet; give auto or torch", ("kernels",))


def _number(method: type[SolverOptions], key: str, value: Any) -> Any:
    """Evaluate a constant expression where the option is a number."""
    field = method.model_fields.get(key)
    if not isinstance(value, str) or field is None or "float" not in str(field.annotation) or "'" in str(field):
        return value
    try:
        return parse_constant(value)
    except InputError as error:
        raise InputError(error.message, (key, *error.path)) from None


@contextmanager
def _at_home(document: Document, solver: SolverOptions) -> Iterator[None]:
    """Give errors of a solver the place in the spec that they speak of: one of its options, or the problem."""
    try:
        yield
    except SpecError:
        raise
    except InputError as error:
        head = error.path[0] if error.path else None
        prefix: tuple[str, ...] = ("problem",)
        if head in _SHARED and head in document.spec.given:
            prefix = ()
        elif head in type(solver).model_fields:
            prefix = ("solver",)
        raise document.error(error.message, (*prefix, *error.path)) from error


def _export(document: Document, problem: Problem) -> tuple[dict[str, int], np.ndarray | None]:
    export = document.spec.export
    with document.errors("export", "grid"):
        grid = grid_sizes(problem, (export.grid if export else None) or {})
    if export is None or export.points is None:
        return grid, None
    with document.errors("export", "points"):
        return {}, read_points(document.folder / export.points, problem.names.coordinates)


def _compared(problem: Problem, grid: Mapping[str, int], points: np.ndarray | None) -> np.ndarray:
    """Return the points inside the geometry at which the solution will be compared."""
    if points is None:
        ends = zip(grid.items(), problem.domain.bounds.tolist(), strict=True)
        points = grid_points({name: np.linspace(*bounds, size) for (name, size), bounds in ends}, tuple(grid))
    return points[problem.domain.contains(points)]


def _resolve(document: Document, name: str, solver: SolverOptions, grid: Mapping[str, int]) -> Spec:
    """Write out overrides and defaults; paths become absolute, so that the spec may be used from anywhere."""
    plain = to_plain(document.spec)
    plain["name"] = name
    plain["solver"] = {"kind": solver.kind, **solver.model_dump(exclude_none=True, exclude=set(_SHARED))}
    plain.update({key: getattr(solver, key) for key in _SHARED if hasattr(solver, key)})
    for owner, key in (("reference", "file"), ("export", "points")):
        if key in plain.get(owner, {}):
            plain[owner] = {**plain[owner], key: str((document.folder / Path(plain[owner][key])).resolve())}
    if grid:
        plain["export"] = {"grid": dict(grid)}
    return make_spec(plain)
