"""The role of a distribution of functions: frozen options, and `draw`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field

from pdeml.errors import InputError
from pdeml.expr import parse_constant
from pdeml.sampling.functions.base import Function
from pdeml.spec import Options

__all__ = ["Distribution", "Positive", "Range", "Real"]


def _number(value: Any) -> Any:
    """Evaluate the text of a constant expression such as ``7**1.5``."""
    return parse_constant(value) if isinstance(value, str) else value


def _range(value: Any) -> Any:
    """Read a number, which stays what it is, or ``[low, high]``."""
    if not isinstance(value, list | tuple):
        return (_number(value),) * 2
    if len(value) != 2:
        raise ValueError(f"must be a number or [low, high], got {value!r}")
    low, high = (_number(end) for end in value)
    if not (isinstance(low, int | float) and isinstance(high, int | float) and low <= high):
        raise ValueError(f"must be a number or [low, high] with low <= high, got {value!r}")
    return float(low), float(high)


Real = Annotated[float, BeforeValidator(_number)]
Positive = Annotated[float, BeforeValidator(_number), Field(gt=0)]
Range = Annotated[tuple[float, float], BeforeValidator(_range)]
"""``[low, high]``, drawn uniformly; a number alone is not drawn."""


class Distribution(Options):
    """A random function; `kind` is its name under ``field``."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, over: tuple[str, ...], bounds: np.ndarray) -> Function:
        """Draw one function.

        Args:
            rng: the stream of random numbers, used for nothing else.
            over: names of the coordinates that it depends on.
            bounds: low and high end of each of them, (len(over), 2).
        Raises:
            InputError: the distribution does not exist over so many coordinates.
        """

    @classmethod
    def read(cls, options: Mapping[str, Any]) -> Distribution:
        """Make it from the options of a spec; lists become tuples."""
        return cls(**{key: _tuples(value) for key, value in options.items()})

    def check_dimensions(self, over: tuple[str, ...], *allowed: int) -> None:
        """Raise `InputError` unless the number of coordinates is one of ``allowed``."""
        if len(over) not in allowed:
            listed = " or ".join(map(str, allowed))
            raise InputError(f"{self.kind!r} depends on {listed} coordinates, got {', '.join(over)}", ("over",))


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(part) for key, part in value.items()}
    return tuple(_tuples(part) for part in value) if isinstance(value, list) else value
