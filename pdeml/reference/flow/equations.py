"""Recognise the equations of an incompressible flow, whatever the unknowns are called."""

from __future__ import annotations

from dataclasses import dataclass

import sympy

from pdeml.errors import InputError
from pdeml.expr import NormalForm, Term, diff, is_zero, jet_symbol
from pdeml.problem import Problem

__all__ = ["Flow", "recognise"]

Index = tuple[int, ...]


@dataclass(frozen=True)
class Flow:
    """``inertia u_t + convection (u·∇)u - viscosity Δu + ∇p = force`` and ``∇·u = 0``.

    Attributes:
        velocity: the unknowns that are the components along the two space coordinates.
        pressure: the unknown that is the pressure.
        inertia, convection, viscosity: constants in the parameters; those of a steady flow and of a slow (Stokes) one
            are zero.
        force: two formulas in coordinates, parameters and input functions.
    """

    velocity: tuple[str, str]
    pressure: str
    inertia: sympy.Expr
    convection: sympy.Expr
    viscosity: sympy.Expr
    force: tuple[sympy.Expr, sympy.Expr]


def recognise(problem: Problem) -> Flow:
    """Return the flow that the equations of a problem describe.

    Momentum may be scaled by any factor, written with the divergence of ``u u`` or with the symmetric gradient: what
    differs by multiples of the continuity equation is the same flow.

    Raises:
        InputError: they describe something else; the message says what.
    """
    names = problem.names
    if len(names.space) != 2:
        raise InputError(f"a plane flow has two space coordinates, this problem has {len(names.space)}")
    if len(names.real_unknowns) != 3 or names.complex_unknowns or len(problem.forms) != 3:
        raise InputError("a plane flow has three equations for two components of velocity and the pressure")
    axes = tuple(_unit(names.coordinates, axis) for axis in names.space)
    continuity, velocity = _continuity(problem, axes)
    (pressure,) = set(names.real_unknowns) - set(velocity)
    time = None if names.time is None else _unit(names.coordinates, names.time)
    parts: dict[int, tuple[sympy.Expr, ...]] = {}
    for form in problem.forms:
        if form is not continuity:
            axis = _axis_of(form, pressure, axes)
            parts[axis] = _Momentum(problem, velocity, pressure, axes, time).parts(form, axis)
    if set(parts) != {0, 1}:
        raise InputError(f"both momentum equations contain the same derivative of the pressure {pressure!r}")
    for one, other, what in zip(parts[0], parts[1], ("inertia", "convection", "viscosity"), strict=False):
        if not is_zero(one - other):
            raise InputError(f"the two momentum equations differ in the factor of {what}: {one} and {other}")
    inertia, convection, viscosity, _ = parts[0]
    if is_zero(viscosity):
        raise InputError("there is no viscous term nu*laplacian(u); flows without friction are not solved")
    return Flow(velocity, pressure, inertia, convection, viscosity, (parts[0][3], parts[1][3]))


def _unit(coordinates: tuple[str, ...], name: str) -> Index:
    return tuple(int(name == other) for other in coordinates)


def _plus(one: Index, other: Index) -> Index:
    return tuple(a + b for a, b in zip(one, other, strict=True))


def _continuity(problem: Problem, axes: tuple[Index, ...]) -> tuple[NormalForm, tuple[str, str]]:
    """Find ``u_x + v_y = 0``, and so which unknown is the velocity along which axis."""
    for form in problem.forms:
        along = {term.index: term for term in form.terms}
        if form.rest == 0 and len(form.terms) == 2 and set(along) == set(axes):
            one, other = (along[axis] for axis in axes)
            if one.unknown != other.unknown and is_zero(one.coefficient - other.coefficient):
                if not is_zero(form.source):
                    raise InputError("the divergence of the velocity must be zero, without a source")
                return form, (one.unknown, other.unknown)
    x, y = problem.names.space
    raise InputError(f"no equation says that the velocity has no divergence; write it as u_{x} + v_{y} = 0")


def _axis_of(form: NormalForm, pressure: str, axes: tuple[Index, ...]) -> int:
    found = [term.index for term in form.terms if term.unknown == pressure]
    if len(found) != 1 or found[0] not in axes:
        raise InputError(
            f"a momentum equation contains the gradient of {pressure!r} once; '{form.residual} = 0' does not"
        )
    return axes.index(found[0])


@dataclass(frozen=True)
class _Momentum:
    problem: Problem
    velocity: tuple[str, str]
    pressure: str
    axes: tuple[Index, ...]
    time: Index | None

    def parts(self, form: NormalForm, axis: int) -> tuple[sympy.Expr, ...]:
        """Return inertia, convection, viscosity and force of the equation along ``axis``, scaled to ``1 * grad p``."""
        own, other = self.velocity[axis], self.velocity[1 - axis]
        along, across = self.axes[axis], self.axes[1 - axis]
        left: dict[tuple[str, Index], sympy.Expr] = {(t.unknown, t.index): t.coefficient for t in form.terms}
        scale = left.pop((self.pressure, along))
        inertia = left.pop((own, self.time), sympy.S.Zero) if self.time else sympy.S.Zero
        symmetric = left.pop((other, _plus(along, across)), sympy.S.Zero)
        second = left.pop((own, _plus(along, along)), sympy.S.Zero) - symmetric
        if not is_zero(second - left.pop((own, _plus(across, across)), sympy.S.Zero)):
            raise InputError(f"the second derivatives of {own!r} do not form a multiple of its Laplacian")
        for (name, index), coefficient in left.items():
            if not is_zero(coefficient):
                raise InputError(
                    f"'{Term(coefficient, name, index).expression}' is not a term of the momentum equation"
                )
        factors = (inertia / scale, self._convection(form.rest, axis) / scale, -second / scale)
        for factor in (scale, *factors):
            self._check_constant(factor)
        return (*(sympy.simplify(factor) for factor in factors), -form.source / scale)

    def _convection(self, rest: sympy.Expr, axis: int) -> sympy.Expr:
        """Return c of ``rest = c (u·∇)u + a u ∇·u``, whatever a is."""
        if rest == 0:
            return sympy.S.Zero
        zero = (0,) * len(self.axes[0])
        values = [jet_symbol(name, zero) for name in self.velocity]
        slopes = [jet_symbol(self.velocity[axis], index) for index in self.axes]
        divergence = sum(jet_symbol(name, index) for name, index in zip(self.velocity, self.axes, strict=True))
        outer = jet_symbol(self.velocity[1 - axis], self.axes[1 - axis])
        factor = diff(diff(rest, values[1 - axis]), slopes[1 - axis])
        surplus = diff(diff(rest, values[axis]), outer)
        whole = factor * sum(u * slope for u, slope in zip(values, slopes, strict=True))
        if not is_zero(sympy.expand(rest - whole - surplus * values[axis] * divergence)):
            raise InputError(
                f"the non-linear part '{rest}' is not a multiple of the convection u*u_x + v*u_y of "
                f"{self.velocity[axis]!r}"
            )
        return factor

    def _check_constant(self, factor: sympy.Expr) -> None:
        allowed = {self.problem.names.symbol(name) for name in self.problem.names.parameters}
        if factor.free_symbols - allowed:
            raise InputError(f"density and viscosity must be constant, but '{factor}' is a factor of the equations")
