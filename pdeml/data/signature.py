"""What an operator maps: names, dimensions, sizes and statistics of its inputs and outputs, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pdeml.errors import FileFormatError

__all__ = ["Axis", "Given", "Lifted", "March", "Quantity", "Signature"]


@dataclass(frozen=True)
class Quantity:
    """One function (or, with no dimensions, one number) of a sample.

    Args:
        name: of the array.
        dims: its dimensions in the order (t, z, y, x), without ``sample``.
        mean: over the training part.
        std: over the training part, positive.
        unit: of its values.
    """

    name: str
    dims: tuple[str, ...]
    mean: float = 0.0
    std: float = 1.0
    unit: str = "1"


@dataclass(frozen=True)
class Axis:
    """A coordinate, as it was sampled in training.

    Args:
        name: of the dimension.
        low: the first value.
        high: the last value; of a periodic axis the end of the period, which is not sampled.
        size: number of points.
        periodic: whether functions repeat along it.
        unit: of its values.
    """

    name: str
    low: float
    high: float
    size: int
    periodic: bool = False
    unit: str = "1"


@dataclass(frozen=True)
class March:
    """How an operator goes on in time: from some frames to those that follow, again and again.

    Args:
        history: frames seen by one application.
        window: frames made by one application.
        step: time from one frame to the next.
        time: name of the time dimension.
    """

    history: int
    window: int
    step: float
    time: str = "t"


@dataclass(frozen=True)
class Given:
    """A part of a function that takes given values: ``factor · input(coordinates)``, or the factor alone.

    Args:
        factor: a formula in the coordinates.
        input: name of the input function, or empty.
        at: coordinates of the input that are fixed, as (name, value).
    """

    factor: str
    input: str = ""
    at: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Lifted:
    """How an output takes given values exactly: ``Σ base + factor · network``.

    Args:
        factor: a formula in the coordinates that vanishes where values are given.
        base: what takes the given values.
    """

    factor: str
    base: tuple[Given, ...]


@dataclass(frozen=True)
class Signature:
    """What an operator maps.

    Args:
        inputs: functions and numbers that are given.
        outputs: functions that are asked for; all have the same dimensions.
        axes: every dimension that occurs.
        march: how it goes on in time; none: whole outputs at once.
        masked: whether points outside the geometry are marked by an array ``mask``.
        samples: number of training samples.
        lift: how each output takes known boundary and initial values; empty: not exactly.
    """

    inputs: tuple[Quantity, ...]
    outputs: tuple[Quantity, ...]
    axes: tuple[Axis, ...]
    march: March | None = None
    masked: bool = False
    samples: int = 0
    lift: tuple[Lifted, ...] = ()

    @property
    def dims(self) -> tuple[str, ...]:
        """Dimensions of the outputs, in the order (t, z, y, x)."""
        return self.outputs[0].dims

    @property
    def space(self) -> tuple[str, ...]:
        """Dimensions of the grid that a network for grids sees: without the time, where it goes on in time."""
        return tuple(dim for dim in self.dims if self.march is None or dim != self.march.time)

    def axis(self, name: str) -> Axis:
        """Return the axis called ``name``."""
        return next(axis for axis in self.axes if axis.name == name)

    def to_plain(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Signature:
        """Rebuild what `to_plain` returned.

        Raises:
            FileFormatError: something is missing or of the wrong kind.
        """
        try:
            quantities = {
                key: tuple(Quantity(**{**part, "dims": tuple(part["dims"])}) for part in plain[key])
                for key in ("inputs", "outputs")
            }
            axes = tuple(Axis(**part) for part in plain["axes"])
            march = None if plain["march"] is None else March(**plain["march"])
            lift = tuple(Lifted(part["factor"], tuple(map(_given, part["base"]))) for part in plain["lift"])
            return cls(
                **quantities, axes=axes, march=march, masked=plain["masked"], samples=plain["samples"], lift=lift
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise FileFormatError(f"the signature of the operator cannot be read ({error}); is it damaged?") from None


def _given(part: Mapping[str, Any]) -> Given:
    return Given(part["factor"], part["input"], tuple((name, value) for name, value in part["at"]))
