"""Drawing one instance of a problem: every parameter and every input from a stream of its own."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np

from pdeml.errors import InputError, under
from pdeml.problem import Problem
from pdeml.reference.case import Case
from pdeml.sampling.functions import DrawnInput

__all__ = ["check_parameters", "draw_case", "draw_parameters", "read_inputs", "stream"]


def stream(seed: int, index: int, name: str) -> np.random.Generator:
    """Return the random numbers of one name in sample ``index``: they depend on nothing but the three arguments."""
    return np.random.default_rng((seed, index, zlib.crc32(name.encode())))


def read_inputs(problem: Problem) -> dict[str, DrawnInput]:
    """Read how each input function of the problem is drawn.

    Raises:
        InputError: with the path below the problem.
    """
    found = {}
    for name, declared in problem.inputs.items():
        with under("inputs", name):
            found[name] = DrawnInput.read(declared.write(), problem.parameter_values)
    return found


def draw_parameters(problem: Problem, seed: int, index: int) -> dict[str, float]:
    """Draw the parameters that have a range, each uniformly."""
    return {
        name: float(stream(seed, index, f"parameter {name}").uniform(*parameter.bounds))
        for name, parameter in problem.parameters.items()
        if parameter.kind == "range" and parameter.bounds is not None
    }


def draw_case(problem: Problem, seed: int, index: int, inputs: Mapping[str, DrawnInput] | None = None) -> Case:
    """Draw sample ``index``: the same for any order, number of workers or number of samples.

    Args:
        problem: what is drawn for.
        seed: of the data set.
        index: of the sample, from 0.
        inputs: what `read_inputs` returns, where it is known already.
    Raises:
        InputError: an input cannot be drawn over its coordinates.
    """
    drawn = draw_parameters(problem, seed, index)
    numbers = {**problem.parameter_values, **drawn}
    functions = {}
    for name, source in (read_inputs(problem) if inputs is None else inputs).items():
        rows = [problem.names.coordinates.index(coordinate) for coordinate in source.over]
        with under("inputs", name):
            functions[name] = source.draw(stream(seed, index, f"input {name}"), problem.domain.bounds[rows], numbers)
    return Case(problem, functions, drawn)


def check_parameters(problem: Problem) -> None:
    """Refuse parameters that nobody knows the value of.

    Raises:
        InputError: for parameters to be learnt and eigenvalues.
    """
    for name, parameter in problem.parameters.items():
        if parameter.kind not in ("value", "range"):
            raise InputError(f"a data set needs a value or a range, not {parameter.kind!r}", ("parameters", name))
