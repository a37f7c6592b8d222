"""Functions of the coordinates drawn at random: the inputs of operators."""

from __future__ import annotations

from pdeml.sampling.functions.base import Function
from pdeml.sampling.functions.distribution import Distribution
from pdeml.sampling.functions.formula import Formula, read_formula
from pdeml.sampling.functions.grf import GRF
from pdeml.sampling.functions.inputs import DISTRIBUTIONS, DrawnInput
from pdeml.sampling.functions.modal import Modal
from pdeml.sampling.functions.series import Multiscale, Series
from pdeml.sampling.functions.shapes import Box, Piecewise, Uniform

__all__ = [
    "DISTRIBUTIONS",
    "GRF",
    "Box",
    "Distribution",
    "DrawnInput",
    "Formula",
    "Function",
    "Modal",
    "Multiscale",
    "Piecewise",
    "Series",
    "Uniform",
    "read_formula",
]
