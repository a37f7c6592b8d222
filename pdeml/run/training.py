"""Training a spec into a run directory that is at all times absent, continuable or finished."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from pdeml.errors import DivergenceError, FileFormatError, InputError, PdemlError, RunError
from pdeml.files import atomic_text
from pdeml.run.api import noted, restore
from pdeml.run.comparing import errors_of, floor_of, with_reference
from pdeml.run.finding import run_name
from pdeml.run.folder import RunFolder
from pdeml.run.operator_pictures import draw_operator
from pdeml.run.pictures import draw_field, draw_frequencies, draw_history
from pdeml.run.plan import RunPlan, make_plan
from pdeml.solvers import Solution
from pdeml.solvers.device import choose_device
from pdeml.solvers.operator_solution import OperatorSolution
from pdeml.solvers.record import versions
from pdeml.spec import Document, load_spec, to_plain
from pdeml.train import ENDED, Callback, Checkpointer, Interruption, MetricsFile, TrainState, load_state, save_state
from pdeml.train.distribution import World, current_world

__all__ = ["RunResult", "train_spec"]

_CHECKPOINT_SECONDS = 15.0
_NO_MEMORY = ("out of memory", "can't allocate memory", "DefaultCPUAllocator")


@dataclass(frozen=True)
class RunResult:
    """How a run ended.

    Args:
        folder: of the run.
        status: ``finished`` now, finished ``already``, or ``interrupted`` (then a checkpoint is there).
        solution: what was found so far.
        signal: that interrupted it, or none.
    """

    folder: RunFolder
    status: Literal["finished", "already", "interrupted"]
    solution: Solution | OperatorSolution
    signal: int | None = None


def train_spec(
    document: Document,
    out: str | Path | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    callbacks: Sequence[Callback] = (),
    announce: Callable[[RunPlan], None] | None = None,
    generation: Mapping[str, Any] | None = None,
) -> RunResult:
    """Solve what a spec describes and write a run directory.

    Args:
        document: the spec, overrides applied.
        out: the folder; default ``runs/NAME``.
        resume: go on from the checkpoint that is there; from the start if there is none.
        overwrite: replace the run that is there.
        callbacks: watch the training.
        announce: told the plan once all has been checked, before anything is written.
        generation: ``watch`` and ``announce`` of a data set that the spec names by its recipe, if it is still to be
            generated; see `pdeml.run.datafiles.data_of`.

    Raises:
        InputError: the spec is wrong or something stands at ``out``; nothing was written then.
        DivergenceError: the loss became NaN or infinite; the best state and its fields were written.
        RunError: out of memory, or the disk refuses; nothing is half-written.
    """
    folder = RunFolder(Path("runs") / run_name(document) if out is None else Path(out))
    world = _world(document)
    folder.check_free(resume, overwrite)
    plan = _plan(document, world, generation or {})
    same, more = _compare(folder, plan) if resume else (False, False)
    if same and not more and folder.is_finished:
        return RunResult(folder, "already", restore(folder))
    state = _load(folder, plan, more) if same else None
    world.wait()  # no process writes before all have looked at what is there
    if not world.is_first:
        return _follow(plan, folder, state)
    if announce is not None:
        announce(plan)
    with _failures(folder), Interruption().listening() as interruption:
        return _train(plan, folder, state, callbacks, interruption)


def _world(document: Document) -> World:
    """Return the processes that share the work."""
    on_gpu = torch.cuda.is_available() and document.spec.device != "cpu"
    return current_world("cuda" if on_gpu else "cpu")


def _plan(document: Document, world: World, generation: Mapping[str, Any]) -> RunPlan:
    """Plan; only the first process generates a data set that is not there, and the others wait for it."""
    if not world.is_first:
        world.wait()
    plan = make_plan(document, generation=generation)
    if world.is_first:
        world.wait()
    return plan


def _follow(plan: RunPlan, folder: RunFolder, state: TrainState | None) -> RunResult:
    """Share the work of the first process, which alone writes and tells."""
    with _failures(folder), Interruption().listening() as interruption:
        solution = _fit(plan, state, (interruption,))
    stopped = interruption.signal is not None or not solution.record.converged
    return RunResult(folder, "interrupted" if stopped else "finished", solution, interruption.signal)


def _fit(plan: RunPlan, state: TrainState | None, callbacks: Sequence[Callback]) -> Any:
    """Fit; a solver of one problem is told the errors at held-out points, one of operators looks at its own samples."""
    if plan.is_operator:
        return plan.solver.fit(plan.problem, plan.data, callbacks=callbacks, state=state, score=False)
    held = plan.held_out
    return plan.solver.fit(
        plan.problem,
        callbacks=callbacks,
        state=state,
        error=held.error if held else None,
        error_at=held.points if held else None,
    )


def _train(
    plan: RunPlan,
    folder: RunFolder,
    state: TrainState | None,
    callbacks: Sequence[Callback],
    interruption: Interruption,
) -> RunResult:
    notes, earlier = _begin(plan, folder, state)
    started = time.perf_counter()
    with closing(MetricsFile(folder.metrics, state.step if state else 0)) as metrics:
        checkpoints = Checkpointer(folder.checkpoint, _CHECKPOINT_SECONDS)
        try:
            solution = _fit(plan, state, (metrics, checkpoints, *callbacks, interruption))
        except DivergenceError as error:
            metrics.close()
            if not hasattr(error, "solution"):  # it broke down before there was one
                folder.discard()
                raise
            raise _keep_best(plan, folder, error, notes) from None
        except InputError:
            if not folder.state.exists():  # nothing to go on from
                metrics.close()
                folder.discard()
            raise
    solution = noted(solution, notes)
    seconds = earlier + time.perf_counter() - started
    solution = replace(solution, record=replace(solution.record, seconds=seconds))
    folder.write_facts(_facts(plan, seconds))
    if interruption.signal is not None:
        return RunResult(folder, "interrupted", solution, interruption.signal)
    try:
        with interruption.at_once():
            return RunResult(folder, "finished", _export(plan, folder, solution))
    except KeyboardInterrupt:
        reason = f"interrupted by {signal.Signals(interruption.signal or signal.SIGINT).name} while writing the fields,"
        solution = replace(solution, record=replace(solution.record, reason=reason))
        return RunResult(folder, "interrupted", solution, interruption.signal)


def _begin(plan: RunPlan, folder: RunFolder, state: TrainState | None) -> tuple[tuple[str, ...], float]:
    """Make the folder ready; return notes, and the seconds spent by earlier parts of the run."""
    folder.create()
    if state is None:
        folder.clear()
        atomic_text(folder.spec, plan.text)
        folder.write_facts(_facts(plan, 0.0))
        return plan.notes, 0.0
    facts = folder.read_facts()
    folder.summary.unlink(missing_ok=True)
    atomic_text(folder.spec, plan.text)
    notes = (*plan.notes, f"continued from step {state.step}")
    if facts.get("versions") not in (None, versions()):
        notes = (*notes, "continued with other versions of the libraries: not the numbers of an uninterrupted run")
    seconds = facts.get("seconds")
    return notes, float(seconds) if isinstance(seconds, (int, float)) else 0.0


def _facts(plan: RunPlan, seconds: float) -> dict[str, Any]:
    return {"kind": plan.solver.kind, "versions": versions(), "seconds": seconds}


def _compare(folder: RunFolder, plan: RunPlan) -> tuple[bool, bool]:
    """Return whether there is a run to continue, and whether more steps of it are asked for.

    Raises:
        InputError: its spec differs in something else.
    """
    if folder.kind != "run" or not folder.spec.exists():
        return False, False
    changes = _changes(to_plain(load_spec(folder.spec).spec), to_plain(plan.resolved))
    changes.pop("kernels", None)  # by which the same is computed
    more = _more_steps(plan, changes)
    if changes and not more:
        listed = "; ".join(f"{path}: {old} -> {new}" for path, (old, new) in list(changes.items())[:3])
        raise InputError(
            f"{folder.path} was made with another spec ({listed}); only more {_length(plan)} may be asked for: "
            "give the same spec, --overwrite, or --out DIR for another folder"
        )
    return True, more


def _load(folder: RunFolder, plan: RunPlan, more: bool) -> TrainState | None:
    """Return the state to go on from, or none where there is no checkpoint yet."""
    if not folder.state.exists():
        return None
    state = load_state(folder.checkpoint, choose_device(getattr(plan.solver, "device", "cpu"))[0])
    try:
        plan.solver.check_state(plan.problem, state)
    except InputError:
        raise FileFormatError(f"{folder.state}: does not belong to this spec; is it another run's?") from None
    if not more:
        return state
    return replace(state, facts={name: fact for name, fact in state.facts.items() if name != ENDED})


def _length(plan: RunPlan) -> str:
    """Return the key that says how long is trained."""
    return f"solver.{plan.solver.LENGTH}" if plan.is_operator else "solver.steps"


def _more_steps(plan: RunPlan, changes: dict[str, tuple[Any, Any]]) -> bool:
    """Whether the only change is that more steps are asked for."""
    if list(changes) != [_length(plan)]:
        return False
    old, new = changes[_length(plan)]
    if plan.is_operator:
        # Members of an ensemble are trained one after the other: those that are finished are not begun again.
        return plan.solver.ensemble == 1 and new > old
    usual = plan.solver.model_copy(update={"steps": None}).preview(plan.problem).steps
    return new is not None and new > (usual if old is None else old)


def _changes(old: Any, new: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """Return path -> (old, new) for every leaf of two plain specs that differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        found: dict[str, tuple[Any, Any]] = {}
        for key in dict.fromkeys((*old, *new)):
            found |= _changes(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
        return found
    return {} if old == new else {path: (old, new)}


def _export(plan: RunPlan, folder: RunFolder, solution: Any, status: str = "finished") -> Any:
    """Write fields, pictures and, last, the summary; return the solution with its errors."""
    if plan.is_operator:
        solution = replace(solution, source=to_plain(plan.resolved).get("data"), title=plan.name).scored()
        field = solution.on_grid(**plan.grid)
    else:
        field = solution.on_grid(**plan.grid) if plan.points is None else solution.at(plan.points)
    field = replace(field, attrs={**field.attrs, "spec": plan.text})
    if plan.reference is not None:
        field = with_reference(field, plan.problem, plan.reference)
        floor = floor_of(field, plan.problem, plan.reference)
        solution = replace(solution, errors=errors_of(field), floor=floor)
    field.to_hdf5(folder.fields)
    drawn = [draw_field(field, folder.picture), draw_history(folder.metrics, folder.history, solution.record.residuals)]
    if plan.is_operator:
        drawn += draw_operator(solution, folder)
    else:
        draw_frequencies(solution, folder.frequencies)
    solution = noted(solution, tuple(note for note in drawn if note))
    folder.write_summary(
        {
            "name": plan.name,
            "kind": plan.solver.kind,
            "status": status,
            **solution.summary(),
            "reference": None if plan.reference is None else plan.reference.description,
        }
    )
    return solution


def _keep_best(plan: RunPlan, folder: RunFolder, error: DivergenceError, notes: tuple[str, ...]) -> DivergenceError:
    """Write the best state and its fields; the verdict says that the run diverged. Return the error to raise."""
    best = noted(error.solution, notes)
    best = replace(best, record=replace(best.record, converged=False, reason=f"diverged, {best.record.reason}"))
    save_state(folder.checkpoint, best.state)
    told = DivergenceError(f"diverged: {error} in {folder.path}, with its fields")
    told.solution = _export(plan, folder, best, "diverged")
    return told


@contextmanager
def _failures(folder: RunFolder) -> Iterator[None]:
    """Turn what the machine refuses into a `RunError`; bugs pass unchanged."""
    try:
        yield
    except (PdemlError, BrokenPipeError):
        raise
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(part in str(error) for part in _NO_MEMORY):
            raise RunError(
                "out of memory; take a smaller network, fewer points or samples a step, or a coarser export.grid "
                f"(what is in {folder.path} is complete; --resume goes on from its checkpoint)"
            ) from error
        raise
    except OSError as error:
        raise RunError(f"cannot write to {folder.path}: {error.strerror or error}") from error
