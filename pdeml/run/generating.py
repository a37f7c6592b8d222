"""Generating a data set from a recipe: one writer, samples from many workers, at all times absent, continuable or
finished."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pdeml.data import Writer, open_source, split_numbers
from pdeml.errors import InputError, PdemlError
from pdeml.files import available_memory, size_text
from pdeml.problem import summary
from pdeml.reference.generation import Batches, Recipe, run_batches
from pdeml.run.changes import spec_changes
from pdeml.run.finding import run_name
from pdeml.run.pictures import draw_samples
from pdeml.solvers.device import choose_device
from pdeml.spec import Document, dump_spec, make_spec, to_plain
from pdeml.train import Interruption

__all__ = ["GenerationPlan", "GenerationResult", "describe_recipe", "generate_spec", "make_generation_plan"]

HOW = ("executor", "workers", "scheduler", "check")
"""Keys of ``generate`` that change how long it takes, not what is made."""
ERROR = "reference_error"
"""Root attribute: the estimated relative L2 error of sample 0."""
_SAMPLES = "generate.samples"
_ELSEWHERE = "-o FILE writes another one"
_TOLD = 3  # keys in which recipes differ


@dataclass(frozen=True)
class GenerationPlan:
    """What will be generated.

    Args:
        name: of the data set.
        recipe: how samples are made.
        text: the spec that the file keeps and the workers read.
        split: part -> numbers of its samples.
        check: whether the error of sample 0 is estimated.
        executor: who makes the samples.
        workers: how many.
        scheduler: of Dask, or none.
    """

    name: str
    recipe: Recipe
    text: str
    split: Mapping[str, np.ndarray]
    check: bool
    executor: str
    workers: int
    scheduler: str | None

    @property
    def samples(self) -> int:
        """Their number."""
        return self.recipe.generate.samples

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed but probably not meant."""
        drawn = self.recipe.inputs.values()
        used = set().union(self.recipe.varying.named, *(source.names.parameters for source in drawn if source.names))
        texts = self.recipe.varying.middle.warnings
        return tuple(text for text in texts if not any(f"parameter {name} is used in no" in text for name in used))


@dataclass(frozen=True)
class GenerationResult:
    """How a generation ended.

    Args:
        path: the data set.
        status: ``finished`` now, finished ``already``, or ``interrupted`` (then the ``.part`` is there).
        done: samples in it.
        made: of these, made now.
        seconds: that it took.
        error: estimated relative L2 error of sample 0; NaN where it is not known.
        residual: the largest relative residual of a sample; NaN likewise.
        picture: of some samples, or none.
        signal: that interrupted it, or none.
    """

    path: Path
    status: Literal["finished", "already", "interrupted"]
    done: int
    made: int = 0
    seconds: float = 0.0
    error: float = math.nan
    residual: float = math.nan
    picture: Path | None = None
    signal: int | None = None


def make_generation_plan(document: Document) -> GenerationPlan:
    """Check everything that a recipe asks for; nothing is computed.

    Raises:
        SpecError: with file, line and path.
    """
    name, asked = run_name(document), document.spec.generate
    if asked is None:
        raise document.error("is no recipe: it has no 'generate', such as generate: {samples: 100}", ())
    plain = to_plain(document.spec)
    plain["name"] = name
    plain["generate"] = {key: value for key, value in plain["generate"].items() if key not in HOW}
    spec = make_spec(plain)
    with document.errors():
        choose_device(spec.device)
        recipe = Recipe.read(spec)
    with document.errors("generate", "split"):
        parts = {} if asked.split is None else {part: getattr(asked.split, part) for part in asked.split.given}
        split = split_numbers(parts, asked.samples)
    workers = _workers(recipe, asked.workers)
    executor = asked.executor or "processes"
    check = asked.check is not False
    return GenerationPlan(name, recipe, dump_spec(spec), split, check, executor, workers, asked.scheduler)


def generate_spec(
    document: Document,
    output: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    watch: Callable[[int], None] | None = None,
    announce: Callable[[GenerationPlan, Path], None] | None = None,
) -> GenerationResult:
    """Generate the data set that a recipe describes.

    Args:
        document: the recipe, overrides applied.
        output: the file; default ``NAME.h5`` in the current folder.
        resume: continue a ``.part`` that is there; begin where there is none.
        overwrite: replace what is there.
        watch: told how many samples are finished.
        announce: told the plan and the file once all has been checked, before anything is written.

    Raises:
        InputError: the recipe is wrong, something stands at ``output``, or the disk is too small; nothing was written.
        RunError: a sample cannot be made (its number is named), a worker died, or the disk refuses; the finished
            samples are in the ``.part``.
    """
    path = Path(f"{run_name(document)}.h5" if output is None else output)
    part = _check_target(path, resume, overwrite)
    plan = make_generation_plan(document)
    if resume and path.exists():
        _check_same(path, plan, f"--overwrite replaces it, {_ELSEWHERE}")
        return GenerationResult(path, "already", plan.samples)
    if resume and part.exists():
        _check_same(part, plan, f"--overwrite starts again, {_ELSEWHERE}")
    _check_disk(path, plan, 0 if not part.exists() else part.stat().st_size)
    if announce is not None:
        announce(plan, path)
    if overwrite:
        path.unlink(missing_ok=True)
        part.unlink(missing_ok=True)
    return _generate(plan, path, resume, watch or (lambda done: None))


