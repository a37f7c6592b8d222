"""What a picture of fields shows: each unknown, its reference, its error, its standard deviation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from pdeml.plot.style import ERROR_MAP, MAP, STD_MAP, error_text, label, limits, number, symmetric_limits

__all__ = ["Gridded", "Quantity"]


@dataclass(frozen=True)
class Quantity:
    """One array to be shown, with its colours and its title.

    Attributes:
        kind: ``"solution"``, ``"reference"``, ``"error"`` or ``"std"``.
        values: on the grid.
        title: with unit.
        colours: name of the colour map.
        bounds: of the colours.
    """

    kind: str
    values: np.ndarray
    title: str
    colours: str
    bounds: tuple[float, float]


@dataclass(frozen=True)
class Gridded:
    """Arrays on a tensor grid, ready to be drawn.

    Attributes:
        coordinates: name -> 1-D values, in the order of the arrays' dimensions (t, z, y, x).
        values: unknown -> array.
        reference: unknown -> array, where there is one.
        std: unknown -> standard deviation, where there is one.
        units: name -> unit; missing means ``"1"``.
        time: which coordinate is the time.
    """

    coordinates: Mapping[str, np.ndarray]
    values: Mapping[str, np.ndarray]
    reference: Mapping[str, np.ndarray] = field(default_factory=dict)
    std: Mapping[str, np.ndarray] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    time: str | None = None

    @property
    def space(self) -> tuple[str, ...]:
        """Space coordinates in the order of the arrays' dimensions."""
        return tuple(name for name in self.coordinates if name != self.time)

    def label(self, name: str) -> str:
        """Return a name with its unit."""
        return label(name, self.units.get(name, "1"))

    def quantities(self, name: str) -> list[Quantity]:
        """List what there is to show of one unknown; solution and reference share their colours."""
        values, unit = self.values[name], self.units.get(name, "1")
        reference, std = self.reference.get(name), self.std.get(name)
        shared = limits(values, reference)
        found = [Quantity("solution", values, label(name, unit), MAP, shared)]
        if reference is not None:
            error = values - reference
            largest = np.abs(error[np.isfinite(error)]).max(initial=0.0)
            title = label(f"error of {name}", unit) + f", max {error_text(float(largest))}"
            found.append(Quantity("reference", reference, label(f"{name} reference", unit), MAP, shared))
            found.append(Quantity("error", error, title, ERROR_MAP, symmetric_limits(error)))
        if std is not None:
            found.append(Quantity("std", std, label(f"std of {name}", unit), STD_MAP, limits(std, np.zeros(1))))
        return found

    def without_single_points(self) -> tuple[Gridded, str]:
        """Drop dimensions of one point (one stays); return what was dropped as a note ``"t = 1 s"``."""
        single = [name for name, points in self.coordinates.items() if len(points) == 1]
        if len(single) == len(self.coordinates):
            single = single[:-1]
        note = ", ".join(self.at(name, 0) for name in single)
        axes = tuple(list(self.coordinates).index(name) for name in single)
        groups = {
            key: {name: part.squeeze(axes) for name, part in getattr(self, key).items()}
            for key in ("values", "reference", "std")
        }
        kept = {name: points for name, points in self.coordinates.items() if name not in single}
        return replace(self, coordinates=kept, **groups, time=None if self.time in single else self.time), note

    def at(self, name: str, index: int) -> str:
        """Write where a coordinate stands: ``"t = 0.5 s"``."""
        unit = self.units.get(name, "1")
        value = self.coordinates[name][index]
        return f"{name} = {number(value)}" + ("" if unit in ("", "1") else f" {unit}")

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)
