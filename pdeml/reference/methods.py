"""The classical solvers by name, and which one a problem gets."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from pdeml.errors import InputError, one_of
from pdeml.problem import Problem
from pdeml.reference.method import Method

__all__ = ["METHODS", "choose_method", "make_method"]

METHODS: dict[str, tuple[str, str]] = {
    "characteristics": ("pdeml.reference.characteristics", "Characteristics"),
    "etdrk4": ("pdeml.reference.fourier", "ETDRK4"),
    "rk4cn": ("pdeml.reference.fourier", "RK4CN"),
    "imex": ("pdeml.reference.fourier", "IMEX"),
    "chebyshev": ("pdeml.reference.chebyshev", "Chebyshev"),
    "fv": ("pdeml.reference.volumes", "FiniteVolumes"),
    "navier_stokes": ("pdeml.reference.flow", "NavierStokes"),
    "fem": ("pdeml.reference.fem", "FEM"),
}
"""kind -> (module, class), in the order in which `auto` tries them."""


def make_method(kind: str, options: Mapping[str, Any], problem: Problem) -> Method:
    """Build the solver called ``kind`` and check that it can solve the problem.

    Args:
        kind: one of `METHODS`, or ``auto``.
        options: of the solver; with ``auto`` they go to the one that is chosen.
        problem: what is to be solved.
    Raises:
        InputError: there is no such solver, an option is wrong, or the problem is refused, with the reason.
    """
    if kind == "auto":
        return choose_method(options, problem)
    if kind not in METHODS:
        raise InputError(one_of(kind, ["auto", *METHODS], "a reference solver"), ("solver",))
    method = _class(kind)(**options)
    method.check(problem)
    return method


def choose_method(options: Mapping[str, Any], problem: Problem) -> Method:
    """Return the first solver of `METHODS` that does not refuse the problem.

    Raises:
        InputError: all refuse; the message says why each does.
    """
    reasons = []
    for kind in METHODS:
        reason = _class(kind)().refusal(problem)
        if reason is None:
            return _class(kind)(**options)
        reasons.append(f"{kind}: {reason}")
    raise InputError("no reference solver can solve it; " + "; ".join(reasons), ("solver",))


def _class(kind: str) -> type[Method]:
    module, name = METHODS[kind]
    return getattr(importlib.import_module(module), name)
