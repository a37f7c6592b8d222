"""One function a command: read the arguments, call `pdeml.run`, print. Imports are inside: each loads what it needs."""

from __future__ import annotations

import json
import shlex
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pdeml.cli.converting import convert, file_names
from pdeml.cli.generating import first_comment, generate, generation_progress, validate_recipe
from pdeml.cli.planned import describe_plan
from pdeml.cli.progress import sample_progress
from pdeml.cli.world import is_first
from pdeml.errors import InputError

if TYPE_CHECKING:
    from pdeml.run import RunFolder, RunPlan
    from pdeml.spec import Document
    from pdeml.train import Callback

__all__ = [
    "convert",
    "evaluate",
    "generate",
    "init",
    "inspect",
    "plot",
    "predict",
    "problems",
    "schema",
    "train",
    "validate",
]


def init(arguments: Namespace) -> int:
    """Write a commented starter spec."""
    from pdeml.files import atomic_text
    from pdeml.spec import starter

    given = Path(arguments.name)
    if not given.name:
        raise InputError("give a name: letters, digits, '-' and '_'")
    name = given.name.removesuffix(".yaml")
    file, text = given.with_name(f"{name}.yaml"), starter(name)
    if file.exists():
        raise InputError(f"{file} exists already; take another name, or remove it")
    atomic_text(file, text)
    print(f"wrote {file}; next: pdeml train {shlex.quote(str(file))}")
    return 0


def validate(arguments: Namespace) -> int:
    """Check a spec and print what would be solved."""
    document = _document(arguments.spec, arguments.set)
    if document.spec.generate is not None:
        return validate_recipe(document)
    from pdeml.run import make_plan  # only here: it loads torch, and a wrong spec is told without

    plan = make_plan(document, generate=False)
    print(describe_plan(plan))
    _warn(plan.warnings)
    return 0


def train(arguments: Namespace) -> int:
    """Solve a spec into a run directory."""
    from pdeml.run.finding import run_name

    device = [] if arguments.device is None else [f"device={arguments.device}"]
    with _device_in_words(arguments.device):
        document = _document(arguments.spec, [*arguments.set, *device], training=True)
        from pdeml.run import train_spec  # only here: it loads torch, and a wrong spec is told without

        quiet = arguments.quiet or not is_first()
        name = run_name(document)
        with _progress(name, quiet) as callbacks, ExitStack() as until_planned:
            samples = until_planned.enter_context(generation_progress(f"{name}, samples", quiet))

            def announce(plan: RunPlan) -> None:
                until_planned.close()  # one bar at a time
                _warn([] if quiet else plan.warnings)

            result = train_spec(
                document,
                arguments.out,
                resume=arguments.resume,
                overwrite=arguments.overwrite,
                callbacks=callbacks,
                announce=announce,
                generation={"watch": samples.watch, "announce": samples.announce},
            )
    folder = result.folder.path
    if result.status == "interrupted" and not is_first():
        return 128 + (result.signal or 2)
    if result.status == "interrupted":
        again = f"pdeml train {shlex.quote(str(folder / 'spec.yaml'))} --out {shlex.quote(str(folder))} --resume"
        reason = result.solution.record.reason
        print(f"{reason} at step {result.solution.record.steps}; to go on: {again}", file=sys.stderr)
        return 128 + (result.signal or 2)
    if not quiet:
        if result.status == "already":
            print(f"{folder} is finished already, nothing to do: {result.solution.verdict}")
        else:
            print(result.solution.report())
            print(f"{folder}: {', '.join(_written(result.folder))}")
    return 0


def predict(arguments: Namespace) -> int:
    """Evaluate a run elsewhere."""
    from pdeml.run import find_run, write_prediction

    folder = find_run(arguments.run)
    target = Path(arguments.output) if arguments.output else folder.path / "prediction.h5"
    _check_target(target)
    if target.suffix.lower() not in (".h5", ".hdf5", ".nc"):
        raise InputError(f"-o {target}: predictions are field files; end the name in .h5, .hdf5 or .nc")
    grid = None if arguments.grid is None else _grid(arguments.grid)
    values = _parameters(arguments.set)
    progress = nullcontext() if arguments.data is None else sample_progress(target.name)
    with progress as show:
        wrote, told = write_prediction(
            folder,
            target,
            grid=grid,
            points=arguments.points,
            data=arguments.data,
            parameters=values,
            names=file_names(arguments),
            progress=show,
        )
    _warn(told)
    print(f"wrote {target}: {wrote}")
    return 0


