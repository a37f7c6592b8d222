"""An input function as a spec describes it: a distribution with its options and a map, or a fixed formula."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy

from pdeml.errors import InputError, one_of, under
from pdeml.expr import Names
from pdeml.sampling.functions.base import Function
from pdeml.sampling.functions.distribution import Distribution
from pdeml.sampling.functions.formula import Formula, read_formula
from pdeml.sampling.functions.grf import GRF
from pdeml.sampling.functions.series import Multiscale, Series
from pdeml.sampling.functions.shapes import Box, Piecewise, Uniform

__all__ = ["DISTRIBUTIONS", "DrawnInput"]

DISTRIBUTIONS: dict[str, type[Distribution]] = {
    made.kind: made for made in (GRF, Piecewise, Multiscale, Box, Series, Uniform)
}
"""kind -> class, as ``field`` of an input names it."""


@dataclass(frozen=True, eq=False)
class DrawnInput:
    """How one input function is drawn.

    Args:
        over: coordinates that it depends on.
        distribution: of the raw field, or None for a fixed formula.
        names: declared in the formula.
        formula: ``map`` or ``value``, or None for the raw field itself.
    """

    over: tuple[str, ...]
    distribution: Distribution | None
    names: Names | None
    formula: sympy.Expr | None

    @classmethod
    def read(cls, description: Mapping[str, Any], parameters: Mapping[str, float]) -> DrawnInput:
        """Read ``{over: [x], field: grf, map: …, …}`` or ``{over: [x], value: …}``.

        Args:
            description: the plain values of a spec.
            parameters: of the problem; they may stand in ``map`` and ``value``.
        Raises:
            InputError: with the path of what is wrong.
        """
        options = dict(description)
        over = tuple(options.pop("over"))
        kind, text, value = options.pop("field", None), options.pop("map", None), options.pop("value", None)
        if kind is None and value is None:
            raise InputError(f"needs 'field' (one of {', '.join(DISTRIBUTIONS)}) or 'value' (a formula) to be drawn")
        if kind is not None and kind not in DISTRIBUTIONS:
            raise InputError(one_of(str(kind), DISTRIBUTIONS, "a kind of random field"), ("field",))
        if kind is None:
            for key in ("map", *options) if text is not None else options:
                raise InputError(f"{key!r} goes with 'field', not with 'value'", (key,))
        distribution = None if kind is None else DISTRIBUTIONS[kind].read(options)
        names = formula = None
        if text is not None or value is not None:
            with under("map" if kind is not None else "value"):
                names, formula = read_formula(value if kind is None else text, over, parameters, kind is not None)
        return cls(over, distribution, names, formula)

    def draw(self, rng: np.random.Generator, bounds: np.ndarray, parameters: Mapping[str, float]) -> Function:
        """Draw the function.

        Args:
            rng: the stream of this input alone.
            bounds: low and high end of each coordinate of ``over``.
            parameters: name -> number, of the same sample.
        """
        raw = None if self.distribution is None else self.distribution.draw(rng, self.over, bounds)
        if self.formula is None or self.names is None:
            assert raw is not None
            return raw
        known = {name: parameters[name] for name in self.names.parameters}
        return Formula(self.over, self.names, self.formula, known, raw)
