"""Pictures of runs, field files and specs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pdeml.data import Source, open_source
from pdeml.data.native import is_native
from pdeml.errors import FileFormatError, InputError
from pdeml.field import Field
from pdeml.files import open_hdf5, read_json_lines
from pdeml.run.finding import find_run, find_spec, run_name
from pdeml.run.folder import RunFolder

if TYPE_CHECKING:
    from pdeml.problem import Problem
    from pdeml.solvers import Solution

__all__ = ["draw_field", "draw_frequencies", "draw_geometry", "draw_history", "draw_samples", "plot"]

_CURVE, _SURFACE, _INSIDE = 801, 4096, 2048
_PICTURED = 3  # samples of a data set


def plot(
    what: str | os.PathLike[str], output: str | os.PathLike[str] | None = None, animate: bool = False
) -> tuple[Path, ...]:
    """Draw a run, a field file, the first samples of a data set, or the geometry of a spec.

    Args:
        what: a run directory, a field file, a data set of pdeml, a spec file, or the name of a shipped problem.
        output: the picture; default: into the run, or beside the current folder's files under the name of the spec.
        animate: a moving picture over time (GIF; MP4 where ffmpeg is installed).

    Returns: the files written.

    Raises:
        InputError: there is nothing of that name, or it cannot be drawn so.
    """
    path, ending = Path(what), ".gif" if animate else ".png"
    if animate and output is not None and Path(output).suffix.lower() not in (".gif", ".mp4"):
        raise InputError(f"-o {output}: an animation is written to a .gif or .mp4 file")
    if path.is_dir():
        return _plot_run(find_run(path), output, ending)
    if path.is_file() and path.suffix.lower() not in (".yaml", ".yml"):
        target = Path(output) if output is not None else path.with_suffix(ending)
        if _is_samples(path):
            if animate:
                raise InputError("the samples of a data set do not move; --animate is for runs and field files")
            with open_source(path) as source:
                draw_samples(source, target, path.name, "t")
            return (target,)
        Field.from_hdf5(path).plot(target, path.name)
        return (target,)
    if animate:
        raise InputError("a geometry does not move; --animate is for runs and field files")
    return _plot_spec(what, output)


def draw_field(field: Field, path: Path) -> str | None:
    """Draw a field; return a note if it is of a kind that cannot be drawn."""
    try:
        field.plot(path)
    except InputError as error:
        return f"no {path.name}: {error}"
    return None


def draw_samples(source: Source, path: Path, title: str, time: str | None) -> None:
    """Draw the first samples of a data set, one row each; numbers stand at the row.

    Args:
        source: the samples.
        path: the picture.
        title: of it.
        time: which coordinate is the time.

    Raises:
        InputError: they cannot be drawn.
    """
    from pdeml.plot import plot_samples, save_figure

    drawn = {name: info.dims for name, info in source.arrays.items() if info.dims and info.dtype.kind == "f"}
    if not drawn or not source.length:
        raise InputError(f"{source.path}: holds no samples of functions to draw")
    numbers = [name for name, info in source.arrays.items() if not info.dims]
    shown = min(_PICTURED, source.length)
    values = {name: source.read(name, slice(0, shown)) for name in (*drawn, *numbers)}
    labels = [
        "\n".join([f"sample {k}", *(f"{name} = {values[name][k]:.4g}" for name in numbers[:4])]) for k in range(shown)
    ]
    sizes = {
        dim: size for name, dims in drawn.items() for dim, size in zip(dims, source.arrays[name].shape, strict=True)
    }
    figure = plot_samples(
        {dim: source.coordinates.get(dim, np.arange(size)) for dim, size in sizes.items()},
        drawn,
        [{name: values[name][k] for name in drawn} for k in range(shown)],
        labels=labels,
        units={**{name: info.unit for name, info in source.arrays.items()}, **source.units},
        time=time,
        title=title,
    )
    save_figure(figure, path)


def _is_samples(path: Path) -> bool:
    """Whether a file is a data set of ours."""
    if not is_native(path):
        return False
    with open_hdf5(path) as file:
        return str(file.attrs.get("pdeml_format", "")).startswith("dataset/")


def draw_history(metrics: Path, path: Path, residuals: Mapping[str, float]) -> str | None:
    """Draw loss, residual and error over the steps, of an ensemble member by member, and the final residuals.

    Args:
        metrics: the file of the run.
        path: the picture.
        residuals: statement -> scaled residual of the solution.

    Returns: a note if there is nothing to draw.
    """
    from pdeml.plot import plot_history, save_figure

    rows = read_json_lines(metrics) if metrics.is_file() else []
    rows = [row for row in rows if "step" in row]
    where = "validation" if any("gradient" in row for row in rows) else "at held-out points"
    losses: dict[str, Any] = {}
    errors: dict[str, Any] = {}
    labels = {"loss": (losses, "on training points"), "residual": (losses, "on fresh points"), "error": (errors, where)}
    if any("difference" in row for row in rows):  # levels of refinement, whose loss is an estimate of the error
        labels = {
            **({"residual": (losses, "largest residual")} if len(rows) > 1 else {}),
            "loss": (errors, "estimated error"),
            "difference": (errors, "difference of two levels"),
            "error": (errors, f"error {where}"),
        }
    for member, own in _by_member(rows).items():
        for name, (curves, label) in labels.items():
            found = [(row["step"], row[name]) for row in own if isinstance(row.get(name), (int, float))]
            if found:
                curves[label if member is None else f"{label}, member {member}"] = tuple(zip(*found, strict=True))
    if not losses and not errors:
        return f"no {path.name}: there are no metrics"
    across = "step, one member after the other" if any("member" in row for row in rows) else "step"
    final = {f"residual of {name}": float("nan") if size is None else size for name, size in residuals.items()}
    final = final if len(final) > 1 or len(rows) < 2 else {}  # the curves end in the only one
    save_figure(plot_history(losses, errors, final=final, across=across), path)
    return None


def draw_frequencies(solution: Solution, path: Path) -> None:
    """Draw the spectrum that a solution has learnt, if it has one."""
    from pdeml.plot import plot_frequencies, save_figure

    if found := solution.frequencies:
        save_figure(plot_frequencies(found, title="frequencies found"), path)


def _by_member(rows: list[dict[str, Any]]) -> dict[int | None, list[dict[str, Any]]]:
    """Divide the rows of metrics by the member of an ensemble that they speak of, None where there is one operator."""
    found: dict[int | None, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row.get("member"), []).append(row)
    return found


def draw_geometry(problem: Problem, path: Path) -> None:
    """Draw the shape in space with its named pieces.

    Raises:
        InputError: there is no space, or more than three coordinates of it.
    """
    from pdeml.geometry import Geometry
    from pdeml.plot import plot_geometry, save_figure

    space = problem.domain.space
    if not isinstance(space, Geometry):
        raise InputError("this problem has no space coordinates: there is no geometry to draw")
    if len(space.axes) > 3:
        raise InputError(f"pictures show geometries of one to three coordinates, got {', '.join(space.axes)}")
    pieces = {name: piece.draw(_cube(piece.dimension))[0] for name, piece in problem.domain.pieces.items()}
    from pdeml.sampling import sample

    inside = sample(problem.domain.region("interior"), _INSIDE, "halton", 0).x
    columns = [problem.names.coordinates.index(name) for name in space.axes]
    units = {name: problem.coordinates[name].unit for name in space.axes}
    figure = plot_geometry(pieces, space.axes, interior=inside[:, columns], units=units, title=problem.name)
    save_figure(figure, path)


def _plot_run(folder: RunFolder, output: str | os.PathLike[str] | None, ending: str) -> tuple[Path, ...]:
    if folder.fields.is_file():
        field = Field.from_hdf5(folder.fields)
    elif folder.state.is_file():
        from pdeml.run.prediction import predict

        field = predict(folder)
    else:
        raise FileFormatError(f"{folder.path}: has neither fields.h5 nor a checkpoint yet; nothing to draw")
    target = Path(output) if output is not None else folder.picture.with_suffix(ending)
    field.plot(target)
    if output is not None or ending != ".png":
        return (target,)
    residuals = folder.read_summary().get("residuals") or {} if folder.is_finished else {}
    note = draw_history(folder.metrics, folder.history, residuals)
    drawn = [target] if note is not None else [target, folder.history]
    return (*drawn, *_plot_operator(folder))


def _plot_operator(folder: RunFolder) -> tuple[Path, ...]:
    """Draw the errors of an operator over its data anew, where these are still there."""
    if not folder.is_finished or not folder.read_summary().get("scores"):
        return ()
    from pdeml.run.api import restore
    from pdeml.run.operator_pictures import draw_operator

    solution = restore(folder)
    if getattr(solution, "data", None) is None:
        return ()
    draw_operator(solution, folder)
    return tuple(path for path in (folder.worst, folder.spectrum, folder.rollout) if path.is_file())


def _plot_spec(what: str | os.PathLike[str], output: str | os.PathLike[str] | None) -> tuple[Path, ...]:
    document = find_spec(what)
    from pdeml.problem import from_document

    problem = from_document(document)
    target = Path(output) if output is not None else Path(f"{run_name(document)}-geometry.png")
    draw_geometry(problem, target)
    return (target,)


def _cube(dimension: int) -> np.ndarray:
    """Points of the unit cube: in order along a curve, spread over a surface."""
    if dimension == 0:
        return np.zeros((1, 0))
    if dimension == 1:
        return np.linspace(0.0, 1.0, _CURVE)[:, None]
    side = np.linspace(0.0, 1.0, int(_SURFACE ** (1 / dimension)))
    return np.stack([part.ravel() for part in np.meshgrid(*[side] * dimension)], axis=1)
