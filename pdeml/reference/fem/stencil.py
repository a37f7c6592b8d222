"""The fast path: ``-div(a grad u) + c u = f`` on a rectangle, by linear elements on a grid as a five-point stencil.

With the vertices of the triangles as quadrature points the elements of `grid_triangulation` give a stencil without
couplings along the diagonals, in which a side of a triangle conducts the mean of ``a`` over the triangles beside it.
The system is solved by conjugate gradients; for moderate contrast of ``a`` they are preconditioned by the stencil of
its geometric mean, inverted by sine and cosine transforms (Concus & Golub, SIAM J. Numer. Anal. 10 (1973) 1103-1120),
for high contrast by algebraic multigrid.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import sympy
from scipy.fft import dct, dst
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import LinearOperator

from pdeml.errors import DivergenceError
from pdeml.expr import diff
from pdeml.geometry import Box
from pdeml.reference.case import Case
from pdeml.reference.fem.conditions import Conditions
from pdeml.reference.fem.linear import conjugate_gradients, multigrid
from pdeml.reference.fem.weak import Weak, value_symbol

__all__ = ["Stencil", "StencilProblem", "stencil_problem"]

HIGHEST_CONTRAST = 30.0
"""Beyond this ratio of the largest to the smallest coefficient multigrid takes fewer seconds than transforms."""
TOLERANCE = 1e-9
"""Relative residual."""


@dataclass(frozen=True)
class StencilProblem:
    """``-div(a grad u) + c u = f`` with formulas for ``a, c, f`` and, side by side, what holds on the boundary.

    Attributes:
        diffusion, reaction, source: the formulas, each in coordinates, parameters and inputs.
        values: axis -> (low, high) prescribed value, or None where nothing flows out.
    """

    diffusion: sympy.Expr
    reaction: sympy.Expr
    source: sympy.Expr
    values: tuple[tuple[sympy.Expr | None, sympy.Expr | None], ...]


def stencil_problem(weak: Weak, conditions: Conditions) -> StencilProblem | None:
    """Return the problem in the form of the fast path, or None if it has not this form."""
    problem = weak.problem
    box = problem.domain.space
    if len(weak.unknowns) != 1 or problem.names.time or not isinstance(box, Box) or box.dimension != 2:
        return None
    if problem.periodic:
        return None
    (equation,), unknown = weak.equations, value_symbol(problem, weak.unknowns[0])
    ((a, b), (c, d)) = equation.matrix[weak.unknowns[0]]
    reaction = diff(equation.source, unknown)
    jets = set(weak.jets[0])
    if a != d or b != 0 or c != 0 or a.free_symbols & jets or reaction.free_symbols & jets:
        return None
    source = -equation.source.xreplace({unknown: sympy.S.Zero})
    values = _sides(conditions, box)
    if values is None or source.free_symbols & jets:
        return None
    return StencilProblem(-a, reaction, source, values)


def _sides(conditions: Conditions, box: Box) -> tuple | None:
    found: dict[str, sympy.Expr | None] = {}
    for entry in (*conditions.outflows, *conditions.prescribed):
        if entry.region.where is not None or not set(entry.region.pieces) <= set(box.sides) or entry.region.is_point:
            return None
        if entry in conditions.outflows and entry.value != 0:
            return None
        found.update(dict.fromkeys(entry.region.pieces, None if entry in conditions.outflows else entry.value))
    names = list(box.sides)
    if all(found[name] is None for name in names):
        return None
    return (found[names[0]], found[names[1]]), (found[names[2]], found[names[3]])


class Stencil:
    """The stencil of one instance.

    Args:
        case: the instance.
        form: its problem.
        counts: nodes along the two axes.
    """

    def __init__(self, case: Case, form: StencilProblem, counts: tuple[int, int]):
        self.case, self.form, self.counts = case, form, counts
        self.axes = {
            name: np.linspace(*ends, count)
            for name, ends, count in zip(
                case.problem.names.space, case.problem.domain.space.bounds, counts, strict=True
            )
        }
        self.steps = tuple(float(axis[1] - axis[0]) for axis in self.axes.values())
        self.diffusion, self.reaction, self.source = (
            self._on_grid(formula) for formula in (form.diffusion, form.reaction, form.source)
        )
        self.free = tuple(
            slice(0 if low is None else 1, count if high is None else count - 1)
            for (low, high), count in zip(form.values, counts, strict=True)
        )

    @property
    def definite(self) -> bool:
        """Whether the system is positive definite: ``a`` positive everywhere and ``c`` not negative."""
        return bool(self.diffusion.min() > 0 and self.reaction.min() >= 0)

    @cached_property
    def contrast(self) -> float:
        """Ratio of the largest to the smallest coefficient."""
        return float(self.diffusion.max() / self.diffusion.min())

    def solve(self) -> tuple[np.ndarray, dict[str, float | int | str]]:
        """Return the values (n, m) at the nodes, and facts.

        Raises:
            DivergenceError: conjugate gradients do not converge.
        """
        values = self._boundary_values()
        right = (self.source * self.weights - self.apply(values))[self.free]
        shape = right.shape
        operator = LinearOperator((right.size,) * 2, matvec=lambda x: self._apply_free(x.reshape(shape)), dtype=float)
        moderate = self.contrast <= HIGHEST_CONTRAST
        precondition = self._transforms() if moderate else multigrid(self.matrix)
        count = 0

        def counted(_: np.ndarray) -> None:
            nonlocal count
            count += 1

        found = conjugate_gradients(operator, right.ravel(), precondition, TOLERANCE, counted)
        values[self.free] = found.reshape(shape)
        residual = np.linalg.norm(right.ravel() - operator @ found) / max(np.linalg.norm(right), 1e-300)
        return values, {
            "degrees_of_freedom": right.size,
            "preconditioner": "transforms" if moderate else "multigrid",
            "iterations": count,
            "relative_residual": float(residual),
        }

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Apply the stencil to values (n, m) at all nodes."""
        along, up = self.conductances
        result = self.weights * self.reaction * values if self._reacts else np.zeros(self.counts)
        flow = along * (values[1:] - values[:-1])
        result[:-1] -= flow
        result[1:] += flow
        flow = up * (values[:, 1:] - values[:, :-1])
        result[:, :-1] -= flow
        result[:, 1:] += flow
        return result

    @cached_property
    def conductances(self) -> tuple[np.ndarray, np.ndarray]:
        """What the sides along the first axis (n - 1, m) and along the second (n, m - 1) conduct."""
        a, (hx, hy) = self.diffusion, self.steps
        diagonal = a[:-1, :-1] + a[1:, 1:]
        lower, upper = (diagonal + a[1:, :-1]) / 6.0, (diagonal + a[:-1, 1:]) / 6.0
        along = np.zeros((self.counts[0] - 1, self.counts[1]))
        along[:, :-1] += lower * (hy / hx)
        along[:, 1:] += upper * (hy / hx)
        up = np.zeros((self.counts[0], self.counts[1] - 1))
        up[1:] += lower * (hx / hy)
        up[:-1] += upper * (hx / hy)
        return along, up

    @cached_property
    def weights(self) -> np.ndarray:
        """A third of the area of the triangles at each node (n, m)."""
        share = self.steps[0] * self.steps[1] / 6.0
        weights = np.zeros(self.counts)
        for corner, count in (((0, 0), 2), ((1, 0), 1), ((1, 1), 2), ((0, 1), 1)):
            i, j = (slice(k, size - 1 + k) for k, size in zip(corner, self.counts, strict=True))
            weights[i, j] += count * share
        return weights

    @cached_property
    def matrix(self) -> csr_array:
        """The matrix of the nodes without prescribed values, in the order of `free`."""
        n, m = self.counts
        along, up = self.conductances
        padded = np.zeros((n, m))
        padded[:, :-1] = up
        off = diags_array([-along.ravel(), -padded.ravel()[:-1]], offsets=[m, 1], shape=(n * m, n * m))
        whole = off + off.T
        diagonal = (self.weights * self.reaction).ravel() - whole.sum(axis=1)
        numbers = np.arange(n * m).reshape(n, m)[self.free].ravel()
        return csr_array(whole + diags_array(diagonal))[numbers][:, numbers]

    @cached_property
    def _reacts(self) -> bool:
        return bool(np.any(self.reaction))

    def _apply_free(self, values: np.ndarray) -> np.ndarray:
        whole = np.zeros(self.counts)
        whole[self.free] = values
        return self.apply(whole)[self.free].ravel()

    def _on_grid(self, formula: sympy.Expr) -> np.ndarray:
        values = np.broadcast_to(self.case.on_grid(formula, self.axes), self.counts)
        if not np.isfinite(values).all():
            raise DivergenceError(f"the formula {formula} is not a finite number at some points of the grid")
        return values

    def _boundary_values(self) -> np.ndarray:
        """Return prescribed values where there are any, zero elsewhere, (n, m)."""
        values = np.zeros(self.counts)
        for axis, (name, pair) in enumerate(zip(self.axes, self.form.values, strict=True)):
            for end, formula in zip((0, -1), pair, strict=True):
                if formula is not None:
                    at = (slice(None),) * axis + (end,)
                    values[at] = self.case.on_grid(formula, {**self.axes, name: self.axes[name][end]})
        return values

    def _transforms(self) -> LinearOperator:
        """Return the inverse of the stencil with mean coefficients."""
        ends = [tuple(value is None for value in pair) for pair in self.form.values]
        (hx, hy), lines = self.steps, [_Line(*pair, count) for pair, count in zip(ends, self.counts, strict=True)]
        shape = tuple(len(line.roots) for line in lines)
        mean = float(np.exp(np.log(self.diffusion[self.free]).mean()))
        spectrum = mean * (hy / hx * lines[0].roots[:, None] + hx / hy * lines[1].roots)
        spectrum += float(self.reaction.mean()) * hx * hy
        scale = lines[0].scale[:, None] * lines[1].scale

        def invert(vector: np.ndarray) -> np.ndarray:
            values = lines[1].forward(lines[0].forward(vector.reshape(shape) * scale, 0), 1)
            values /= spectrum
            return (lines[0].backward(lines[1].backward(values, 1), 0) * scale).ravel()

        return LinearOperator((int(np.prod(shape)),) * 2, matvec=invert, dtype=float)


