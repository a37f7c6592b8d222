"""The loss of an operator from the equation itself: the problem's residuals with the input functions of each sample.

Shapes: B (samples), C (outputs), n (points along each axis), N (scattered points), D (coordinates), K (channels).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import sympy
import torch
from torch import Tensor

from pdeml.data.signature import Signature
from pdeml.errors import InputError, one_of
from pdeml.expr import jet_of
from pdeml.linalg import Grid, squared_norm
from pdeml.lower import JetSpec, ResidualPlan, Scales, Statement, statements
from pdeml.lower.functions import TORCH
from pdeml.lower.given import GivenFunctions, InputJet
from pdeml.lower.grid_derivatives import ACCURACY, GridAxis, full
from pdeml.lower.grid_places import Place, inner_place, places_of
from pdeml.lower.grid_residual import grid_residual_of
from pdeml.lower.multi_index import Index
from pdeml.lower.scales import coordinate_sizes
from pdeml.nn.operator import Operator
from pdeml.problem import Problem
from pdeml.sampling import default_count, sample
from pdeml.train.equation_inputs import check_outputs, given_batch, grid_points, make_axes, met_conditions
from pdeml_kernels.constants import kept
from pdeml_kernels.contest import outcome
from pdeml_kernels.dispatch import GridKernels, KernelChoice, grid_kernels
from pdeml_kernels.grid import GridResidual

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
        norm: order s of the Sobolev norm over space, averaged over time, in which the equations' residuals are
            measured on a grid: 0, their mean square; below, high frequencies count less, which differences get wrong
            and rough data excite; see `pdeml.linalg.squared_norm`.
        kernels: what computes residuals on a grid: auto, triton or torch; see `pdeml_kernels.dispatch.wanted`.

    Reference: Li et al., *Physics-informed neural operator for learning partial differential equations* (2021), §3;
        Wang, Wang & Perdikaris, *Learning the solution operator of parametric PDEs with physics-informed DeepONets*
        (2021). Negative orders: Cao, Brarda, Li & Xia, *Spectral-Refiner* (2025).
    """

    problem: Problem
    signature: Signature
    statements: tuple[Statement, ...]
    jets: tuple[InputJet, ...]
    accuracy: int = ACCURACY
    points: int | None = None
    seed: int = 0
    norm: float = 0.0
    kernels: KernelChoice = "torch"
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
        norm: float = 0.0,
        kernels: KernelChoice = "torch",
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
            norm: order of the norm of the equations' residuals on a grid.
            kernels: what computes residuals on a grid.

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
        return cls(problem, signature, stated, given.jets, accuracy, points, seed, norm, kernels)

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
            and the root mean square of ``R/s`` of each residual, detached. With a norm of another order than 0 both
            are in that norm for the equations.

        Raises:
            InputError: the norm does not exist on this grid, or the kernels cannot run on the device.
        """
        given = self._given(inputs, grid)
        if isinstance(operator, PointOperator):
            parts = self._at_points(operator, inputs, grid, given, step)
        else:
            found = operator(inputs, grid) if outputs is None else outputs
            parts = self._on_grid(full(found), given)
        norms = {}
        for statement, (_, squares) in zip(self.statements, parts, strict=True):
            for m, square in enumerate(squares, start=1):
                norms[statement.name if len(squares) == 1 else f"{statement.name} {m}"] = square.sqrt()
        return sum(loss for loss, _ in parts), norms

    @property
    def notes(self) -> tuple[str, ...]:
        """What residuals on grids are computed by, once there are any."""
        return tuple(outcome(own.note, own[:-1]) for own in self._kept.values() if isinstance(own, GridKernels))

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
        return kept(self._kept, key, make)

    def _chosen(self, device: torch.device) -> GridKernels:
        try:
            return grid_kernels(self.kernels, device)
        except ValueError as error:
            raise InputError(str(error).removeprefix("kernels: "), ("kernels",)) from None

    def _residuals(self, statement: Statement, axes: tuple[GridAxis, ...]) -> tuple[tuple[Place, GridResidual], ...]:
        """Return where on the grid a statement holds, and its residuals there."""

        def make() -> tuple[tuple[Place, GridResidual], ...]:
            if statement.name == "equation":
                places = (inner_place(self.problem, axes),)
            else:
                places = places_of(statement.region, axes, self.problem.names.space)
            coordinates = self.problem.names.coordinates
            return tuple(
                (place, grid_residual_of(statement, place, axes, coordinates, self._fields)) for place in places
            )

        return self._once((statement.name, axes), make)

    @property
    def _fields(self) -> list[int]:
        """Number of the output of each unknown."""
        outputs = [quantity.name for quantity in self.signature.outputs]
        return [outputs.index(name) if name in outputs else -1 for name in self.problem.names.real_unknowns]

    def _on_grid(self, outputs: Tensor, given: GivenFunctions) -> list[tuple[Tensor, Tensor]]:
        """Return each statement's loss and mean squares, with derivatives taken on the grid."""
        axes = tuple(given.axes[dim] for dim in self.signature.dims)
        columns = _GridColumns(self, outputs, given, axes)
        kernels = self._once(("kernels", outputs.device), lambda: self._chosen(outputs.device))
        found = []
        for statement in self.statements:
            parts = []
            for place, residual in self._residuals(statement, axes):
                known = [columns(name, place) for name in statement.plan.columns]
                if self.norm and statement.name == "equation":
                    values = kernels.values(outputs, known, residual)
                    squares = self._squared_norms(values, axes, place, kernels)
                    loss = (squares * residual.numbers(squares)[1]).sum()
                else:
                    loss, squares = kernels.residual(outputs, known, residual)
                parts.append((loss, place.share * squares.detach()))
            found.append((sum(loss for loss, _ in parts), sum(squares for _, squares in parts)))
        return found

    def _squared_norms(self, values: Tensor, axes: Sequence[GridAxis], place: Place, kernels: GridKernels) -> Tensor:
        """Return the squared norms over space of residuals (B, M, *m), averaged over samples and times: (M,)."""
        space = [number for number, axis in enumerate(axes) if axis.name in self.problem.names.space]

        def make() -> Grid:
            points = [torch.from_numpy(axes[number].points[place.where[number]]) for number in space]
            return Grid(tuple(points), tuple(axes[number].period for number in space))

        for number in reversed(range(len(axes))):
            if number not in space:
                values = values.movedim(2 + number, 1).flatten(0, 1)
        grid = self._once(("norm", axes), make)
        try:
            return squared_norm(values, grid, self.norm, modes=kernels.weighted_modes).mean(0)
        except InputError as error:
            raise InputError(error.message, ("physics_norm",)) from None

    def _at_points(
        self, operator: PointOperator, inputs: Values, grid: Values, given: GivenFunctions, step: int
    ) -> list[tuple[Tensor, Tensor]]:
        """Return each statement's loss and mean squares at points drawn for this step."""
        if self.norm:
            message = "norms of residuals are for operators on grids; this one is differentiated at points: leave it 0"
            raise InputError(message, ("physics_norm",))
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
                lambda unknown, channel, values=jets: values[channel, :, :, self._fields[unknown]],
                jets.shape[1:3],
                like,
            )
            weights = torch.as_tensor(drawn.weights).to(like)
            squares = [
                ((row / scale).square() @ weights).mean() for row, scale in zip(rows, statement.scales, strict=True)
            ]
            loss = sum(weight**2 * square for weight, square in zip(statement.weights, squares, strict=True))
            found.append((loss, torch.stack(squares).detach()))
        return found


