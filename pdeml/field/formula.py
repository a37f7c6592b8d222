"""Values of formulas at the points of a field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pdeml.errors import InputError, under

if TYPE_CHECKING:
    from pdeml.field.field import Field

__all__ = ["formula_values"]


def formula_values(formulas: Mapping[str, Any], like: Field, parameters: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Evaluate known functions of the coordinates at the points of ``like``.

    Args:
        formulas: unknown -> text, number or SymPy expression.
        like: the field whose points are used; its parameters may stand in the formulas.
        parameters: name -> number, constant expression, or an object with such a ``value``.

    Returns:
        unknown -> array of the shape of ``like``; a complex formula ``psi`` gives ``psi_real`` and ``psi_imag``.

    Raises:
        ExpressionError: if a formula is not in the language or holds an unknown name.
    """
    from pdeml.expr import Names, evaluate, parse

    numbers = _numbers({name: value for name, value in parameters.items() if name not in like.coordinates})
    coordinates = tuple(name for name in like.coordinates if name not in like.parameters and name != "sample")
    names = Names(coordinates=coordinates, time=like.time, parameters=(*like.parameters, *numbers))
    points = {name: _aligned(like, name) for name in (*coordinates, *like.parameters)}
    result = {}
    for unknown, formula in formulas.items():
        with under(unknown):
            values = np.asarray(evaluate(parse(formula, names, context="known"), {**numbers, **points}))
        if np.iscomplexobj(values):
            result[f"{unknown}_real"], result[f"{unknown}_imag"] = values.real, values.imag
        else:
            result[unknown] = values
    return {name: np.broadcast_to(values, like.shape) for name, values in result.items()}


def _numbers(parameters: Mapping[str, Any]) -> dict[str, float]:
    from pdeml.expr import parse_constant

    numbers = {}
    for name, given in parameters.items():
        value = getattr(given, "value", given)
        if value is None:
            continue
        if hasattr(value, "__len__") and not isinstance(value, str):
            raise InputError(f"the parameter must be a number or a constant expression, got {value!r:.60}", (name,))
        with under(name):
            numbers[name] = parse_constant(value)
    return numbers


def _aligned(like: Field, name: str) -> np.ndarray:
    """Shape a coordinate so that it broadcasts against the field's arrays."""
    values = like.coordinates[name]
    if like.is_scattered:
        return values
    return values.reshape([-1 if dim == name else 1 for dim in like.dims])
