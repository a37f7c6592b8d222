"""SymPy names for users who write their equations in Python."""

from __future__ import annotations

from collections.abc import Sequence

import sympy

from pdeml.expr.names import Names

__all__ = ["symbols"]


def _listed(names: str | Sequence[str]) -> tuple[str, ...]:
    return tuple(names.replace(",", " ").split()) if isinstance(names, str) else tuple(names)


def symbols(
    coordinates: str | Sequence[str] = "x t",
    unknowns: str | Sequence[str] = "u",
    parameters: str | Sequence[str] = "",
) -> tuple[sympy.Expr, ...]:
    """Return SymPy symbols of the coordinates, applied functions of the unknowns, symbols of the parameters.

    Args:
        coordinates, unknowns, parameters: names separated by blanks or commas, or a sequence of names.

    Returns: one flat tuple in that order: ``x, t, u = symbols()``; then ``u.diff(t)`` is a derivative.

    Raises: InputError: a name is malformed, reserved or given twice.
    """
    names = Names(_listed(coordinates), unknowns=_listed(unknowns), parameters=_listed(parameters))
    return (
        *(names.symbol(name) for name in names.coordinates),
        *(names.function(name) for name in names.unknowns),
        *(names.symbol(name) for name in names.parameters),
    )
