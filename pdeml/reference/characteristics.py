"""Linear scalar transport, solved along characteristics: jumps stay jumps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
import sympy

from pdeml.errors import DivergenceError, ExpressionError, InputError
from pdeml.expr import NUMPY, compile_program, diff, is_zero, jet_of, jet_symbol
from pdeml.field import canonical_dims, grid_points
from pdeml.problem import Problem
from pdeml.reference.case import Case
from pdeml.reference.evolution import make_evolution
from pdeml.reference.method import Batch, Method
from pdeml.reference.solved import Solved
from pdeml.reference.volumes.sides import Side, read_sides

__all__ = ["Characteristics", "Transport", "TransportSolution"]

CHUNK = 200_000
"""Characteristics that are followed together."""


class Characteristics(Method):
    """Scalar linear equations ``u_t + Σ_k a_k(x, t) d(u, x_k) = c(x, t) u + s(x, t)`` on a box.

    Nothing is discretised in space: each value asked for is found by following its characteristic back to the start or
    to the side where it entered, ``u = φ u(foot) + ∫ φ s``, with ``φ = exp ∫ c``. Positions come from the classical
    Runge-Kutta method with as many steps over the whole duration as the grid says: order 4, and exact for constant
    ``a`` and ``c`` without source. The step that leaves the box is made again with the coordinate that leaves as
    independent variable, so that it ends on the side and keeps the order.
    Good at: jumps, input functions as coefficients. Bad at: many points with costly coefficients that depend on time.

    Reference: Hénon, Physica D 5 (1982) 412-414 (the step to a given place).
    """

    kind: ClassVar[str] = "characteristics"

    def refusal(self, problem: Problem) -> str | None:
        names = problem.names
        if names.time is None or not names.space or not problem.domain.is_box:
            return "it needs time and a box in space"
        try:
            transport_of(problem)
            read_sides(problem)
        except InputError as error:
            return error.message
        return None

    def order(self, problem: Problem) -> float:
        return 4.0

    def usual_grid(self, problem: Problem) -> dict[str, int]:
        return {name: 257 if name == problem.time else 2 for name in problem.names.coordinates}

    def _solve(self, batch: Batch) -> list[TransportSolution]:
        found = []
        for number, case in enumerate(batch.cases):
            found.append(self.solved(batch.problem, case, batch.grid, batch.times, np.zeros(0)))
            found[-1].check()
            batch.part(number)(1.0)
        return found

    def solved(
        self, problem: Problem, case: Case, grid: Mapping[str, int], times: np.ndarray | None, array: np.ndarray
    ) -> TransportSolution:
        name, *ends = problem.domain.time  # type: ignore[misc]
        steps = max(1, self.full_grid(problem, grid)[name] - 1)
        transport, sides = transport_of(problem), read_sides(problem)
        stops = np.array(ends) if times is None else np.asarray(times, dtype=np.float64)
        steps = 1 if transport.is_straight else steps
        return TransportSolution(problem, stops, array, {"steps": steps}, case, transport, sides, steps)


@dataclass(frozen=True)
class Transport:
    """``u_t + Σ_k a_k d(u, x_k) = c u + s``, formulas in coordinates, parameters and inputs.

    Attributes:
        speeds: ``a_k``, one for each space coordinate.
        growth: ``c``.
        source: ``s``.
        initial: u at the start.
        steady: whether none of them depends on time.
        is_straight: whether one Runge-Kutta step of any length is exact: a and c are constants and s is zero.
    """

    speeds: tuple[sympy.Expr, ...]
    growth: sympy.Expr
    source: sympy.Expr
    initial: sympy.Expr
    steady: bool
    is_straight: bool


def transport_of(problem: Problem) -> Transport:
    """Read the equation of a problem as linear transport.

    Raises:
        InputError: it is another one, with the reason.
    """
    names = problem.names
    evolution = make_evolution(problem)
    if len(names.real_unknowns) != 1 or len(evolution.state) != 1 or evolution.constrained:
        raise InputError("it solves one real equation of first order in time")
    unknown = names.real_unknowns[0]
    jets = [jet_symbol(unknown, [int(c == axis) for c in names.coordinates]) for axis in (None, *names.space)]
    if problem.forms[0].integrals or any(sum(index) > 1 for _, index in problem.forms[0].jets):
        raise InputError("it has integrals or higher derivatives of the unknown")
    rate = evolution.rates[0]
    try:
        growth, *slopes = (diff(rate, jet) for jet in jets)
    except ExpressionError as error:
        raise InputError(error.message) from None
    source = rate.xreplace(dict.fromkeys(jets, sympy.S.Zero))
    linear = source + sum(slope * jet for slope, jet in zip((growth, *slopes), jets, strict=True))
    if not is_zero(rate - linear) or any(part.free_symbols & set(jets) for part in (growth, *slopes, source)):
        raise InputError("its equation is not linear in the unknown")
    if is_zero(source):
        source = sympy.S.Zero
    return _transport(problem, tuple(-slope for slope in slopes), growth, source, evolution.initial[0])


def _time(problem: Problem) -> int:
    return problem.names.coordinates.index(problem.names.time or "")


def _transport(
    problem: Problem, speeds: tuple[sympy.Expr, ...], growth: sympy.Expr, source: sympy.Expr, initial: sympy.Expr
) -> Transport:
    names = problem.names
    symbols = set().union(*(part.free_symbols for part in (*speeds, growth, source)))
    over = dict(names.inputs)
    moving = {s for s in symbols if s.name == names.time or ((jet := jet_of(s)) and names.time in over[jet[0]])}
    constant = {s for part in (*speeds, growth) for s in part.free_symbols} <= {
        names.symbol(name) for name in problem.parameters
    }
    return Transport(speeds, growth, source, initial, not moving, constant and source == 0)


@dataclass(frozen=True, eq=False)
class TransportSolution(Solved):
    """The solution, computed where it is asked for; nothing is stored or interpolated."""

    problem: Problem
    times: np.ndarray
    array: np.ndarray
    facts: Mapping[str, float | int | str]
    case: Case = field(repr=False)
    transport: Transport = field(repr=False)
    sides: tuple[Side, ...] = field(repr=False)
    steps: int = 1

    def at_space(self, points: np.ndarray) -> dict[str, np.ndarray]:
        name = self.problem.names.real_unknowns[0]
        if self.transport.steady:
            return {name: self._at_all_times(np.asarray(points, dtype=np.float64), self.times)}
        return {name: np.stack([self._values(points, np.full(len(points), at)) for at in self.times])}

    def evaluate(self, points: np.ndarray) -> dict[str, np.ndarray]:
        names = self.problem.names
        space = points[:, [names.coordinates.index(axis) for axis in names.space]]
        return {names.real_unknowns[0]: self._values(space, points[:, _time(self.problem)])}

    def on_grid(self, axes: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        names = self.problem.names
        space = {name: np.asarray(axes[name], dtype=np.float64) for name in names.space}
        times = np.asarray(axes[names.time or ""], dtype=np.float64)
        found = TransportSolution(
            self.problem, times, self.array, self.facts, self.case, self.transport, self.sides, self.steps
        ).at_space(grid_points(space, tuple(space)))
        dims = (names.time, *names.space)
        order = [dims.index(name) for name in canonical_dims(names.coordinates, names.time)]
        shape = (len(times), *(len(axis) for axis in space.values()))
        return {name: np.ascontiguousarray(values.reshape(shape).transpose(order)) for name, values in found.items()}

    def check(self) -> None:
        """Raise `InputError` where a characteristic enters through a side without a value."""
        bounds = self._bounds
        mesh = np.meshgrid(*(np.linspace(low, high, 5) for low, high in bounds), indexing="ij")
        points = np.stack([part.ravel() for part in mesh], 1)
        self._values(points, np.full(len(points), self.problem.domain.time[2]))  # type: ignore[index]

    @property
    def _bounds(self) -> np.ndarray:
        return self.problem.domain.space.bounds  # type: ignore[union-attr]

    @property
    def _start(self) -> float:
        return self.problem.domain.time[1]  # type: ignore[index]

    @cached_property
    def _coefficients(self) -> Callable[[np.ndarray, np.ndarray], list[np.ndarray]]:
        transport = self.transport
        return _compiled(self.case, [*transport.speeds, transport.growth, transport.source])

    def _values(self, points: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Return u at points (N, d) and times (N,)."""
        parts = []
        for k in range(0, len(points), CHUNK):
            feet = _Feet.at(points[k : k + CHUNK], times[k : k + CHUNK])
            ages = feet.times - self._start
            for _ in range(self.steps):
                self._back(feet, ages / self.steps)
            parts.append(self._result(feet, 0.0))
        return np.concatenate(parts) if parts else np.zeros(0)

    def _at_all_times(self, points: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Return u at points (N, d) and all times (T,): the characteristics of all times are parts of the longest."""
        result = np.empty((len(times), len(points)))
        last, duration = float(np.max(times)), self.problem.domain.time[2] - self._start  # type: ignore[index]
        for k in range(0, len(points), CHUNK):
            part = slice(k, k + CHUNK)
            feet = _Feet.at(points[part], np.full(len(points[part]), last))
            for row in np.argsort(times, kind="stable"):
                left = times[row] - self._start - (last - feet.now)
                count = max(1, int(np.ceil(self.steps * left / duration - 1e-9)))
                for _ in range(count if left > 0 else 0):
                    self._back(feet, np.full(len(feet.times), left / count))
                feet.now = last - (times[row] - self._start)
                result[row, part] = self._result(feet, last - float(times[row]))
        return result

    def _back(self, feet: _Feet, step: np.ndarray) -> None:
        """Follow all characteristics that are still inside back by ``step`` (N,)."""
        moving = feet.side < 0
        y, t, h = feet.y[moving], feet.times[moving], step[moving, None]
        after = y + _runge_kutta(lambda z, s: self._slope(z, t - s[:, 0]), y, h)
        if not np.all(np.isfinite(after)):
            raise DivergenceError("a characteristic runs to infinity")
        inside, later, side = after.copy(), t - h[:, 0], np.full(len(y), -1)
        for number, one in enumerate(self.sides):
            bound = self._bounds[one.axis][one.end]
            out = np.flatnonzero((inside[:, one.axis] - bound) * (1 if one.end else -1) > 0)
            if len(out):
                ends, when = self._to_side(y[out], t[out], one.axis, bound)
                first = (side[out] < 0) | (when > later[out])  # through a corner: the side that is met first
                after[out[first]], later[out[first]], side[out[first]] = ends[first], when[first], number
        feet.y[moving], feet.times[moving], feet.side[moving] = self._wrapped(after), later, side

    def _to_side(self, y: np.ndarray, t: np.ndarray, axis: int, bound: float) -> tuple[np.ndarray, np.ndarray]:
        """Make one step that ends where coordinate ``axis`` is ``bound``; return states and times."""
        whole = np.concatenate([y, t[:, None]], 1)

        def slope(z: np.ndarray, _: np.ndarray) -> np.ndarray:
            backwards = np.concatenate([self._slope(z[:, :-1], z[:, -1]), -np.ones((len(z), 1))], 1)
            return backwards / backwards[:, axis : axis + 1]

        whole = whole + _runge_kutta(slope, whole, (bound - y[:, axis])[:, None])
        whole[:, axis] = bound
        return whole[:, :-1], whole[:, -1]

    def _slope(self, y: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Derivative of (positions, log φ, ∫ φ s) as time runs backwards."""
        space = self._wrapped(y)[:, :-2]
        *speeds, growth, source = self._coefficients(space, t)
        return np.stack([*(-speed for speed in speeds), growth, source * np.exp(y[:, -2])], 1)

    def _wrapped(self, y: np.ndarray) -> np.ndarray:
        """Bring positions back into the box: by whole periods, or (stages of a step that is made again) to its side."""
        result = y.copy()
        for k, (name, (low, high)) in enumerate(zip(self.problem.names.space, self._bounds, strict=True)):
            inside = low + np.mod(y[:, k] - low, high - low) if name in self.problem.periodic else y[:, k]
            result[:, k] = np.clip(inside, low, high)
        return result

    def _result(self, feet: _Feet, earlier: float) -> np.ndarray:
        """Return u at the heads of the characteristics, all of which began ``earlier`` than `_Feet.times` counts."""
        space, times = feet.y[:, :-2], feet.times - earlier
        inside = feet.side < 0
        found = np.empty(len(space))
        found[inside] = self._prescribed(self.transport.initial, space[inside], np.full(inside.sum(), self._start))
        for number, side in enumerate(self.sides):
            chosen = feet.side == number
            if chosen.any():
                value = side.values[0]
                if value is None:
                    name = self.problem.names.space[side.axis]
                    bound = self._bounds[side.axis][side.end]
                    raise InputError(f"characteristics enter at {name} = {bound:g}, where no value is given")
                found[chosen] = self._prescribed(value, space[chosen], times[chosen])
        return np.exp(feet.y[:, -2]) * found + feet.y[:, -1]

    def _prescribed(self, formula: sympy.Expr, space: np.ndarray, times: np.ndarray) -> np.ndarray:
        return self.case.at(formula, np.insert(space, _time(self.problem), times, axis=1))


@dataclass(eq=False)
class _Feet:
    """How far N characteristics have been followed.

    Attributes:
        y: positions, log φ and ∫ φ s, (N, d + 2).
        times: (N,).
        side: number of the side where each left the box, -1 while it is inside.
        now: time of those inside, where it is common.
    """

    y: np.ndarray
    times: np.ndarray
    side: np.ndarray
    now: float

    @classmethod
    def at(cls, points: np.ndarray, times: np.ndarray) -> _Feet:
        y = np.concatenate([np.asarray(points, dtype=np.float64), np.zeros((len(points), 2))], 1)
        now = float(times[0]) if len(times) else 0.0
        return cls(y, np.array(times, dtype=np.float64), np.full(len(points), -1), now)


def _runge_kutta(slope: Callable[[np.ndarray, np.ndarray], np.ndarray], y: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Return the increment of the classical Runge-Kutta method; ``slope`` takes the states and the steps done."""
    a = slope(y, 0.0 * h)
    b = slope(y + 0.5 * h * a, 0.5 * h)
    c = slope(y + 0.5 * h * b, 0.5 * h)
    d = slope(y + h * c, h)
    return h / 6.0 * (a + 2.0 * b + 2.0 * c + d)


def _compiled(case: Case, formulas: Sequence[sympy.Expr]) -> Callable[[np.ndarray, np.ndarray], list[np.ndarray]]:
    """Return a function of positions (N, d) and times (N,) that gives each formula, (N,); compiled once."""
    names = case.problem.names
    symbols = sorted(set().union(*(formula.free_symbols for formula in formulas)), key=str)
    program = compile_program(list(formulas), [symbol.name for symbol in symbols])

    def drawn(symbol: sympy.Symbol, columns: Mapping[str, np.ndarray]) -> np.ndarray | float:
        name, index = jet_of(symbol)  # type: ignore[misc]
        function, orders = case.inputs[name], dict(zip(names.coordinates, index, strict=True))
        own = [orders.pop(axis) for axis in function.over]
        return 0.0 if any(orders.values()) else function.at(np.stack([columns[c] for c in function.over], 1), own)

    def run(space: np.ndarray, times: np.ndarray) -> list[np.ndarray]:
        columns = {**dict(zip(names.space, space.T, strict=True)), names.time or "": times}
        known = {**case.numbers, **columns}
        values = [drawn(symbol, columns) if jet_of(symbol) else known[symbol.name] for symbol in symbols]
        with np.errstate(all="ignore"):
            return [np.broadcast_to(value, times.shape) for value in program.run(values, NUMPY)]

    return run