class _Line:
    """Eigenvectors of ``-u''`` on the nodes of a line, halved at its free ends, as an orthogonal transform.

    Args:
        low, high: whether the ends are free; else the values there are prescribed.
        count: nodes, the ends included.
    """

    def __init__(self, low: bool, high: bool, count: int):
        size = count - 1
        self.kind, self.flip = ("cosine" if low and high else "mixed" if low or high else "sine"), low and not high
        modes = {"sine": np.arange(1, size), "cosine": np.arange(size + 1), "mixed": np.arange(size) + 0.5}[self.kind]
        self.roots = 4.0 * np.sin(np.pi * modes / (2 * size)) ** 2
        self.scale = np.ones(count)
        self.scale[[0, -1]] = np.sqrt(2.0)
        self.scale = self.scale[0 if low else 1 : count if high else count - 1]

    def forward(self, values: np.ndarray, axis: int) -> np.ndarray:
        """Values -> amplitudes along an axis."""
        if self.kind == "mixed":
            return dst(np.flip(values, axis) if self.flip else values, type=3, axis=axis, norm="ortho")
        return (dct if self.kind == "cosine" else dst)(values, type=1, axis=axis, norm="ortho")

    def backward(self, values: np.ndarray, axis: int) -> np.ndarray:
        """Amplitudes -> values along an axis."""
        if self.kind == "mixed":
            found = dst(values, type=2, axis=axis, norm="ortho")
            return np.flip(found, axis) if self.flip else found
        return self.forward(values, axis)
