"""Known boundary and initial values in an operator: ``u = g + D · network``, where g may hold input functions.

The initial value of an evolution is often an input of its operator: ``u(x, t) = u0(x) + t · network`` then starts
exactly from any u0. The formulas are those of `exact_lift`; they travel in the signature.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import sympy
import torch
from sympy.core.function import AppliedUndef
from torch import Tensor

from pdeml.data.signature import Given, Lifted, Signature
from pdeml.expr import Names, compile_program, parse, to_text
from pdeml.lower.functions import run
from pdeml.lower.jets import Jet
from pdeml.lower.known import KnownFunctions
from pdeml.lower.multi_index import JetSpec
from pdeml.nn.interpolate import interpolated_jet, regrid
from pdeml.nn.lift import exact_lift
from pdeml.problem import Problem

__all__ = ["ExactValues", "lifts"]


def lifts(problem: Problem, signature: Signature) -> tuple[Lifted, ...]:
    """Return how each output takes the values that a problem gives it; empty where that is not known.

    Values may be constants, formulas in the coordinates, or single input functions. An operator that goes on in time
    starts from its last frame instead.
    """
    names = problem.names
    asked = [quantity.name for quantity in signature.outputs]
    varying = {quantity.name for quantity in signature.inputs if not quantity.dims}
    prescribed = {str(symbol) for c in problem.constraints if c.value is not None for symbol in c.value.free_symbols}
    fits = set(signature.dims) == set(names.coordinates) and set(asked) <= set(names.real_unknowns)
    if signature.march is not None or not fits or varying & prescribed:
        return ()
    functions = {q.name: set(q.dims) for q in signature.inputs if q.dims}
    given = [name for name, over in names.inputs if functions.get(name) == set(over)]
    lift = exact_lift(problem, dict.fromkeys(names.real_unknowns, 1.0), given=given)
    chosen = [names.real_unknowns.index(name) for name in asked]
    return tuple(Lifted(_written(lift.factor[k], names), _parts(lift.base[k], names)) for k in chosen)


def _parts(base: sympy.Expr, names: Names) -> tuple[Given, ...]:
    """Part a formula that is linear in the input functions."""
    found, rest = [], base
    for applied in sorted(base.atoms(AppliedUndef), key=str):
        stand_in = sympy.Dummy()
        factor = sympy.diff(base.xreplace({applied: stand_in}), stand_in)
        over = dict(names.inputs)[applied.func.__name__]
        at = tuple((dim, float(x)) for dim, x in zip(over, applied.args, strict=True) if x.is_Number)
        found.append(Given(_written(factor, names), applied.func.__name__, at))
        rest = rest.xreplace({applied: sympy.Integer(0)})
    return (*found, Given(_written(rest, names))) if rest != 0 else tuple(found)


def _written(expression: sympy.Expr, names: Names) -> str:
    """Write a formula whose numbers may be rounded ones: as fractions, since the language has no others."""
    rounded = {number: sympy.Rational(repr(float(number))) for number in expression.atoms(sympy.Float)}
    return to_text(expression.xreplace(rounded), names)


class ExactValues:
    """Evaluates g and D of every output.

    Args:
        signature: of the operator.
        lift: of each output.
    """

    def __init__(self, signature: Signature, lift: Sequence[Lifted]):
        self.dims, self.count = signature.dims, len(lift)
        self.over = {quantity.name: quantity.dims for quantity in signature.inputs}
        if signature.march is not None:
            self.over |= {quantity.name: signature.space for quantity in signature.outputs}
        self.periods = {axis.name: axis.high - axis.low if axis.periodic else None for axis in signature.axes}
        self.terms = [(c, part) for c, lifted in enumerate(lift) for part in lifted.base]
        self._names = Names(signature.dims)
        texts = [*(lifted.factor for lifted in lift), *(part.factor for _, part in self.terms)]
        self._formulas = tuple(parse(text, self._names) for text in texts)
        self._program = compile_program(list(self._formulas), self.dims)
        with np.errstate(all="ignore"):  # what it keeps of its first run is behind a lock, which no graph may take
            self._program.run([0.5] * len(self.dims))
        self._known: dict[JetSpec, KnownFunctions] = {}

    def on_grid(self, inputs: Mapping[str, Tensor], grid: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return g (B, C, *n) and D (C, *n) on the tensor grid."""
        n = [len(grid[dim]) for dim in self.dims]
        formulas = [values.view(n) for values in self._on_mesh(grid)]

        def extended(part: Given) -> Tensor:
            if not part.input:
                return torch.ones_like(formulas[0])[None]
            over, at = self.over[part.input], dict(part.at)
            nodes = [grid[dim] for dim in over]
            target = [grid[dim].new_tensor([at[dim]]) if dim in at else grid[dim] for dim in over]
            values = regrid(inputs[part.input], nodes, target, [self.periods[dim] for dim in over])
            sizes = dict(zip(over, values.shape[1:], strict=True))
            return values.reshape(len(values), *(sizes.get(dim, 1) for dim in self.dims))

        return self._combined(formulas, extended)

    def factors(self, grid: Mapping[str, Tensor]) -> Tensor:
        """Return D (C, *n) on the tensor grid."""
        n = [len(grid[dim]) for dim in self.dims]
        return torch.stack([values.view(n) for values in self._on_mesh(grid)[: self.count]])

    def jets(
        self, inputs: Mapping[str, Tensor], grid: Mapping[str, Tensor], points: Tensor, spec: JetSpec, found: Tensor
    ) -> Tensor:
        """Return the channels of ``g + D · found``, (K, B, N, C), of a network's channels ``found`` (K, B, N, C)."""
        if spec not in self._known:
            wanted = {index for parts in spec.product for _, terms in parts for _, index in terms}
            single = JetSpec.closed(wanted, dimension=len(self.dims))
            self._known[spec] = KnownFunctions.of(self._formulas, self._names, single)
        known = self._known[spec].jet(points)
        columns = [_product(spec, known, c, found[..., c]) for c in range(self.count)]
        for number, (c, part) in enumerate(self.terms, start=self.count):
            columns[c] = columns[c] + _product(spec, known, number, self._carried(part, inputs, grid, points, spec))
        return torch.stack(columns, -1)

    def _on_mesh(self, grid: Mapping[str, Tensor]) -> list[Tensor]:
        columns = [part.flatten() for part in torch.meshgrid(*(grid[dim] for dim in self.dims), indexing="ij")]
        return run(self._program, columns, columns[0])

    def _combined(self, formulas: Sequence[Tensor], extended: Callable[[Given], Tensor]) -> tuple[Tensor, Tensor]:
        parts: list[Tensor] = [extended(Given("0")) * 0] * self.count
        for number, (c, part) in enumerate(self.terms, start=self.count):
            parts[c] = parts[c] + formulas[number] * extended(part)
        shape = torch.broadcast_shapes(*(part.shape for part in parts))
        factors = torch.stack([formula.expand(shape[1:]) for formula in formulas[: self.count]])
        return torch.stack([part.expand(shape) for part in parts], 1), factors

    def _carried(
        self, part: Given, inputs: Mapping[str, Tensor], grid: Mapping[str, Tensor], points: Tensor, spec: JetSpec
    ) -> Tensor:
        """Return the channels of an input function at the points, (K, B, N); of one where there is none."""
        if not part.input:
            return Jet.constant(spec, points.new_ones(1, len(points))).values
        over, at, values = self.over[part.input], dict(part.at), inputs[part.input]
        if not over:
            return Jet.constant(spec, values[:, None].expand(-1, len(points))).values
        own = [None if dim in at else self.dims.index(dim) for dim in over]
        ends = [points.new_full((len(points),), at[dim]) if dim in at else None for dim in over]
        columns = [end if k is None else points[:, k] for k, end in zip(own, ends, strict=True)]
        nodes, periods = [grid[dim] for dim in over], [self.periods[dim] for dim in over]
        return interpolated_jet(values, nodes, torch.stack(columns, 1), spec, periods, own)


def _product(spec: JetSpec, known: Jet, column: int, carried: Tensor) -> Tensor:
    """Return the channels of the product of a formula with a carried function, (K, B, N)."""
    channels = []
    for parts in spec.product:
        multipliers = [
            (k, sum(weight * known.values[known.spec.position[index], :, column] for weight, index in terms))
            for k, terms in parts
        ]
        channels.append(sum(multiplier * carried[k] for k, multiplier in multipliers))
    return torch.stack(channels)