def evaluate(arguments: Namespace) -> int:
    """Print the errors of a run."""
    from pdeml.run import evaluate as measure
    from pdeml.run import find_run

    found = measure(find_run(arguments.run), arguments.data, file_names(arguments))
    print(json.dumps(found.to_json(), indent=2) if arguments.json else found.table())
    return 0


def plot(arguments: Namespace) -> int:
    """Draw a run, a field file or a geometry."""
    from pdeml.run import plot as draw

    if arguments.output is not None:
        _check_target(Path(arguments.output))
    for file in draw(arguments.what, arguments.output, arguments.animate):
        print(f"wrote {file}")
    return 0


def inspect(arguments: Namespace) -> int:
    """Print what is in a file or folder."""
    from pdeml.run import inspect as describe

    print(describe(arguments.path, **file_names(arguments), check=arguments.check))
    return 0


def problems(arguments: Namespace) -> int:
    """List the shipped problems and recipes."""
    import pdeml_datasets
    from pdeml.problem import library

    learnt = pdeml_datasets.training()
    recipes = [
        (name, f"{first_comment(path)} (a recipe: pdeml generate{', pdeml train' if name in learnt else ''})")
        for name, path in pdeml_datasets.recipes().items()
    ]
    found = [*library.entries(), *recipes]
    wide = max(len(name) for name, _ in found)
    for name, text in found:
        print(f"{name:<{wide}}  {text}")
    return 0


def schema(arguments: Namespace) -> int:
    """Print the JSON Schema of a spec."""
    from pdeml.solvers import KINDS, solver_class
    from pdeml.spec import json_schema

    solvers = {kind: solver_class(kind).model_json_schema() for kind in KINDS}
    print(json.dumps(json_schema(solvers), indent=2, ensure_ascii=False))
    return 0


def _document(spec: str, overrides: list[str], training: bool = False) -> Document:
    from pdeml.run import find_spec
    from pdeml.spec import apply_overrides

    document = find_spec(spec, training=training)
    return apply_overrides(document, overrides) if overrides else document


def _written(folder: RunFolder) -> list[str]:
    files = (
        folder.spec,
        folder.metrics,
        folder.checkpoint,
        folder.fields,
        folder.picture,
        folder.history,
        folder.worst,
        folder.spectrum,
        folder.rollout,
        folder.summary,
    )
    return [file.name + ("/" if file.is_dir() else "") for file in files if file.exists()]


@contextmanager
def _progress(name: str, quiet: bool) -> Iterator[list[Callback]]:
    """A progress bar on a terminal, a line now and then elsewhere, nothing if quiet."""
    if quiet:
        yield []
        return
    import logging

    from pdeml.train import LogProgress, RichProgress

    if sys.stderr.isatty():
        bar = RichProgress(name)
        try:
            yield [bar]
        finally:
            bar.close()
        return
    logger, handler = logging.getLogger("pdeml"), logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(f"{name}: %(message)s"))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield [LogProgress()]
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@contextmanager
def _device_in_words(device: str | None) -> Iterator[None]:
    """Name the option that the user gave, not the override that it becomes."""
    from pdeml.spec import SpecError

    try:
        yield
    except SpecError as error:
        override = f"--set device={device}"
        if device is None or error.origin != override:
            raise
        raise InputError(f"--device {device}: {error.message}") from None


def _check_target(path: Path) -> None:
    """Refuse a file that cannot be written before anything is computed."""
    if path.is_dir():
        raise InputError(f"-o {path}: is a folder; give a file")
    if not path.parent.is_dir():
        raise InputError(f"-o {path}: there is no folder {path.parent}; create it first")


def _grid(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, value in _pairs("--grid", text.split(","), "x=512,t=201"):
        if name in found:
            raise InputError(f"--grid {text}: {name!r} stands twice")
        if not value.isascii() or not value.isdigit() or len(value) > 9:
            raise InputError(f"--grid {text}: the points along {name!r} must be a whole number, got {value!r}")
        found[name] = int(value)
    return found


def _parameters(given: list[str]) -> dict[str, float]:
    if not given:
        return {}
    from pdeml.expr import parse_constant

    found: dict[str, float] = {}
    for name, value in _pairs("--set", given, "nu=0.02"):
        try:
            found[name] = parse_constant(value)
        except InputError as error:
            raise InputError(f"--set {name}={value}: {error.message}") from None
    return found


def _pairs(option: str, parts: Iterable[str], example: str) -> Iterator[tuple[str, str]]:
    for part in parts:
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (name and equals and value):
            raise InputError(f"{option} {part}: write NAME=VALUE, such as {option} {example}")
        yield name, value


def _warn(texts: Iterable[Any]) -> None:
    for text in texts:
        print(f"warning: {text}", file=sys.stderr)
