"""From a spec to everything that a run needs, checked before anything is written or computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pdeml.data.operator import OperatorData
from pdeml.data.signature import Signature
from pdeml.errors import InputError, one_of
from pdeml.expr import parse_constant
from pdeml.field import grid_points, grid_sizes
from pdeml.problem import Problem, from_spec
from pdeml.reference import Reference, make_reference
from pdeml.run.choosing import Choice, choose
from pdeml.run.comparing import HeldOut, held_out
from pdeml.run.datafiles import Made, data_entry, data_of, recipe_of
from pdeml.run.finding import run_name
from pdeml.run.folder import HEADER
from pdeml.run.points import read_points
from pdeml.solvers import KINDS, Preview, SolverOptions, solver_class
from pdeml.solvers.device import NO_KERNELS, check_kernels, choose_device
from pdeml.solvers.operator import OperatorSolver
from pdeml.spec import DataSpec, Document, Spec, SpecError, dump_spec, make_spec, to_plain

__all__ = ["RunPlan", "choose", "make_plan", "make_problem", "make_solver"]

_SHARED = ("seed", "device", "precision", "kernels")
"""Keys of the spec that are options of the solver."""


@dataclass(frozen=True)
class RunPlan:
    """What a run will do.

    Args:
        name: of the run.
        problem: what is solved; none where an operator is learnt from samples alone.
        data: samples to learn an operator from, or none.
        solver: the method with its options.
        preview: what the solver will do with the problem; none where its data set is still to be generated.
        reference: what the solution is compared with, or none.
        grid: points per coordinate of ``fields.h5``; of an operator those that differ from its data.
        points: (N, D) in place of the grid, or none.
        resolved: the spec with overrides, defaults and absolute paths written out.
        notes: what was chosen, for the report.
        recipe: what makes the data, if a recipe does.
    """

    name: str
    problem: Problem | None
    data: OperatorData | None
    solver: SolverOptions
    preview: Preview | None
    reference: Reference | None
    grid: Mapping[str, int]
    points: np.ndarray | None
    resolved: Spec
    notes: tuple[str, ...]
    recipe: Made | None = None

    @property
    def signature(self) -> Signature | None:
        """What an operator maps, where it is learnt from samples."""
        if not isinstance(self.solver, OperatorSolver) or self.data is None:
            return None
        history = self.solver.history
        return self.data.told(self.problem).signature(None if history is None else (history, self.solver.window))

    @property
    def warnings(self) -> tuple[Any, ...]:
        """What is allowed but probably not meant."""
        return () if self.problem is None else tuple(self.problem.warnings)

    @property
    def is_operator(self) -> bool:
        """Whether an operator is learnt, and not one problem solved."""
        return isinstance(self.solver, OperatorSolver)

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


def make_plan(document: Document, generate: bool = True, generation: Mapping[str, Any] | None = None) -> RunPlan:
    """Build what a spec describes.

    Args:
        document: the spec.
        generate: whether a data set that a recipe makes is generated now, if it is not there.
        generation: ``watch`` and ``announce`` of that; see `pdeml.run.datafiles.data_of`.

    Raises:
        SpecError: anything in the spec that cannot be done, with file, line and path.
    """
    _refuse_what_is_to_come(document)
    name = run_name(document)
    problem = make_problem(document, name)
    if document.spec.data:
        return _operator_plan(document, name, problem, generate, generation or {})
    solver, chosen = make_solver(document, problem=problem)
    if isinstance(solver, OperatorSolver):
        _refuse_nothing_to_learn_from(document, problem, solver)
        return _learnt(document, name, problem, None, solver, chosen.notes)
    with _at_home(document, solver):
        preview = chosen.preview or solver.preview(problem)
    with document.errors("reference"):
        reference = make_reference(document.spec.reference, problem, document.folder)
    grid, points = _export(document, problem)
    resolved = _resolve(document, name, solver, grid)
    plan = RunPlan(name, problem, None, solver, preview, reference, grid, points, resolved, chosen.notes)
    if reference is not None and not reference.costly:
        with document.errors("reference"):
            _ = plan.held_out
            reference.floor_at(_compared(problem, grid, points))
    return plan


def _operator_plan(
    document: Document, name: str, problem: Problem | None, generate: bool, generation: Mapping[str, Any]
) -> RunPlan:
    """Plan to learn from samples; what can be refused without them is refused first."""
    kind = document.spec.solver.kind if document.spec.solver else "auto"
    solver, chosen = make_solver(document) if kind != "auto" else (None, None)
    if solver is not None:
        with _at_home(document, solver):
            check_kernels(solver.kernels, choose_device(solver.device)[0])
    data = data_of(document, generate, **generation)
    if solver is None or chosen is None:
        solver, chosen = make_solver(document, data)
    return _learnt(document, name, problem, data, solver, chosen.notes)


def _learnt(
    document: Document,
    name: str,
    problem: Problem | None,
    data: OperatorData | None,
    solver: OperatorSolver,
    notes: tuple[str, ...],
) -> RunPlan:
    spec = document.spec
    if spec.reference is not None:
        message = "an operator is compared with the outputs of its test samples; remove 'reference'"
        raise document.error(message, ("reference",))
    if spec.export is not None and spec.export.points is not None:
        message = "the fields of an operator are written on a grid; give export.grid (pdeml predict takes --points)"
        raise document.error(message, ("export", "points"))
    preview = None
    if data is not None or not spec.data:
        with _at_home(document, solver):
            preview = solver.preview(problem, data)
        notes = (*notes, *preview.notes)  # those on the data among them
    grid = dict((spec.export.grid if spec.export else None) or {})
    with document.errors("export", "grid"):
        _check_grid(grid, data, solver, problem)
    resolved = _resolve(document, name, solver, grid)
    return RunPlan(name, problem, data, solver, preview, None, grid, None, resolved, notes, recipe_of(document))


def _check_grid(
    grid: Mapping[str, int], data: OperatorData | None, solver: OperatorSolver, problem: Problem | None
) -> None:
    if data is None:
        return
    time = data.told(problem).time if grid and solver.history is not None else None
    dims = [dim for dim in data.arrays["outputs"][0].dims if dim != time]
    for dim, size in grid.items():
        if dim not in dims:
            raise InputError(one_of(dim, dims, "a coordinate of the outputs"), (dim,))
        if size < 2:
            raise InputError(f"a grid needs at least 2 points along {dim!r}, got {size}", (dim,))


def make_problem(document: Document, name: str | None = None) -> Problem | None:
    """Build the problem of a spec, if it has one, under the name of the run; errors name file and line."""
    if document.spec.problem is None:
        return None
    with document.errors():
        return from_spec(document.spec.model_copy(update={"name": name or run_name(document)}))


def make_solver(
    document: Document, data: OperatorData | None = None, problem: Problem | None = None
) -> tuple[SolverOptions, Choice]:
    """Build the solver of a spec; return also what ``auto`` chose.

    Args:
        document: the spec.
        data: samples to learn from, by which ``auto`` chooses.
        problem: what is solved, by which ``auto`` chooses where there are no samples.

    Raises:
        SpecError: there is no such solver, or an option is wrong.
    """
    spec = document.spec
    options = dict(spec.solver.options) if spec.solver else {}
    for key in ("tolerance", "ensemble"):
        if spec.solver and getattr(spec.solver, key) is not None:
            options[key] = getattr(spec.solver, key)
    free = [key for key in ("precision", "kernels") if getattr(spec, key) == "auto"]
    shared = {key: getattr(spec, key) for key in _SHARED if key in spec.given and key not in free}
    for key, top in shared.items():
        if options.get(key, top) != top:
            raise document.error(f"is {options[key]!r}, but {top!r} at the top of the spec", ("solver", key))
    plain = {"kernels"} if shared.get("kernels") == "torch" else set()  # which all solvers have
    asked = {**options, **{key: top for key, top in shared.items() if key not in plain}}
    with document.errors("solver"):
        chosen = choose(spec.solver.kind if spec.solver else "auto", data, problem, asked)
        method = solver_class(chosen.kind)
    if shared.get("kernels") == "triton" and "kernels" not in method.model_fields:
        raise document.error(f"{chosen.kind!r} {NO_KERNELS}", ("kernels",))
    options |= {key: top for key, top in shared.items() if key not in plain or key in method.model_fields}
    with document.errors("solver"):
        return method(**{key: _number(method, key, value) for key, value in options.items()}), chosen


def _refuse_what_is_to_come(document: Document) -> None:
    spec = document.spec
    if spec.generate is not None:
        message = "a recipe for a data set: `pdeml generate` makes it; remove 'generate' to solve the problem itself"
        raise document.error(message, ("generate",))
    kind = spec.solver.kind if spec.solver else "auto"
    with document.errors("solver"):
        method = OperatorSolver if kind == "auto" and spec.data else solver_class(choose(kind)[0])
    if not issubclass(method, OperatorSolver):
        _refuse_samples(document, method)


def _refuse_nothing_to_learn_from(document: Document, problem: Problem, solver: OperatorSolver) -> None:
    if problem.inputs or any(parameter.kind == "range" for parameter in problem.parameters.values()):
        return
    raise document.error(
        f"{solver.kind!r} learns from samples: give data, such as data: {{file: samples.h5}} or data: {{recipe: "
        "darcy-smooth}; by the equation alone it learns where the problem has 'inputs' that are drawn at random",
        ("solver", "kind"),
    )


def _refuse_samples(document: Document, method: type[SolverOptions]) -> None:
    spec = document.spec
    if spec.data:
        operators = [kind for kind in KINDS if issubclass(solver_class(kind), OperatorSolver)]
        raise document.error(
            f"{method.kind!r} does not use data yet; solvers that learn from samples: {', '.join(operators)}; "
            "otherwise remove 'data' and give conditions",
            ("data",),
        )
    if spec.solver is not None and spec.solver.ensemble is not None:
        message = f"{method.kind!r} makes no ensembles yet; remove it"
        raise document.error(message, ("solver", "ensemble"))


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
        prefix: tuple[str, ...] = () if isinstance(solver, OperatorSolver) else ("problem",)
        if head in _SHARED and head in document.spec.given:
            prefix = ()
        elif head in type(solver).model_fields and not (head == "coordinates" and len(error.path) > 1):
            prefix = ("solver",)  # the coordinates of the data are a mapping, the option is a switch
        elif head in DataSpec.model_fields and document.spec.data:
            prefix = ("data",)
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
    if document.spec.data:
        plain["data"] = data_entry(document)
    if grid:
        plain["export"] = {"grid": dict(grid)}
    return make_spec(plain)
