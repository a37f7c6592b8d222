"""Which thing a name in a formula stands for; subscripts such as ``u_xy`` are derivatives."""

from __future__ import annotations

import sympy

from pdeml.errors import ExpressionError, did_you_mean
from pdeml.expr.bounds import MAX_ORDER, derivative
from pdeml.expr.jets import normal_symbol
from pdeml.expr.names import FUNCTION_NAMES, NORMAL, Names
from pdeml.expr.vectors import Value, each

__all__ = ["CONTEXTS", "lookup", "splits"]

CONTEXTS = ("equation", "boundary", "known", "constant")


def lookup(name: str, names: Names, context: str) -> Value:
    """Return the value of a bare name.

    Raises: ExpressionError: the name is not declared, or not allowed in this context.
    """
    if context == "constant" and name not in ("pi", "e"):
        raise ExpressionError(f"{name!r} is not a constant: only numbers, pi, e and functions of them are allowed here")
    declared = _declared(name, names, context)
    if declared is not None:
        return declared
    if name in FUNCTION_NAMES:
        raise ExpressionError(f"{name!r} is a function and needs arguments: {name}(...)")
    subscripted = _subscripted(name, names, context)
    if subscripted is not None:
        return subscripted
    allowed = [*names.all_names, "pi", "e", *FUNCTION_NAMES]
    name = _short(name)
    raise ExpressionError(f"unknown name {name!r}{did_you_mean(name, allowed) or _listing(names)}")


def _short(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:57]}..."


def _listing(names: Names) -> str:
    return f"; declared are {', '.join(names.all_names)}" if names.all_names else ""


def _declared(name: str, names: Names, context: str) -> Value | None:
    if name in ("pi", "e"):
        return sympy.pi if name == "pi" else sympy.E
    if name == "i":
        if not names.complex_unknowns:
            raise ExpressionError(
                "the imaginary unit i needs a complex unknown: declare it as unknowns: {psi: complex}"
            )
        return sympy.I
    if name == NORMAL:
        if context != "boundary":
            raise ExpressionError("the normal n exists on boundaries only; use it in a boundary condition")
        return sympy.Tuple(*(normal_symbol(axis) for axis in names.space))
    if name in names.coordinates or name in names.parameters:
        return names.symbol(name)
    return _function(name, names, context)


def _function(name: str, names: Names, context: str) -> Value | None:
    """An unknown, an input or a declared vector of them; None if the name is none of these."""
    if name in names.vector_members:
        return sympy.Tuple(*(_function(member, names, context) for member in names.vector_members[name]))
    if name in names.input_names:
        return names.function(name)
    if name in names.unknowns or name in names.real_unknowns:
        if context == "known":
            raise ExpressionError(
                f"{name!r} is an unknown and cannot stand in a known expression; use coordinates only"
            )
        return names.function(name)
    return None


def splits(subscript: str, names: Names) -> list[tuple[str, ...]]:
    """Every way to read a subscript as a sequence of coordinates (at most two, each of at most ``MAX_ORDER``)."""
    found: list[tuple[str, ...]] = []

    def extend(done: tuple[str, ...], rest: str) -> None:
        if len(found) > 1 or len(done) > MAX_ORDER:
            return
        if not rest and done:
            found.append(done)
        for axis in names.coordinates:
            if rest.startswith(axis):
                extend((*done, axis), rest[len(axis) :])

    extend((), subscript)
    return found


def _subscripted(name: str, names: Names, context: str) -> Value | None:
    readings: list[tuple[str, tuple[str, ...]]] = []
    bases = []
    for cut in (k for k, char in enumerate(name) if char == "_"):
        base, subscript = name[:cut], name[cut + 1 :]
        if base in names.vector_members or base in names.input_names or base in (*names.unknowns, *names.real_unknowns):
            bases.append((base, subscript))
            readings += [(base, axes) for axes in splits(subscript, names)]
    if len(readings) > 1:
        raise ExpressionError(f"{name!r} can be read as a derivative in several ways; write it as {_as_d(readings[0])}")
    if readings:
        base, axes = readings[0]
        return each(lambda part: _derived(part, axes, names), _function(base, names, context))
    if bases:
        base, subscript, name = *map(_short, bases[0]), _short(name)
        listed = ", ".join(names.coordinates)
        if len(subscript) > MAX_ORDER and set(subscript) <= set("".join(names.coordinates)):
            raise ExpressionError(f"{name!r} is not a derivative of order up to {MAX_ORDER} along {listed}")
        near = did_you_mean(name, [*names.all_names, *(f"{base}_{axis}" for axis in names.coordinates)])
        raise ExpressionError(f"{name!r}: {subscript!r} does not split into the coordinates {listed}{near}")
    return None


def _derived(part: sympy.Expr, axes: tuple[str, ...], names: Names) -> sympy.Expr:
    for axis in axes:
        part = derivative(part, names.symbol(axis))
    return part


def _as_d(reading: tuple[str, tuple[str, ...]]) -> str:
    text, axes = reading
    for axis in axes:
        text = f"d({text}, {axis})"
    return text
