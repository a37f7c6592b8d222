"""Pictures of how wrong an operator is: its worst test sample, its error over wave numbers and over time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pdeml.errors import InputError
from pdeml.run.folder import RunFolder

if TYPE_CHECKING:
    from pdeml.solvers.operator_solution import OperatorSolution

__all__ = ["draw_operator"]


def draw_operator(solution: OperatorSolution, folder: RunFolder) -> list[str]:
    """Draw the pictures of a run; return notes on those that cannot be drawn."""
    pictures: dict[Path, Callable[[OperatorSolution], Any]] = {folder.worst: _worst, folder.spectrum: _spectrum}
    if solution.signature.march is not None:
        pictures[folder.rollout] = _rollout
    from pdeml.plot import save_figure

    notes = []
    for path, draw in pictures.items():
        try:
            save_figure(draw(solution), path)
        except InputError as error:
            notes.append(f"no {path.name}: {error}")
    return notes


def _worst(solution: OperatorSolution) -> Any:
    from pdeml.plot import plot_case

    part = solution.shown
    number = solution.scores[part]["worst"]
    inputs, known, points = solution.samples(number, 1, part)
    field = solution.on_samples(inputs, known, points, {}).isel(sample=0)
    dims = {quantity.name: quantity.dims for quantity in solution.signature.inputs}
    given = {name: (dims[name], values[0]) for name, values in inputs.items() if name in dims}
    outputs = solution.signature.dims
    return plot_case(
        {**points, **field.coordinates},
        given,
        {name: (outputs, values) for name, values in field.values.items()},
        {name: (outputs, values) for name, values in field.reference.items()},
        std=dict(field.std) or None,
        units=field.units,
        time=field.time,
        title=f"worst of {solution.scores[part]['samples']} {part} samples: number {number}",
    )


def _spectrum(solution: OperatorSolution) -> Any:
    from pdeml.plot import plot_spectrum

    outputs = solution.scores[solution.shown]["outputs"]
    spectra = {name: own["spectrum"] for name, own in outputs.items() if own.get("spectrum")}
    if not spectra:
        raise InputError("the points are not equally spaced")
    first = next(iter(spectra.values()))
    curves = {name: {"reference": own["reference"], "error": own["error"]} for name, own in spectra.items()}
    axis = solution.signature.axis(solution.signature.space[-1])
    return plot_spectrum(
        np.array(first["k"]), curves, unit=axis.unit, resolved=first.get("resolved"), title="energy of the error"
    )


def _rollout(solution: OperatorSolution) -> Any:
    from pdeml.plot import plot_over_time

    march, outputs = solution.signature.march, solution.scores[solution.shown]["outputs"]
    errors = {
        name: {
            part: solution.scores[part]["outputs"][name]["over_time"]["nrmse"]
            for part in ("train", "test")
            if part in solution.scores
        }
        for name in outputs
    }
    times = next(iter(outputs.values()))["over_time"]["times"]
    unit = solution.signature.axis(march.time).unit
    return plot_over_time(np.array(times), errors, unit=unit, up="relative L2 error of the frame")
