"""``pm.solve``, ``pm.load`` and ``pm.generate``."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from pdeml.data.operator import OperatorData
from pdeml.errors import FileFormatError, InputError, Interrupted, one_of
from pdeml.field import Error
from pdeml.problem import Problem
from pdeml.run.datafiles import data_of
from pdeml.run.finding import find_run, run_name
from pdeml.run.folder import RunFolder
from pdeml.run.generating import GenerationResult, generate_spec
from pdeml.run.plan import choose, make_problem, make_solver
from pdeml.run.recipes import find_recipe
from pdeml.solvers import KINDS, Solution, SolverOptions, solver_class
from pdeml.solvers.operator import OperatorSolver
from pdeml.solvers.operator_data import as_data
from pdeml.solvers.operator_solution import OperatorSolution
from pdeml.spec import Document, load_spec, to_plain
from pdeml.train import Callback, Interruption, RichProgress, TrainState, load_state

__all__ = ["generate", "load", "noted", "restore", "solve"]


def solve(
    problem: Problem | None = None, solver: str | SolverOptions = "auto", data: Any = None, **options: Any
) -> Solution | OperatorSolution:
    """Solve a problem.

    Args:
        problem: equations, domain and conditions.
        solver: ``auto``, the name of a method such as ``pinn``, or a solver such as ``pm.PINN(width=32)``.
        data: samples, for solvers that learn operators: a `pdeml.OperatorData`, a mapping of its arguments, or a file.
        **options: of the method, if it is given by name.

    Returns: the solution; its report says what ``auto`` chose.

    Raises:
        InputError: there is no such solver or option, or the solver cannot solve this problem.
        DivergenceError: the loss became NaN or infinite; ``error.solution`` holds the best state.
        Interrupted: Ctrl-C was pressed; ``error.solution`` holds the state after the step that was at work. It is a
            `KeyboardInterrupt`; pressed again, Ctrl-C stops at once, and there is no solution.
    """
    if problem is not None and not isinstance(problem, Problem):
        hint = "; a spec file is read by pm.Problem.from_yaml" if isinstance(problem, (str, os.PathLike)) else ""
        raise InputError(f"the problem must be a Problem, got {problem!r:.100}{hint}")
    if problem is None and data is None:
        raise InputError("give a problem, data, or both")
    if isinstance(solver, SolverOptions):
        if options:
            given = ", ".join(options)
            raise InputError(f"{given}: options go into the solver itself, as {type(solver).__name__}({given}=...)")
        return _fit(solver, problem, data)
    if not isinstance(solver, str):
        raise InputError(f"the solver must be a name or a solver, got {solver!r:.100}")
    samples = None if data is None or solver != "auto" else as_data(data, "auto")
    chosen = choose(solver, samples, problem, options)
    if chosen.kind not in KINDS:
        raise InputError(one_of(chosen.kind, ["auto", *KINDS], "a solver that exists"))
    return _fit(solver_class(chosen.kind)(**options), problem, data, chosen.notes)


def generate(
    recipe: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    samples: int | None = None,
    workers: int | None = None,
    executor: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> GenerationResult:
    """Generate a data set of solutions, as `pdeml generate` does.

    Args:
        recipe: a file, or the name of a shipped recipe such as ``darcy-smooth``.
        output: the HDF5 file; default ``NAME.h5`` in the current folder.
        samples: their number; default: what the recipe says.
        workers: processes; default: one a core.
        executor: ``processes``, ``dask`` or ``serial``.
        resume: continue an unfinished file that is there.
        overwrite: replace what is there.

    Returns: what was written and how long it took.

    Raises:
        InputError: the recipe is wrong, or something stands at ``output``.
        RunError: a sample cannot be made, or the disk refuses; the finished samples are kept in the ``.part``.
    """
    for name, count in (("samples", samples), ("workers", workers)):
        if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
            raise InputError(f"{name} must be a whole number of at least 1, got {count!r}")
    document = find_recipe(recipe, samples, workers, executor)
    return generate_spec(document, output, resume=resume, overwrite=overwrite)


def _fit(
    solver: SolverOptions, problem: Problem | None, data: Any, notes: tuple[str, ...] = ()
) -> Solution | OperatorSolution:
    """Fit, with a progress bar if somebody looks at the terminal; what Ctrl-C interrupts is not lost."""
    interruption = Interruption(signal.SIGINT)
    callbacks: list[Callback] = [interruption]
    with ExitStack() as stack:
        if sys.stderr.isatty():
            title = problem.name if problem is not None else solver.kind
            callbacks.append(stack.enter_context(closing(RichProgress(title))))
        if _is_interrupted_by_keyboard():
            stack.enter_context(interruption.listening())
        solution = noted(solver.fit(problem, data, callbacks=tuple(callbacks)), notes)
    if interruption.signal is not None:
        raise Interrupted(f"{solution.record.reason} at step {solution.record.steps}", solution)
    return solution


def _is_interrupted_by_keyboard() -> bool:
    """Whether Ctrl-C would raise `KeyboardInterrupt` here: in the main thread, where nobody handles it otherwise."""
    is_main = threading.current_thread() is threading.main_thread()
    return is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def load(folder: str | os.PathLike[str]) -> Solution | OperatorSolution:
    """Read what `Solution.save` wrote, or a run directory.

    Args:
        folder: of an unfinished run, the solution of its last checkpoint is taken.

    Raises:
        InputError: there is no such folder, or it is no run.
        FileFormatError: a file of it is missing or damaged.
    """
    return restore(find_run(folder))


def restore(folder: RunFolder) -> Solution | OperatorSolution:
    """Rebuild the solution of a run directory; see `load`."""
    document = load_spec(folder.spec)
    problem, (solver, _) = make_problem(document), make_solver(document)
    state = load_state(folder.checkpoint)
    summary = folder.read_summary() if folder.is_finished else _unfinished(folder, solver, state)
    try:
        solution = solver.restore(problem, state, summary)
    except KeyError as error:
        raise FileFormatError(f"{folder.summary}: lacks {error}; is it damaged?") from None
    except InputError as error:
        raise FileFormatError(f"{folder.path}: {error.message}") from None
    if isinstance(solver, OperatorSolver):
        told = {"source": to_plain(document.spec).get("data"), "title": run_name(document)}
        return replace(solution, data=_known_data(document), **told)
    try:
        errors = {name: _error(entry) for name, entry in (summary.get("errors") or {}).items()}
    except (AttributeError, KeyError, TypeError, ValueError):
        raise FileFormatError(f"{folder.summary}: its errors are not as pdeml writes them; is it damaged?") from None
    return replace(solution, errors=errors, floor=float(summary.get("reference_floor") or 0.0))


def noted(solution: Any, notes: tuple[str, ...]) -> Any:
    """Return the solution with further notes in its record."""
    if not notes:
        return solution
    own = solution.record.notes
    # What was foreseen is left out where it is told again, with what came of it.
    foreseen = [note for note in notes if not any(told.startswith(f"{note}: ") for told in own)]
    all_notes = tuple(dict.fromkeys((*foreseen, *own)))
    return replace(solution, record=replace(solution.record, notes=all_notes))


def _unfinished(folder: RunFolder, solver: SolverOptions, state: TrainState) -> dict[str, Any]:
    return {
        "seconds": float(folder.read_facts().get("seconds", 0.0)),
        "steps": state.step,
        "device": getattr(solver, "device", "cpu"),
        "precision": getattr(solver, "precision", "float64"),
        "seed": getattr(solver, "seed", 0),
        "reason": f"unfinished, checkpoint of {Path(folder.path)} at step {state.step}",
    }


def _known_data(document: Document) -> OperatorData | None:
    """Return the data of a run; none where they are not there any more."""
    if not document.spec.data:
        return None
    try:
        return data_of(document, generate=False)
    except InputError:
        return None


def _error(entry: Mapping[str, Any]) -> Error:
    numbers = (entry[key] for key in ("relative_l2", "max", "h1"))
    return Error(*(float("nan") if number is None else float(number) for number in numbers))
