"""Which solver ``auto`` stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import sympy

from pdeml.data.operator import OperatorData
from pdeml.errors import InputError
from pdeml.geometry import Polygon
from pdeml.problem import Problem
from pdeml.problem.counting import missing_conditions
from pdeml.solvers.options import Preview
from pdeml.solvers.pinn import PINN
from pdeml.solvers.random_features import RandomFeatures

__all__ = ["Choice", "choose"]

MOST_FOURIER = 3
"""Dimensions that Fourier layers are there for."""
MOST_FEATURES = 3
"""Coordinates that random features are good for."""
_ROUGH = (
    sympy.Abs,
    sympy.sign,
    sympy.Heaviside,
    sympy.Piecewise,
    sympy.Min,
    sympy.Max,
    sympy.floor,
    sympy.ceiling,
)


class Choice(NamedTuple):
    """A kind of solver, a note that says why, and what it will do where that had to be found out for the choice."""

    kind: str
    notes: tuple[str, ...] = ()
    preview: Preview | None = None


def choose(
    kind: str,
    data: OperatorData | None = None,
    problem: Problem | None = None,
    options: Mapping[str, Any] | None = None,
) -> Choice:
    """Return the kind of solver that ``auto`` stands for.

    Args:
        kind: what is asked for.
        data: samples to learn from, or none.
        problem: what is solved, where that is known.
        options: those that are given: the solver must have them.
    """
    if kind != "auto":
        return Choice(kind)
    if data is None:
        found = "the problem is not known" if problem is None else _features(problem, options or {})
        if isinstance(found, str):
            return Choice("pinn", (f"auto chose 'pinn': {found}",))
        note = "auto chose 'random_features': the problem is linear and looks smooth"
        return Choice("random_features", (note,), found)
    why = _no_fourier(data)
    if why is None:
        return Choice("fno", ("auto chose 'fno': the samples are functions on one regular grid",))
    return Choice("deeponet", (f"auto chose 'deeponet': {why}",))


def _features(problem: Problem, options: Mapping[str, Any]) -> Preview | str | None:
    """Return what random features will do, or why they do not suit the problem.

    None where they suit it, but not with these options: that is for them to say.
    """
    forms = [*problem.forms, *(constraint.form for constraint in problem.constraints)]
    foreign = [name for name in options if name not in RandomFeatures.model_fields]
    if foreign:
        return f"{foreign[0]!r} is an option of networks"
    if not all(form.is_linear for form in forms):
        return "the problem is not linear"
    if len(problem.names.coordinates) > MOST_FEATURES:
        return f"the problem has {len(problem.names.coordinates)} coordinates"
    if missing_conditions(problem):
        return "conditions are missing, and what they leave open must be smoothed"
    if any(form.residual.has(*_ROUGH) for form in forms):
        return "a formula has jumps or kinks"
    if _has_inward_corner(problem):
        return "the shape has a corner that points inwards, where solutions are not smooth"
    try:
        solver = RandomFeatures(**options)
    except InputError:
        return None
    try:
        return solver.preview(problem)
    except InputError as error:
        return error.message if set(options) <= set(PINN.model_fields) else None


def _has_inward_corner(problem: Problem) -> bool:
    space = problem.domain.space
    if not isinstance(space, Polygon):
        return False
    sides = np.roll(space.vertices, -1, axis=0) - np.array(space.vertices)
    following = np.roll(sides, -1, axis=0)
    turns = sides[:, 0] * following[:, 1] - sides[:, 1] * following[:, 0]
    return bool((turns > 0).any() and (turns < 0).any())


def _no_fourier(data: OperatorData) -> str | None:
    """Return why Fourier layers do not suit the samples; None where they do."""
    dims = data.arrays["outputs"][0].dims
    if len(dims) > MOST_FOURIER:
        return f"the outputs have {len(dims)} dimensions"
    for info in data.arrays["inputs"]:
        if not set(info.dims) <= set(dims):
            return f"the input {info.name} stands on another grid than the outputs"
    for dim in dims:
        steps = np.diff(data.source.coordinates.get(dim, np.arange(2)))
        if not np.allclose(steps, steps.mean(), rtol=1e-3):
            return f"the points along {dim} are not equally spaced"
    return None
