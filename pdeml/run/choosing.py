"""Which solver ``auto`` stands for."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import sympy

from pdeml.data.operator import OperatorData
from pdeml.errors import InputError
from pdeml.geometry import Polygon
from pdeml.problem import Problem
from pdeml.problem.counting import missing_conditions
from pdeml.solvers.random_features import RandomFeatures

__all__ = ["choose"]

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


def choose(
    kind: str, data: OperatorData | None = None, problem: Problem | None = None, options: Collection[str] = ()
) -> tuple[str, tuple[str, ...]]:
    """Return the kind of solver that ``auto`` stands for, and a note that says why.

    Args:
        kind: what is asked for.
        data: samples to learn from, or none.
        problem: what is solved, where that is known.
        options: names of the options that are given: the solver must have them.
    """
    if kind != "auto":
        return kind, ()
    if data is None:
        why = "the problem is not known" if problem is None else _no_features(problem, options)
        if why is None:
            return "random_features", ("auto chose 'random_features': the problem is linear and looks smooth",)
        return "pinn", (f"auto chose 'pinn': {why}",)
    why = _no_fourier(data)
    if why is None:
        return "fno", ("auto chose 'fno': the samples are functions on one regular grid",)
    return "deeponet", (f"auto chose 'deeponet': {why}",)


def _no_features(problem: Problem, options: Collection[str]) -> str | None:
    """Return why random features do not suit a problem; None where they do."""
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
        RandomFeatures().preview(problem)
    except InputError as error:
        return error.message
    return None


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
