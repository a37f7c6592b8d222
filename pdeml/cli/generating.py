"""``pdeml generate``: the command, and its progress on a terminal or in a log."""

from __future__ import annotations

import math
import shlex
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pdeml.cli.progress import Show, sample_progress
from pdeml.errors import InputError

if TYPE_CHECKING:
    from pdeml.run import GenerationPlan, GenerationResult
    from pdeml.spec import Document

__all__ = ["LARGE_ERROR", "first_comment", "generate", "generation_progress", "validate_recipe"]

LARGE_ERROR = 0.01
"""Estimated relative L2 error of sample 0 above which the user is warned."""


def generate(arguments: Namespace) -> int:
    """Generate a data set from a recipe."""
    document = _recipe(arguments)
    from pdeml.run import generate_spec  # only here: it loads torch, and a wrong recipe is told without
    from pdeml.run.finding import run_name

    with generation_progress(run_name(document), arguments.quiet) as progress:
        result = generate_spec(
            document,
            arguments.output,
            resume=arguments.resume,
            overwrite=arguments.overwrite,
            watch=progress.watch,
            announce=progress.announce,
        )
    if result.status == "interrupted":
        _say_interrupted(result, arguments)
        return 128 + (result.signal or 2)
    if not arguments.quiet:
        print("\n".join(_said(result)))
        if result.error > LARGE_ERROR:
            about = f"the estimated relative error of sample 0 is {result.error:.2g}"
            print(f"warning: {about}; a finer reference.grid may make it smaller", file=sys.stderr)
    return 0


def validate_recipe(document: Document) -> int:
    """Check a recipe and print what would be generated."""
    from pdeml.run import describe_recipe, make_generation_plan

    plan = make_generation_plan(document)
    print(describe_recipe(plan))
    for warning in plan.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return 0


def first_comment(path: Path) -> str:
    """Return the comment in the first line of a spec: what it is about."""
    with path.open(encoding="utf-8") as file:
        return file.readline().removeprefix("#").strip()


def _recipe(arguments: Namespace) -> Document:
    from pdeml.run.recipes import find_recipe

    samples = None if arguments.samples is None else _count("--samples", arguments.samples)
    workers = None if arguments.workers is None else _count("--workers", arguments.workers)
    if arguments.executor not in (None, "processes", "dask", "serial"):
        raise InputError(f"--executor {arguments.executor}: allowed are processes, dask, serial")
    return find_recipe(arguments.recipe, samples, workers, arguments.executor, arguments.set)


def _count(option: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 12 or int(text) < 1:
        raise InputError(f"{option} {text}: must be a whole number of at least 1")
    return int(text)


def _say_interrupted(result: GenerationResult, arguments: Namespace) -> None:
    import signal

    name = signal.Signals(result.signal or signal.SIGINT).name
    given = {"-o": arguments.output, "--samples": arguments.samples}
    options = "".join(f" {option} {shlex.quote(value)}" for option, value in given.items() if value is not None)
    options += "".join(f" --set {shlex.quote(change)}" for change in arguments.set)
    again = f"pdeml generate {shlex.quote(arguments.recipe)}{options} --resume"
    print(f"interrupted by {name} after {result.done} samples; to go on: {again}", file=sys.stderr)


def _said(result: GenerationResult) -> Iterator[str]:
    from pdeml.files import size_text  # only here: it loads HDF5

    size = size_text(result.path.stat().st_size)
    if result.status == "already":
        yield f"{result.path} is finished already, nothing to do: {result.done} samples, {size}"
        return
    rate = result.made / max(result.seconds, 1e-9)
    took = f"{result.seconds:.1f} s ({rate:.3g} samples/s)"
    yield f"wrote {result.path}: {result.done} samples, {size}, in {took}"
    known = {"estimated relative error of sample 0": result.error, "largest relative residual": result.residual}
    yield from (f"  {name}: {value:.2g}" for name, value in known.items() if not math.isnan(value))
    if result.picture is not None:
        yield f"wrote {result.picture}"


class _Progress:
    """Nothing: what ``--quiet`` shows."""

    def announce(self, plan: GenerationPlan, path: Path) -> None:
        """Learn what will be made."""

    def watch(self, done: int) -> None:
        """Learn how many samples are finished."""


class _Told(_Progress):
    """Tell the plan in one line, and its warnings; then let ``show`` tell the progress."""

    def __init__(self, show: Show):
        self._show, self._samples = show, 0

    def announce(self, plan: GenerationPlan, path: Path) -> None:
        self._samples = plan.samples
        source, many = plan.recipe.source.describe(), "worker" if plan.workers == 1 else "workers"
        print(f"{path}: {plan.samples} samples from {source}, {plan.workers} {many}", file=sys.stderr)
        for warning in plan.warnings:
            print(f"warning: {warning}", file=sys.stderr)

    def watch(self, done: int) -> None:
        self._show(done, self._samples)


@contextmanager
def generation_progress(name: str, quiet: bool) -> Iterator[_Progress]:
    """Yield what is told the plan of a generation and the number of finished samples."""
    if quiet:
        yield _Progress()
    else:
        with sample_progress(name) as show:
            yield _Told(show)