def describe_recipe(plan: GenerationPlan) -> str:
    """Return what would be generated, for people."""
    recipe, asked = plan.recipe, plan.recipe.generate
    lines = [summary(recipe.varying.middle).partition("\n  warnings\n")[0], "  generate"]
    parts = ", ".join(f"{name} {len(numbers)}" for name, numbers in plan.split.items())
    lines.append(f"    {asked.samples} samples" + (f" ({parts})" if parts else ""))
    lines.append(f"    from {recipe.source.describe()}")
    for name, given in recipe.varying.middle.inputs.items():
        options = {key: value for key, value in given.write().items() if key != "over"}
        lines.append(f"    {name}: " + ", ".join(f"{key} {value}" for key, value in options.items()))
    for name, info in recipe.schema.arrays.items():
        shape = ", ".join(f"{dim} {size}" for dim, size in zip(info.dims, info.shape, strict=True)) or "a number"
        lines.append(f"    {info.role} {name}: {shape}, {info.dtype}")
    lines.append(f"    {size_text(plan.samples * recipe.layout.sample_bytes)} without compression")
    return "\n".join(lines)


def _generate(plan: GenerationPlan, path: Path, resume: bool, watch: Callable[[int], None]) -> GenerationResult:
    began, recipe = time.perf_counter(), plan.recipe
    attrs = {"title": plan.name, "spec": plan.text, "seed": recipe.spec.seed, **recipe.source.about()}
    attrs[ERROR] = math.nan
    with Interruption().listening() as interruption:
        if plan.check and not _part(path).exists():
            try:
                with interruption.at_once():
                    attrs[ERROR] = recipe.source.error(recipe.case(0))
            except KeyboardInterrupt:
                return GenerationResult(path, "interrupted", 0, signal=interruption.signal)
        with Writer(path, recipe.schema, plan.samples, attrs, resume) as writer:
            first = writer.done
            _write(plan, writer, watch, interruption)
            seconds = time.perf_counter() - began
            if interruption.signal is not None:
                made = writer.done - first
                return GenerationResult(path, "interrupted", writer.done, made, seconds, signal=interruption.signal)
            writer.finish(plan.split)
    picture, error = _picture(path, plan), float(writer.attrs[ERROR])
    made = plan.samples - first
    return GenerationResult(path, "finished", plan.samples, made, seconds, error, writer.residual, picture)


def _write(plan: GenerationPlan, writer: Writer, watch: Callable[[int], None], interruption: Interruption) -> None:
    """Write the samples that are missing, until all are there or a signal comes."""
    watch(writer.done)
    todo = plan.recipe.batches(writer.done) if writer.done < plan.samples else ()
    with closing(run_batches(plan.text, todo, plan.executor, plan.workers, plan.scheduler)) as batches:
        while (batch := _next(batches, interruption)) is not None:
            start, samples = batch
            for arrays, facts in samples[max(0, writer.done - start) :]:
                writer.append(arrays, facts.get("relative_residual", math.nan))
            watch(writer.done)


def _next(batches: Batches, interruption: Interruption) -> Any:
    """Return the next batch, or None after the last one and after a signal, which does not wait for the batch."""
    if interruption.signal is not None:
        return None
    try:
        with interruption.at_once():
            return next(batches, None)
    except KeyboardInterrupt:
        return None


def _picture(path: Path, plan: GenerationPlan) -> Path | None:
    """Draw some samples beside the file; a data set is no worse for having no picture."""
    picture = path.with_suffix(".png")
    try:
        with open_source(path) as source:
            draw_samples(source, picture, plan.name, plan.recipe.varying.middle.time)
    except PdemlError:
        return None
    return picture


def _check_target(path: Path, resume: bool, overwrite: bool) -> Path:
    """Refuse a file that cannot be written or must not be replaced; return its ``.part``."""
    part = _part(path)
    if path.suffix.lower() not in (".h5", ".hdf5", ".nc"):
        raise InputError(f"{path}: data sets are HDF5 files; end the name in .h5, .hdf5 or .nc")
    if path.is_dir():
        raise InputError(f"{path} is a folder; give a file")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; create it first")
    if path.exists() and not (resume or overwrite):
        raise InputError(f"{path} exists already; --overwrite replaces it, -o FILE writes another one")
    if part.exists() and not (resume or overwrite):
        raise InputError(f"{part} is an unfinished data set; --resume continues it, --overwrite starts again")
    return part


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _check_same(path: Path, plan: GenerationPlan, ways: str) -> None:
    """Refuse to take a file, finished or not, for what another recipe would make."""
    with open_source(path) as source:
        was, done, complete = str(source.attrs.get("spec")), source.length, source.complete
    changes = spec_changes(was, plan.text)
    if not changes:
        return
    if complete and (samples := changes.get(_SAMPLES)):
        raise InputError(
            f"{path} is finished with {done} samples, and {samples[1]} are asked for; a finished data set is not "
            f"extended: {ways}"
        )
    listed = [f"{key} {old}, now {new}" for key, (old, new) in changes.items()][:_TOLD]
    more = f"; and {len(changes) - _TOLD} more" if len(changes) > _TOLD else ""
    raise InputError(f"{path} was made with another recipe: {'; '.join(listed)}{more}; {ways}")


def _check_disk(path: Path, plan: GenerationPlan, there: int) -> None:
    # A compressed copy stands beside the uncompressed one until it is complete.
    needed = plan.samples * plan.recipe.layout.sample_bytes * (2 if plan.recipe.schema.gzip else 1) - there
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise InputError(
            f"{path} needs {size_text(needed)} of disk space, there are {size_text(free)}; take fewer samples or "
            "fewer points in generate.output"
        )


def _workers(recipe: Recipe, asked: int | None) -> int:
    """Return how many workers there is work and, unless so many are asked for, memory for."""
    most = -(-recipe.generate.samples // recipe.batch)
    if asked is not None:
        return min(asked, most)
    if recipe.spec.device.startswith("cuda"):
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, most, available_memory() // recipe.memory))
