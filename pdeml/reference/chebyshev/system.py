"""Collocation: formulas at points become rows of equations for the numbers that stand for polynomials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
import sympy
from scipy.sparse import coo_array, csc_array, csr_array

from pdeml.expr import Program, compile_program, jet_of, normal_symbol, slopes
from pdeml.problem import Problem
from pdeml.reference.case import Case
from pdeml.reference.chebyshev.basis import Basis
from pdeml.reference.chebyshev.newton import DENSE, Solve, factorised, inverted

__all__ = ["Row", "System", "Term", "Variable", "series_of"]

Entries = tuple[bool, np.ndarray, np.ndarray, np.ndarray]
"""Of one term in the derivative of F: whether it belongs to the rate; rows and columns (n,); numbers (n, B)."""


@dataclass(frozen=True)
class Variable:
    """One function that is sought: an unknown, or one of its time derivatives.

    Args:
        unknown: a real unknown.
        rate: order of its time derivative.
        basis: what it is made of.
        begin: position of its first number among those of the whole system.
    """

    unknown: str
    rate: int
    basis: Basis
    begin: int

    @property
    def part(self) -> slice:
        """Where its numbers are."""
        return slice(self.begin, self.begin + self.basis.dimension)


@dataclass(frozen=True, eq=False)
class Term:
    """What a symbol of a residual stands for: a matrix times the numbers of a variable, or times their rate.

    Args:
        variable: whose numbers.
        matrix: (points, dimension).
        moving: whether the rate of change in time is meant.
    """

    variable: Variable
    matrix: coo_array
    moving: bool = False


@dataclass(frozen=True, eq=False)
class Row:
    """A formula that vanishes at some points of the one coordinate.

    Args:
        residual: in coordinates, parameters, jets of inputs and unknowns, and symbols of ``terms`` and ``known``.
        points: (p,).
        normal: the outward normal there, for conditions.
        terms: name of a symbol -> what it stands for; jets of the unknowns need not be named.
        known: name of a symbol -> values (B,), one for each case.
        owner: the unknown that the row is counted for, where it matters.
    """

    residual: sympy.Expr
    points: np.ndarray
    normal: float = np.nan
    terms: Mapping[str, Term] = field(default_factory=dict)
    known: Mapping[str, np.ndarray] = field(default_factory=dict)
    owner: str = ""


class System:
    """All rows of a problem, for several cases at once: ``F(t, y, y') = 0`` with ``y`` (N, B) for B cases.

    Args:
        problem: with one coordinate ``axis`` besides those that ``time`` names.
        cases: instances of it.
        axis: the coordinate along which is collocated.
        variables: what is sought.
        rows: as many points in all as there are numbers in all variables.
        time: the coordinate in which the equations evolve; None if there is none.
    """

    def __init__(
        self,
        problem: Problem,
        cases: Sequence[Case],
        axis: str,
        variables: Sequence[Variable],
        rows: Sequence[Row],
        time: str | None = None,
    ):
        self.problem, self.cases, self.axis, self.time = problem, cases, axis, time
        self.variables = tuple(variables)
        self.size = sum(variable.basis.dimension for variable in variables)
        self.parameters = {name: np.array([case.numbers[name] for case in cases]) for name in problem.parameters}
        self.blocks: list[_Block] = []
        begin = 0
        for row in rows:
            self.blocks.append(_Block(self, row, slice(begin, begin + len(row.points))))
            begin += len(row.points)
        assert begin == self.size, f"{begin} rows for {self.size} numbers"

    def residual(self, time: float, y: np.ndarray, rate: np.ndarray | None = None) -> np.ndarray:
        """Return F (N, B) at one time; ``y`` and its rate of change are (N, B)."""
        return np.concatenate([block.values(time, y, rate)[0] for block in self.blocks])

    def jacobian(self, time: float, y: np.ndarray, rate: np.ndarray | None = None) -> tuple[csc_array, csc_array]:
        """Return the derivatives of F with respect to ``y`` and to its rate, both (N, N), those of the first case."""
        entries = list(self._entries(time, y, rate))
        return self._assembled(entries, False), self._assembled(entries, True)

    def linearised(self, y: np.ndarray) -> Solve:
        """Return what solves with the derivative of F with respect to ``y``, where F contains no rate."""
        entries, count = list(self._entries(0.0, y, None)), len(self.cases)
        if self.shared:
            return factorised(self._assembled(entries, False))
        if self.size > DENSE:
            solves = [factorised(self._assembled(entries, False, case)) for case in range(count)]
            return lambda right: np.stack([solve(right[:, k : k + 1])[:, 0] for k, solve in enumerate(solves)], axis=1)
        matrices = np.zeros((count, self.size, self.size))
        for _, rows, columns, data in entries:
            matrices[:, rows, columns] += data.T  # no place occurs twice in one term
        return inverted(matrices)

    def _assembled(self, entries: list[Entries], moving: bool, case: int = 0) -> csc_array:
        own = [(data[:, case], rows, columns) for moves, rows, columns, data in entries if moves == moving]
        empty = np.zeros(0), np.zeros(0, dtype=int), np.zeros(0, dtype=int)
        data, rows, columns = (np.concatenate(parts) for parts in zip(empty, *own, strict=True))
        return coo_array((data, (rows, columns)), shape=(self.size, self.size)).tocsc()

    def _entries(self, time: float, y: np.ndarray, rate: np.ndarray | None) -> Iterator[Entries]:
        for block in self.blocks:
            for term, slope in zip(block.terms.values(), block.values(time, y, rate)[1:], strict=True):
                rows, columns = term.matrix.coords
                data = term.matrix.data[:, None] * slope[rows]
                yield term.moving, rows + block.part.start, columns + term.variable.begin, data

    def norm(self, y: np.ndarray) -> float:
        """Return the largest Chebyshev coefficient of the functions that ``y`` (N, B) stands for."""
        return max(np.abs(variable.basis.series(y[variable.part])).max() for variable in self.variables)

    @cached_property
    def linear(self) -> bool:
        """Whether F is affine in ``y`` and its rate."""
        return not any(self._is_unknown(name) for name in self._in_slopes)

    @cached_property
    def constant(self) -> bool:
        """Whether F is affine, and its derivatives are the same at all times."""
        return self.linear and not any(name == self.time or self._moves(name) for name in self._in_slopes)

    @cached_property
    def shared(self) -> bool:
        """Whether F is affine, and its derivatives are the same for all cases."""
        parameters = (self.parameters[name] for name in self._in_slopes if name in self.parameters)
        same = all(np.all(values == values[0]) for values in parameters)
        return len(self.cases) == 1 or (same and self.linear and not any(map(_jet, self._in_slopes)))

    @property
    def _in_slopes(self) -> set[str]:
        return {name for block in self.blocks for name in block.in_slopes}

    def _moves(self, name: str) -> bool:
        """Tell whether a symbol is an input function that depends on time."""
        jet = _jet(name)
        return jet is not None and jet[0] in self.problem.inputs and self.time in self.problem.inputs[jet[0]].over

    def _is_unknown(self, name: str) -> bool:
        jet = _jet(name)
        return jet is not None and jet[0] in self.problem.names.real_unknowns

    def term(self, name: str, points: np.ndarray) -> Term | None:
        """Return what the jet of an unknown stands for at points: its highest time derivative is a variable's rate."""
        if not self._is_unknown(name):
            return None
        unknown, index = _jet(name)  # type: ignore[misc]
        orders = dict(zip(self.problem.names.coordinates, index, strict=True))
        own = [variable for variable in self.variables if variable.unknown == unknown]
        rate = orders[self.time] if self.time else 0
        moving = rate == len(own)
        variable = own[rate - moving]
        return Term(variable, variable.basis.matrix(points, orders[self.axis]), moving)


class _Block:
    """One row of the system, compiled."""

    def __init__(self, system: System, row: Row, part: slice):
        self.system, self.row, self.part = system, row, part
        names = sorted(symbol.name for symbol in row.residual.free_symbols)
        found = {name: row.terms.get(name) or system.term(name, row.points) for name in names}
        self.terms = {name: term for name, term in found.items() if term is not None}
        self.program, self.in_slopes = _compiled(row.residual, tuple(names), tuple(self.terms))
        self._matrices = {name: _quick(term.matrix) for name, term in self.terms.items()}
        self._still: dict[str, np.ndarray] = {}

    def values(self, time: float, y: np.ndarray, rate: np.ndarray | None) -> list[np.ndarray]:
        """Return the residual and its slopes with respect to each term, all (p, B)."""
        numbers = [self._number(name, time, y, rate) for name in self.program.inputs]
        shape = (len(self.row.points), y.shape[1])
        with np.errstate(all="ignore"):
            return [np.broadcast_to(found, shape) for found in self.program.run(numbers)]

    def _number(self, name: str, time: float, y: np.ndarray, rate: np.ndarray | None) -> np.ndarray | float:
        if name in self.terms:
            term = self.terms[name]
            return self._matrices[name] @ (rate if term.moving else y)[term.variable.part]
        system = self.system
        if name in self.row.known:
            return self.row.known[name]
        if name in system.parameters:
            return system.parameters[name]
        if name == system.axis:
            return self.row.points[:, None]
        if name == system.time:
            return time
        if name == normal_symbol(system.axis).name:
            return self.row.normal
        return self._input(name, time)

    def _input(self, name: str, time: float) -> np.ndarray:
        """Return an input function at the points, (p, B); those that do not move are evaluated once."""
        if name in self._still:
            return self._still[name]
        columns = {self.system.axis: self.row.points, self.system.time: np.full(len(self.row.points), time)}
        points = np.stack([columns[axis] for axis in self.system.problem.names.coordinates], axis=1)
        found = np.stack([case.at(sympy.Symbol(name, real=True), points) for case in self.system.cases], axis=1)
        if not self.system._moves(name):
            self._still[name] = found
        return found


def series_of(variables: Sequence[Variable], y: np.ndarray, size: int) -> np.ndarray:
    """Return the Chebyshev coefficients (B, unknowns, pieces, size) of the unknowns, given all numbers (N, B)."""
    found = [variable.basis.series(y[variable.part]) for variable in variables if variable.rate == 0]
    return np.stack([np.pad(part, ((0, 0), (0, 0), (0, size - part.shape[2]))) for part in found], axis=1)


@lru_cache(maxsize=256)
def _compiled(residual: sympy.Expr, names: tuple[str, ...], terms: tuple[str, ...]) -> tuple[Program, frozenset[str]]:
    """Return the program of a residual and its slopes with respect to ``terms``, and the symbols in the slopes."""
    symbols = {symbol.name: symbol for symbol in residual.free_symbols}
    derived = list(slopes(residual, [symbols[name] for name in terms]))
    inside = frozenset(symbol.name for slope in derived for symbol in slope.free_symbols)
    return compile_program([residual, *derived], names), inside


def _quick(matrix: coo_array) -> np.ndarray | csr_array:
    """Return the matrix in the form that multiplies fastest: full, where most of it is."""
    return matrix.tocsr() if matrix.nnz < matrix.shape[0] * matrix.shape[1] else matrix.toarray()


def _jet(name: str) -> tuple[str, tuple[int, ...]] | None:
    return jet_of(sympy.Symbol(name, real=True))
