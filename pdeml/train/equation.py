"""The loss of an operator from the equation itself: the problem's residuals with the input functions of each sample.

Shapes: B (samples), C (outputs), n (points along each axis), N (scattered points), D (coordinates), K (channels).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import sympy
import torch
from torch import Tensor

from pdeml.data.signature import Signature
from pdeml.errors import InputError, one_of
from pdeml.expr import jet_of
from pdeml.lower import JetSpec, ResidualPlan, Scales, Statement, statements
from pdeml.lower.functions import TORCH
from pdeml.lower.given import GivenFunctions, InputJet
from pdeml.lower.grid_derivatives import ACCURACY, GridAxis, differentiated, full
from pdeml.lower.grid_places import Place, inner_place, places_of
from pdeml.lower.multi_index import Index
from pdeml.lower.scales import coordinate_sizes
from pdeml.nn.operator import Operator
from pdeml.problem import Problem
from pdeml.sampling import default_count, sample
from pdeml.train.equation_inputs import check_outputs, given_batch, grid_points, make_axes, met_conditions

__all__ = ["EquationLoss", "PointOperator"]

Values = Mapping[str, Tensor]


@runtime_checkable
class PointOperator(Protocol):
    """An operator that gives derivatives of its outputs at any points: a DeepONet."""

    def jets(self, inputs: Values, grid: Values, points_ND: Tensor, spec: JetSpec) -> Tensor:
        """Return the channels of the outputs at points, columns in the order of ``signature.dims``: (K, B, N, C)."""


@dataclass(frozen=True, eq=False)
class EquationLoss:
    """Mean square of the scaled residuals ``R/s`` of a problem, for the outputs of an operator.

    Input functions and numbers in the equation are those of each sample. Of an operator on grids the derivatives
    are taken on the grid: exactly for trigonometric polynomials along periodic axes, by differences of order
    ``accuracy`` along all others, time included; equations are asked for at the grid points where no condition
    holds, conditions at the ends. Of an operator with ``jets`` they are exact, at points drawn anew each step; input
    functions are interpolated there. Each residual is divided by the size of its largest term at typical values, as
    everywhere in pdeml, so that residuals of different units add up.

    The equation is taken in its strong form: where a coefficient whose derivative occurs jumps, as in
    ``div(a*grad(u))`` with two phases, it does not hold, and such data are refused.

    Args:
        problem: whose equation it is; a box.
        signature: of the operator; outputs have their typical size in ``std``.
        statements: equations and conditions with their scales.
        jets: derivatives of input functions that occur.
        accuracy: order of differences.
        points: number of points of a draw inside, or none: by dimension.
        seed: of the points.

    Reference: Li et al., *Physics-informed neural operator for learning partial differential equations* (2021), §3;
        Wang, Wang & Perdikaris, *Learning the solution operator of parametric PDEs with physics-informed DeepONets*
        (2021).
    """

    problem: Problem
    signature: Signature
    statements: tuple[Statement, ...]
    jets: tuple[InputJet, ...]
    accuracy: int = ACCURACY
    points: int | None = None
    seed: int = 0
    _kept: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)
    _seen: dict[int, Any] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(
        cls,
        problem: Problem,
        signature: Signature,
        example: Values,
        grid: Values,
        *,
        exact: Collection[str] | None = None,
        accuracy: int = ACCURACY,
        points: int | None = None,
        seed: int = 0,
    ) -> EquationLoss:
        """Prepare the loss.

        Args:
            problem: equations, domain and conditions.
            signature: of the operator.
            example: inputs of a batch, name -> (B, *dims): how large they are.
            grid: coordinate -> (n,).
            exact: names of conditions that the operator satisfies by construction, which are left out; by default
                those that ``signature.lift`` takes care of.
            accuracy: order of differences along axes that are not periodic.
            points: of a draw inside, for operators with ``jets``.
            seed: of these points.

        Raises:
            InputError: the equation cannot be evaluated from what the operator is given and gives.
        """
        given = given_batch(problem, signature, example, grid, accuracy)
        check_outputs(problem, signature)
        given.refuse_jumps()
        names = [constraint.name for constraint in problem.constraints]
        exact = met_conditions(problem, signature) if exact is None else exact
        for name in exact:
            if name not in names:
                raise InputError(one_of(name, names, "a condition"))
        sizes = {quantity.name: quantity.std for quantity in signature.outputs}
        stated = statements(problem, Scales(coordinate_sizes(problem), sizes), exact, given=given)
        if not stated:
            raise InputError("the problem has no equation and no condition to train on", ("problem", "equations"))
        return cls(problem, signature, stated, given.jets, accuracy, points, seed)

    def __call__(
        self, operator: Operator, inputs: Values, grid: Values, outputs: Tensor | None = None, step: int = 0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a batch.

        Args:
            operator: on grids, or with ``jets``.
            inputs: name -> (B, *dims).
            grid: dimension -> (n,).
            outputs: what the operator gave for these inputs on the grid, (B, C, *n), where that is known already.
            step: number of the training step: the points drawn for an operator with ``jets`` follow from it.

        Returns: the sum over all residuals of the mean of ``(weight · R/s)²`` over samples and points, differentiable;
            and the root mean square of ``R/s`` of each residual, detached.
        """
        given = self._given(inputs, grid)
        if isinstance(operator, PointOperator):
            squares = self._at_points(operator, inputs, grid, given, step)
        else:
            found = operator(inputs, grid) if outputs is None else outputs
            squares = self._on_grid(found, given)
        total, norms = torch.zeros((), dtype=squares[0][0].dtype, device=squares[0][0].device), {}
        for statement, parts in zip(self.statements, squares, strict=True):
            for m, (part, weight) in enumerate(zip(parts, statement.weights, strict=True), start=1):
                total = total + weight**2 * part
                norms[statement.name if len(parts) == 1 else f"{statement.name} {m}"] = part.detach().sqrt()
        return total, norms

    def _given(self, inputs: Values, grid: Values) -> GivenFunctions:
        dims = {quantity.name: quantity.dims for quantity in self.signature.inputs}
        values = {name: inputs[name] for name in dims}
        return GivenFunctions(self.problem.names.coordinates, self.jets, self._axes(grid), dims, values)

    def _axes(self, grid: Values) -> Mapping[str, GridAxis]:
        """Return the axes of a grid, with the matrices they have made; a mapping that came before is not looked at."""
        if id(grid) not in self._seen:
            points = grid_points(self.problem, grid)
            key = tuple((name, own.tobytes()) for name, own in points.items())
            axes = self._once(key, lambda: make_axes(self.problem, points, self.accuracy))
            self._seen.clear()
            self._seen[id(grid)] = (grid, axes)
        return self._seen[id(grid)][1]

    def _once(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def _places(self, statement: Statement, axes: tuple[GridAxis, ...]) -> tuple[Place, ...]:
        def make() -> tuple[Place, ...]:
            if statement.name == "equation":
                return (inner_place(self.problem, axes),)
            return places_of(statement.region, axes, self.problem.names.space)

        return self._once((statement.name, axes), make)

    def _on_grid(self, outputs: Tensor, given: GivenFunctions) -> list[list[Tensor]]:
        """Return the mean squares of each statement's residuals, with derivatives taken on the grid."""
        axes = tuple(given.axes[dim] for dim in self.signature.dims)
        functions = _OnGrid(self, outputs, given, axes)
        found = []
        for statement in self.statements:
            squares = [outputs.new_zeros(()) for _ in statement.scales]
            for place in self._places(statement, axes):
                rows = functions.rows(statement.plan, place)
                for m, (row, scale) in enumerate(zip(rows, statement.scales, strict=True)):
                    squares[m] = squares[m] + place.share * _mean_square(row / scale, place.kept)
            found.append(squares)
        return found

    def _at_points(
        self, operator: PointOperator, inputs: Values, grid: Values, given: GivenFunctions, step: int
    ) -> list[list[Tensor]]:
        """Return the mean squares of each statement's residuals at points drawn for this step."""
        found, coordinates = [], self.problem.names.coordinates
        like = next(iter(inputs.values()))
        order = [coordinates.index(dim) for dim in self.signature.dims]
        for number, statement in enumerate(self.statements):
            inside = self.points if statement.name == "equation" else None
            drawn = sample(
                statement.region, inside or default_count(statement.region), "sobol", (self.seed, number, step)
            )
            x = torch.as_tensor(drawn.x).to(like)
            jets = operator.jets(inputs, grid, x[:, order], _reordered(statement.plan.spec, order))
            columns = dict(zip(coordinates, x.unbind(1), strict=True))
            if drawn.normals is not None:
                outward = torch.as_tensor(drawn.normals).to(like).unbind(1)
                columns |= {f"n[{axis}]": own for axis, own in zip(self.problem.names.space, outward, strict=True)}
            rows = _run(
                statement.plan,
                lambda name, known=columns, at=drawn.x: _column(name, known, lambda *jet: given.at_points(*jet, at)),
                lambda unknown, channel, values=jets: values[channel, :, :, self._output(unknown)],
                jets.shape[1:3],
                like,
            )
            weights = torch.as_tensor(drawn.weights).to(like)
            squares = [
                ((row / scale).square() @ weights).mean() for row, scale in zip(rows, statement.scales, strict=True)
            ]
            found.append(squares)
        return found

    def _output(self, unknown: int) -> int:
        name = self.problem.names.real_unknowns[unknown]
        return [quantity.name for quantity in self.signature.outputs].index(name)


class _OnGrid:
    """The outputs of an operator and their derivatives on the grid, each taken once."""

    def __init__(self, loss: EquationLoss, outputs: Tensor, given: GivenFunctions, axes: tuple[GridAxis, ...]):
        self.loss, self.given, self.axes = loss, given, axes
        self.outputs = full(outputs)
        self.coordinates, self.dims = loss.problem.names.coordinates, loss.signature.dims
        shapes = {axis.name: [1, *(-1 if other is axis else 1 for other in axes)] for axis in axes}
        self._known = {axis.name: axis.column(self.outputs).view(shapes[axis.name]) for axis in axes}
        self._derivatives: dict[tuple[int, Index], Tensor] = {}

    def rows(self, plan: ResidualPlan, place: Place) -> list[Tensor]:
        """Return the residuals (B, *n of the place)."""
        sizes = [part.stop - part.start for part in place.where]
        return _run(
            plan,
            lambda name: self._cut(self._column(name, place), place),
            lambda unknown, channel: self._cut(self._channel(plan.spec, unknown, channel), place),
            (len(self.outputs), *sizes),
            self.outputs,
        )

    def _channel(self, spec: JetSpec, unknown: int, channel: int) -> Tensor:
        output, members = self.loss._output(unknown), spec.members[channel]
        parts = [self._derivative(output, index) for _, index in members]
        if len(members) == 1:
            return parts[0]
        return sum(coefficient * part for (coefficient, _), part in zip(members, parts, strict=True))

    def _derivative(self, output: int, index: Index) -> Tensor:
        if (output, index) not in self._derivatives:
            orders = dict(zip(self.coordinates, index, strict=True))
            self._derivatives[output, index] = differentiated(self.outputs[:, output], self.axes, orders)
        return self._derivatives[output, index]

    def _column(self, name: str, place: Place) -> Tensor:
        outward = {f"n[{axis}]": self.outputs.new_tensor(part) for axis, part in (place.normals or {}).items()}
        return _column(name, {**self._known, **outward}, lambda *jet: self.given.on_grid(*jet, self.dims))

    def _cut(self, values: Tensor, place: Place) -> Tensor:
        """Cut out a place; along dimensions of length 1 values are the same everywhere."""
        if not values.ndim:
            return values
        where = [part if size > 1 else slice(None) for part, size in zip(place.where, values.shape[1:], strict=True)]
        return values[(slice(None), *where)]


Jet = Callable[[str, Index], Tensor]


def _column(name: str, known: Values, given: Jet) -> Tensor:
    """Return a coordinate, a component of the normal, a number of the sample or a derivative of an input function."""
    if name in known:
        return known[name]
    if name.startswith("n["):
        return torch.zeros(())
    jet = jet_of(sympy.Symbol(name, real=True))
    return given(name, ()) if jet is None else given(*jet)


def _run(
    plan: ResidualPlan,
    column: Callable[[str], Tensor],
    channel: Callable[[int, int], Tensor],
    shape: Sequence[int],
    like: Tensor,
) -> list[Tensor]:
    """Run the residual program on values that broadcast to ``shape``."""
    values = [*(column(name) for name in plan.columns), *(channel(slot.unknown, slot.channel) for slot in plan.slots)]
    return [torch.as_tensor(out).to(like).expand(*shape) for out in plan.residual.run(values, TORCH)]


def _mean_square(rows: Tensor, kept: np.ndarray | None) -> Tensor:
    squares = rows.square()
    if kept is None:
        return squares.mean()
    return squares[:, torch.as_tensor(kept, device=rows.device)].mean()


def _reordered(spec: JetSpec, order: Sequence[int]) -> JetSpec:
    """Return the specification for coordinates in another order; the channels keep their places."""

    def turned(index: Index) -> Index:
        return tuple(index[place] for place in order)

    combined = tuple(tuple((c, turned(index)) for c, index in members) for members in spec.combinations)
    return JetSpec(tuple(map(turned, spec.indices)), combined)