class _GridColumns:
    """Coordinates, normals and inputs on the grid, each made once."""

    def __init__(self, loss: EquationLoss, outputs: Tensor, given: GivenFunctions, axes: tuple[GridAxis, ...]):
        self.outputs, self.given, self.dims, self._once = outputs, given, loss.signature.dims, loss._once
        shapes = {axis.name: [1, *(-1 if other is axis else 1 for other in axes)] for axis in axes}
        self._known = {axis.name: axis.column(outputs).view(shapes[axis.name]) for axis in axes}
        self._found: dict[str, Tensor] = {}

    def __call__(self, name: str, place: Place) -> Tensor:
        """Return a column of the whole grid, of a shape that broadcasts to (B, *n)."""
        if name.startswith("n["):
            value, like = (place.normals or {}).get(name[2:-1], 0.0), self.outputs
            return self._once((value, like.dtype, like.device), lambda: like.new_tensor(value))
        if name not in self._found:
            self._found[name] = _column(name, self._known, lambda *jet: self.given.on_grid(*jet, self.dims))
        return self._found[name]


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


def _reordered(spec: JetSpec, order: Sequence[int]) -> JetSpec:
    """Return the specification for coordinates in another order; the channels keep their places."""

    def turned(index: Index) -> Index:
        return tuple(index[place] for place in order)

    combined = tuple(tuple((c, turned(index)) for c, index in members) for members in spec.combinations)
    return JetSpec(tuple(map(turned, spec.indices)), combined)
