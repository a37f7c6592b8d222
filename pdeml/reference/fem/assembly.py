"""Residual vectors and their exact Jacobian matrices from pointwise formulas.

With the slots ``(v, dv/dx, dv/dy)`` of a test function and ``(u, du/dx, du/dy)`` of a trial function, a weak form is
``∫ sum_p f_p(x, u, grad u) slot_p(v)`` and its derivative ``∫ sum_pq slot_p(v) (df_p/du_q) slot_q(u)``.
Source: Knepley, Brown, Rupp & Smith, Achieving high performance with unified residual evaluation (2013).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import sympy
from scipy.sparse import coo_array, csc_array

from pdeml.expr import diff, jet_of
from pdeml.geometry import Mask
from pdeml.reference.case import Case
from pdeml.reference.fem.conditions import Conditions, Prescribed
from pdeml.reference.fem.pointwise import Pointwise
from pdeml.reference.fem.space import Patch, Space
from pdeml.reference.fem.weak import Weak

__all__ = ["System"]

Formulas = dict[tuple[int, int], sympy.Expr]
"""(equation, slot of the test function) -> formula."""
Slopes = dict[tuple[int, int, int, int], sympy.Expr]
"""(equation, slot of the test function, unknown, slot of the trial function) -> formula."""


@dataclass(frozen=True, eq=False)
class _Integral:
    """Formulas integrated over a patch, and where they count."""

    patch: Patch
    at: Pointwise
    formulas: Formulas
    slopes: Slopes
    mask: Mask | None = None

    @cached_property
    def symbols(self) -> set[sympy.Symbol]:
        """All symbols that occur."""
        return sympy.Tuple(*self.formulas.values(), *self.slopes.values()).free_symbols


class System:
    """``M u_t + R(u, t) = 0`` for the coefficients of all unknowns, one after the other, with values prescribed.

    Args:
        case: the instance.
        weak: its weak form.
        conditions: its conditions.
        space: of every unknown.
    """

    def __init__(self, case: Case, weak: Weak, conditions: Conditions, space: Space):
        self.case, self.weak, self.conditions, self.space = case, weak, conditions, space
        self.shape = (len(weak.unknowns), space.size)
        self._load: np.ndarray | None = None

    @property
    def size(self) -> int:
        """How many coefficients there are."""
        return self.shape[0] * self.shape[1]

    def residual(self, state: np.ndarray, time: float | None = None) -> np.ndarray:
        """Return ``R(u, t)`` for coefficients (size,)."""
        if not (self.is_linear and self.is_steady):
            return self._integrated(state, time)
        if self._load is None or self._load_moves:
            self._load = self._integrated(np.zeros(self.size), time)
        return self._stiffness @ state + self._load

    def _integrated(self, state: np.ndarray, time: float | None) -> np.ndarray:
        total = np.zeros(self.size)
        for part in self._integrals:
            values = part.at.evaluate(list(part.formulas.values()), time, self._jets(part, state))
            weights = self._weights(part, time)
            for (equation, slot), value in zip(part.formulas, values, strict=True):
                dofs = part.patch.dofs + equation * self.space.size
                local = np.einsum("eql,eq->el", part.patch.slots[slot], value.reshape(weights.shape) * weights)
                total += np.bincount(dofs.ravel(), local.ravel(), self.size)
        return total

    def jacobian(self, state: np.ndarray, time: float | None = None) -> csc_array:
        """Return ``dR/du`` (size, size) for coefficients (size,)."""
        return self._matrix([(part, part.slopes) for part in self._integrals], state, time)

    def mass(self, time: float | None = None) -> csc_array:
        """Return ``M`` (size, size)."""
        return self._matrix([(self._integrals[0], self._mass_slopes)], np.zeros(self.size), time)

    def prescribed(self, time: float | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of the coefficients that are given, increasing, and their values."""
        found: dict[int, float] = {}
        for entry in self.conditions.prescribed:
            offset = self.weak.unknowns.index(entry.unknown) * self.space.size
            numbers, values = self._values_on(entry, time)
            found.update(zip((numbers + offset).tolist(), values.tolist(), strict=True))
        numbers = np.array(sorted(found), dtype=int)
        return numbers, np.array([found[k] for k in numbers])

    def initial(self, time: float) -> np.ndarray:
        """Return the coefficients (size,) at the start; zero for unknowns without a value there."""
        state, at = np.zeros(self.shape), Pointwise(self.case, self.space.nodes)
        for unknown, value in self.conditions.initial.items():
            state[self.weak.unknowns.index(unknown)] = at.evaluate([value], time)[0]
        return state.ravel()

    @cached_property
    def is_linear(self) -> bool:
        """Whether ``R`` is affine in ``u``."""
        return not any(self._is_jet(symbol) for symbol in self._slope_symbols)

    @cached_property
    def is_steady(self) -> bool:
        """Whether ``M`` and ``dR/du`` do not depend on time."""
        return not self._moves(self._slope_symbols)

    @cached_property
    def mean_is_free(self) -> bool:
        """Whether constants may be added to the one unknown of a steady problem: nothing prescribes its value."""
        if self.shape[0] > 1 or self._mass_slopes or len(self.prescribed()[0]):
            return False
        return not any(key[3] == 0 for part in self._integrals for key in part.slopes)

    @cached_property
    def definite(self) -> bool:
        """Whether ``dR/du`` is symmetric and positive (or negative) definite where values are prescribed, for sure."""
        if self.shape[0] > 1 or not self.is_linear:
            return False
        signs = set()
        for part in self._integrals:
            flat = {key[1::2]: formula for key, formula in part.slopes.items()}
            cross = [key for key in flat if key[0] != key[1]]
            if (
                any((key[1], key[0]) not in flat or flat[key] != flat[key[1], key[0]] for key in cross)
                or len(cross) > 2
            ):
                return False
            for values in part.at.evaluate([flat[key] for key in flat if key[0] == key[1]]):
                signs |= set(np.unique(np.sign(values)).tolist()) - {0.0}
            if cross and not self._dominant(part, flat, cross[0]):
                return False
        return len(signs) == 1

    def _dominant(self, part: _Integral, flat: dict, cross: tuple[int, int]) -> bool:
        if 0 in cross or any((k, k) not in flat for k in cross):
            return False
        a, b, c = part.at.evaluate([flat[cross[0], cross[0]], flat[cross[1], cross[1]], flat[cross]])
        return bool(np.all(a * b > c**2))

    @cached_property
    def _integrals(self) -> list[_Integral]:
        """The integral over the domain, and one for each condition that says what flows out."""
        inside = Pointwise(self.case, self.space.inside.points)
        parts = [_Integral(self.space.inside, inside, self._inner, self._slopes_of(self._inner))]
        for entry in self.conditions.outflows:
            formulas = {(self.weak.unknowns.index(entry.unknown), 0): entry.value}
            if entry.value != 0:
                patch = self.space.boundary(entry.region.pieces)
                at = Pointwise(self.case, patch.points, patch.normals)
                parts.append(_Integral(patch, at, formulas, self._slopes_of(formulas), entry.region.where))
        return parts

    @cached_property
    def _inner(self) -> Formulas:
        found: Formulas = {}
        for number, equation in enumerate(self.weak.equations):
            found[number, 0] = equation.source
            found.update({(number, 1 + k): -part for k, part in enumerate(self.weak.flux(equation))})
        return {key: formula for key, formula in found.items() if formula != 0}

    @cached_property
    def _mass_slopes(self) -> Slopes:
        unknowns = self.weak.unknowns
        return {
            (number, 0, unknowns.index(unknown), 0): factor
            for number, equation in enumerate(self.weak.equations)
            for unknown, factor in equation.mass.items()
        }

    def _slopes_of(self, formulas: Formulas) -> Slopes:
        found = {
            (equation, slot, unknown, trial): diff(formula, symbol)
            for (equation, slot), formula in formulas.items()
            for unknown, jets in enumerate(self.weak.jets)
            for trial, symbol in enumerate(jets)
            if symbol in formula.free_symbols
        }
        return {key: formula for key, formula in found.items() if formula != 0}

    @property
    def _slope_symbols(self) -> set[sympy.Symbol]:
        formulas = [formula for part in self._integrals for formula in part.slopes.values()]
        return sympy.Tuple(*formulas, *self._mass_slopes.values()).free_symbols

    @cached_property
    def _stiffness(self) -> csc_array:
        time = self.case.problem.domain.time
        return self.jacobian(np.zeros(self.size), time[1] if time else None)

    @cached_property
    def _load_moves(self) -> bool:
        return self._moves(set().union(*(part.symbols for part in self._integrals)))

    def _moves(self, symbols: set[sympy.Symbol]) -> bool:
        """Whether formulas with these symbols may change in time."""
        time = self.case.problem.names.time
        if time is None:
            return False
        moving = {name for name, function in self.case.inputs.items() if time in function.over}
        masked = any(entry.region.where is not None for entry in self.conditions.outflows)
        return masked or bool({(jet_of(symbol) or (symbol.name,))[0] for symbol in symbols} & {time, *moving})

    def _is_jet(self, symbol: sympy.Symbol) -> bool:
        jet = jet_of(symbol)
        return jet is not None and jet[0] in self.weak.unknowns

    def _jets(self, part: _Integral, state: np.ndarray) -> dict[str, np.ndarray]:
        """Return the values of the jet symbols that the formulas of a part need."""
        values = {}
        for coefficients, jets in zip(state.reshape(self.shape), self.weak.jets, strict=True):
            local = coefficients[part.patch.dofs]
            for slot, symbol in enumerate(jets):
                if symbol in part.symbols:
                    values[symbol.name] = np.einsum("eql,el->eq", part.patch.slots[slot], local).ravel()
        return values

    def _weights(self, part: _Integral, time: float | None) -> np.ndarray:
        if part.mask is None:
            return part.patch.weights
        return part.patch.weights * np.reshape(part.mask(part.at.full_points(time)), part.patch.weights.shape)

    def _matrix(self, parts: list[tuple[_Integral, Slopes]], state: np.ndarray, time: float | None) -> csc_array:
        total = csc_array((self.size, self.size))
        for part, slopes in parts:
            if not slopes:
                continue
            values = part.at.evaluate(list(slopes.values()), time, self._jets(part, state))
            weights = self._weights(part, time)
            blocks: dict[tuple[int, int], dict[tuple[int, int], np.ndarray]] = {}
            for (equation, slot, unknown, trial), value in zip(slopes, values, strict=True):
                blocks.setdefault((equation, unknown), {})[slot, trial] = value.reshape(weights.shape) * weights
            for (equation, unknown), factors in blocks.items():
                total = total + self._block(part.patch, equation, unknown, factors)
        return total

    def _block(
        self, patch: Patch, equation: int, unknown: int, factors: dict[tuple[int, int], np.ndarray]
    ) -> csc_array:
        trials = sorted({trial for _, trial in factors})
        left = np.concatenate(
            [
                sum(patch.slots[slot] * factors[slot, t][..., None] for slot, t in factors if t == trial)
                for trial in trials
            ],
            axis=1,
        )
        right = np.concatenate([patch.slots[trial] for trial in trials], axis=1)
        local = np.swapaxes(left, 1, 2) @ right
        rows = np.broadcast_to(patch.dofs[:, :, None] + equation * self.space.size, local.shape)
        columns = np.broadcast_to(patch.dofs[:, None, :] + unknown * self.space.size, local.shape)
        return csc_array(coo_array((local.ravel(), (rows.ravel(), columns.ravel())), shape=(self.size,) * 2))

    def _values_on(self, entry: Prescribed, time: float | None) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of the nodes a value is prescribed at, and the values."""
        numbers, at = self._places[entry]
        values, where = at.evaluate([entry.value], time)[0], entry.region.where
        if where is None:
            return numbers, values
        kept = np.asarray(where(at.full_points(time)), dtype=bool).reshape(-1)
        return numbers[kept], values[kept]

    @cached_property
    def _places(self) -> dict[Prescribed, tuple[np.ndarray, Pointwise]]:
        """The nodes where values are prescribed; masks come on top."""
        found = {}
        for entry in self.conditions.prescribed:
            parts = entry.region.parts
            if all(part.dimension == 0 for part in parts) and self.space.dimension > 1:
                points = np.concatenate([part.place(np.zeros((1, 0)))[0] for part in parts])
                numbers = np.array([self.space.nearest_node(point) for point in points])
            else:
                numbers = self.space.nodes_on(entry.region.pieces)
            found[entry] = numbers, Pointwise(self.case, self.space.nodes[numbers])
        return found
