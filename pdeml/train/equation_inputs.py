"""What an equation needs of an operator: its problem, the inputs of a batch, and which outputs suffice."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from pdeml.data.signature import Signature
from pdeml.errors import InputError, one_of
from pdeml.lower.given import GivenFunctions, input_jets
from pdeml.lower.grid_derivatives import ACCURACY, GridAxis
from pdeml.nn import exact_lift
from pdeml.problem import Problem

__all__ = ["check_outputs", "given_batch", "grid_points", "make_axes", "met_conditions"]

Values = Mapping[str, Tensor]


def met_conditions(problem: Problem, signature: Signature) -> tuple[str, ...]:
    """Return the names of the conditions that ``signature.lift`` satisfies by construction; see `pdeml.nn.boundary`."""
    if not signature.lift:
        return ()
    inputs = {part.input for lifted in signature.lift for part in lifted.base if part.input}
    return exact_lift(problem, dict.fromkeys(problem.names.real_unknowns, 1.0), given=sorted(inputs)).exact


def given_batch(
    problem: Problem, signature: Signature, example: Values, grid: Values, accuracy: int = ACCURACY
) -> GivenFunctions:
    """Return the inputs of a batch as the input functions and parameters of a problem.

    Raises:
        InputError: the problem needs an input that is not there, or lives elsewhere.
    """
    dims = {quantity.name: quantity.dims for quantity in signature.inputs}
    _check_inputs(problem, dims)
    axes = make_axes(problem, grid_points(problem, grid), accuracy)
    values = {name: torch.as_tensor(example[name]) for name in dims}
    return GivenFunctions(problem.names.coordinates, input_jets(problem), axes, dims, values)


def grid_points(problem: Problem, grid: Values) -> dict[str, np.ndarray]:
    """Return the points along the problem's coordinates, in double precision."""
    names = [name for name in problem.names.coordinates if name in grid]
    return {name: grid[name].detach().cpu().numpy().astype(np.float64) for name in names}


def make_axes(problem: Problem, points: Mapping[str, np.ndarray], accuracy: int) -> dict[str, GridAxis]:
    """Return the axes of a problem's coordinates.

    Raises:
        InputError: the points lie outside the domain, or do not fit its period.
    """
    found = {}
    for name, (low, high) in zip(problem.names.coordinates, problem.domain.bounds, strict=True):
        if name not in points:
            continue
        own, margin = points[name], 1e-4 * (high - low)
        if own[0] < low - margin or own[-1] > high + margin:
            raise InputError(
                f"{name!r} runs from {own[0]:g} to {own[-1]:g} in the samples, but from {low:g} to {high:g} in the "
                "problem",
                ("coordinates", name),
            )
        found[name] = GridAxis(name, own, float(high - low) if name in problem.periodic else None, accuracy)
    return found


def check_outputs(problem: Problem, signature: Signature) -> None:
    """Refuse an operator whose outputs do not suffice for the equations."""
    if signature.march is not None:
        raise InputError(
            "an operator that goes on in time sees too few frames for the equation's time derivative: leave out "
            "'history', so that it gives the whole output, or train without the equation",
            ("physics",),
        )
    if signature.masked or not problem.domain.is_box:
        raise InputError("the equation is evaluated on boxes only; train on this geometry without it", ("physics",))
    outputs = [quantity.name for quantity in signature.outputs]
    forms = (*problem.forms, *(constraint.form for constraint in problem.constraints))
    for unknown in dict.fromkeys(name for form in forms for name in form.unknowns):
        if unknown not in outputs:
            raise InputError(
                f"the equation contains {unknown!r}, which is no output: {one_of(unknown, outputs, 'an output')}",
                ("outputs",),
            )
    missing = [name for name in problem.names.coordinates if name not in signature.dims]
    other = [name for name in signature.dims if name not in problem.names.coordinates]
    if missing or other:
        raise InputError(
            f"the equation is over {', '.join(problem.names.coordinates)}, the outputs over "
            f"{', '.join(signature.dims)}: its derivatives cannot be taken",
            ("outputs",),
        )


def _check_inputs(problem: Problem, dims: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse samples that do not say what the problem leaves open."""
    for name, function in problem.inputs.items():
        if name not in dims:
            raise InputError(
                f"the equation contains the input function {name!r}, which is not given: "
                f"{one_of(name, dims, 'an input')}",
                ("inputs", name),
            )
        if set(dims[name]) != set(function.over):
            raise InputError(
                f"{name!r} depends on {', '.join(function.over)} in the problem, on {', '.join(dims[name])} in the "
                "samples",
                ("inputs", name),
            )
    for name, parameter in problem.parameters.items():
        if parameter.kind in ("learn", "eigen") and name not in dims:
            raise InputError(
                f"the equation contains {name!r}, whose value is not known", ("problem", "parameters", name)
            )
        if parameter.kind == "range" and name not in dims:
            raise InputError(
                f"the equation contains the parameter {name!r}, which differs from sample to sample: make it an input",
                ("problem", "parameters", name),
            )
