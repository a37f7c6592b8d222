"""Symmetries of the domain, applied to batches at random: more samples than were computed.

Only right where the problem has the symmetry: a solution turned round must be the solution for inputs turned round.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import numpy as np
from torch import Tensor

from pdeml.data.batch import Batch
from pdeml.data.dataset import NEXT
from pdeml.data.invariance import Change, changed_equation
from pdeml.data.signature import Axis
from pdeml.errors import InputError, one_of
from pdeml.problem import Problem

__all__ = ["Symmetry"]

_EQUAL = 1e-5  # of a range: coordinates that are meant to be equal; files hold them in single precision
_COMPONENT = re.compile(r"(.+?)_?([xyz])", re.IGNORECASE)
Arrays = Mapping[str, Tensor]


class Symmetry:
    """Reflections, exchanges and translations of space, the same ones for all samples of a batch.

    ``x`` reflects x (low + high - x), ``xy`` exchanges x and y, each with probability 1/2; ``shift x`` translates by a
    random number of points along a periodic x. Components of vectors that the problem declares change their signs or
    places with the coordinates. Equations of the problem, where it is known, must not change; its conditions are the
    user's responsibility.

    Args:
        names: of the symmetries, applied in this order.
        dims: array -> its dimensions.
        axes: of all dimensions.
        points: dimension -> its points.
        problem: what the samples solve, or none.

    Raises:
        InputError: there is no such symmetry, the grid or the equations do not have it, or arrays look like components
            of a vector that is not declared.
    """

    def __init__(
        self,
        names: Sequence[str],
        dims: Mapping[str, tuple[str, ...]],
        axes: Sequence[Axis],
        points: Mapping[str, np.ndarray],
        problem: Problem | None = None,
    ):
        self._dims, self._points, self._problem = dims, points, problem
        self._periodic = {axis.name for axis in axes if axis.periodic}
        self._directions = _directions(problem)
        time = (problem.time if problem is not None else None) or "t"
        space = [axis.name for axis in axes if axis.name != time]
        known: dict[str, tuple[Callable[..., None], Callable[..., dict[str, Tensor]], tuple[str, ...]]] = {}
        for one, other in combinations(space, 2):
            for key in (f"{one}{other}", f"{other}{one}"):
                known[key] = (self._check_exchange, self.exchanged, (one, other))
        for name in space:
            known[name] = (self._check_reflection, self.reflected, (name,))
            known[f"shift {name}"] = (self._check_shift, self.shifted, (name,))
        self._steps = []
        for number, name in enumerate(names):
            if name not in known:
                raise InputError(one_of(str(name), known, "a symmetry"), ("augment", number))
            check, change, along = known[name]
            check(*along, path=("augment", number))
            self._steps.append((change, along))

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """Return the batch changed by symmetries drawn at random."""
        arrays: Arrays = batch.arrays
        for change, along in self._steps:
            draw = rng.random()
            if change == self.shifted:
                arrays = self.shifted(arrays, *along, int(draw * len(batch.coordinates[along[0]])))
            elif draw < 0.5:
                arrays = change(arrays, *along)
        return Batch(arrays, batch.coordinates)

    def reflected(self, arrays: Arrays, dim: str) -> dict[str, Tensor]:
        """Return the arrays of a batch as functions of low + high - x."""

        def turned(name: str, tensor: Tensor, axis: int) -> Tensor:
            tensor = tensor.flip(axis)
            # The first point of a period is its own image: low + high is low again.
            return tensor.roll(1, axis) if dim in self._periodic else tensor

        found = self._along(dim, arrays, turned)
        return {name: -tensor if self._direction(name) == dim else tensor for name, tensor in found.items()}

    def exchanged(self, arrays: Arrays, one: str, other: str) -> dict[str, Tensor]:
        """Return the arrays of a batch as functions of (y, x)."""

        def turned(name: str, tensor: Tensor, axis: int) -> Tensor:
            return tensor.transpose(axis, 1 + self._dims[name].index(other)).contiguous()

        found, partners = self._along(one, arrays, turned), self._partners(one, other)
        return {name: found[_like(name, partners.get(_base(name), _base(name)))] for name in found}

    def shifted(self, arrays: Arrays, dim: str, count: int) -> dict[str, Tensor]:
        """Return the arrays of a batch moved by some points along a periodic dimension."""
        return self._along(dim, arrays, lambda name, tensor, axis: tensor.roll(count, axis))

    def _along(self, dim: str, arrays: Arrays, change: Callable[[str, Tensor, int], Tensor]) -> dict[str, Tensor]:
        """Apply ``change`` of (array, tensor, axis) to the arrays that have a dimension."""
        found = {}
        for name, tensor in arrays.items():
            dims = self._dims[_base(name)]
            found[name] = change(_base(name), tensor, 1 + dims.index(dim)) if dim in dims else tensor
        return found

    def _direction(self, name: str) -> str | None:
        return self._directions.get(_base(name), ("", None))[1]

    def _partners(self, one: str, other: str) -> dict[str, str]:
        """Return component -> the component of the same vector that it exchanges places with."""
        turned, names = {one: other, other: one}, {place: name for name, place in self._directions.items()}
        return {
            name: names[vector, turned[direction]]
            for name, (vector, direction) in self._directions.items()
            if direction in turned
        }

    def _check_reflection(self, dim: str, path: tuple[str | int, ...]) -> None:
        points = self._points[dim]
        ends = points + points[::-1]
        if np.ptp(ends) > _EQUAL * np.ptp(points):
            raise InputError(f"the points along {dim} are not symmetric about their middle", path)
        self._check_components(path)
        self._check_equations(path, {dim: dim})

    def _check_exchange(self, one: str, other: str, path: tuple[str | int, ...]) -> None:
        first, second = (self._points[dim] for dim in (one, other))
        same = first.shape == second.shape and np.allclose(first, second, rtol=0, atol=_EQUAL * np.ptp(first))
        if not same or (one in self._periodic) != (other in self._periodic):
            raise InputError(f"{one} and {other} cannot be exchanged: their points are not the same", path)
        for name, dims in self._dims.items():
            if (one in dims) != (other in dims):
                raise InputError(f"{one} and {other} cannot be exchanged: {name!r} depends on one of them only", path)
        for name, partner in self._partners(one, other).items():
            if name in self._dims and partner not in self._dims:
                raise InputError(f"{one} and {other} cannot be exchanged: {name!r} is there without {partner!r}", path)
        self._check_components(path)
        self._check_equations(path, {one: other, other: one})

    def _check_shift(self, dim: str, path: tuple[str | int, ...]) -> None:
        if dim not in self._periodic:
            raise InputError(f"{dim} is not periodic: nothing can be moved along it", path)
        self._check_equations(path, {}, dim)

    def _check_components(self, path: tuple[str | int, ...]) -> None:
        """Refuse arrays that look like components of a vector, of which nobody has said that they are."""
        free = [name for name in self._dims if name not in self._directions and self._dims[name]]
        stems = [found[1].lower() for name in free if (found := _COMPONENT.fullmatch(name))]
        similar = [name for name in free if (f := _COMPONENT.fullmatch(name)) and stems.count(f[1].lower()) > 1]
        if not similar and {"u", "v"} <= set(free):
            similar = ["u", "v"]
        if similar:
            listed = ", ".join(similar)
            raise InputError(
                f"{listed} look like components of a vector, which change their signs and places with the coordinates; "
                f"declare it in the problem, as vectors: {{velocity: [{listed}]}}, or leave 'augment' out",
                path,
            )

    def _check_equations(
        self, path: tuple[str | int, ...], turned: Mapping[str, str], shifted: str | None = None
    ) -> None:
        if self._problem is None:
            return
        directions = {name: axis for name, (_, axis) in self._directions.items()}
        exchanged = self._partners(*turned) if len(turned) == 2 else {}
        if found := changed_equation(self._problem, Change(turned, shifted, directions, exchanged)):
            raise InputError(f"the problem does not have this symmetry: {found} becomes another equation", path)


def _directions(problem: Problem | None) -> dict[str, tuple[str, str]]:
    """Return component -> (its vector, the coordinate along which it points)."""
    if problem is None:
        return {}
    return {
        member: (vector, axis)
        for vector, members in problem.names.vectors
        for member, axis in zip(members, problem.domain.axes, strict=False)
    }


def _base(name: str) -> str:
    return name.removesuffix(NEXT)


def _like(name: str, base: str) -> str:
    """Return the array ``base`` at the frames of ``name``."""
    return base + NEXT if name.endswith(NEXT) else base
