"""Solvers: one file a method. A method is its frozen options with ``fit``; the table below is the only other line."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pdeml.errors import InputError, one_of

if TYPE_CHECKING:
    from pdeml.solvers.deeponet import DeepONet
    from pdeml.solvers.fno import FNO, TFNO
    from pdeml.solvers.gp import GP
    from pdeml.solvers.mgno import MgNO
    from pdeml.solvers.operator_solution import OperatorSolution
    from pdeml.solvers.options import Preview, SolverOptions
    from pdeml.solvers.pinn import PINN
    from pdeml.solvers.random_features import RandomFeatures
    from pdeml.solvers.record import Record
    from pdeml.solvers.reference import ReferenceSolver
    from pdeml.solvers.solution import Solution

__all__ = [
    "FNO",
    "GP",
    "KINDS",
    "PINN",
    "TFNO",
    "DeepONet",
    "MgNO",
    "OperatorSolution",
    "Preview",
    "RandomFeatures",
    "Record",
    "ReferenceSolver",
    "Solution",
    "SolverOptions",
    "solver_class",
]

KINDS: dict[str, tuple[str, str]] = {
    "pinn": ("pdeml.solvers.pinn", "PINN"),
    "gp": ("pdeml.solvers.gp", "GP"),
    "deeponet": ("pdeml.solvers.deeponet", "DeepONet"),
    "fno": ("pdeml.solvers.fno", "FNO"),
    "mgno": ("pdeml.solvers.mgno", "MgNO"),
    "tfno": ("pdeml.solvers.fno", "TFNO"),
    "random_features": ("pdeml.solvers.random_features", "RandomFeatures"),
    "reference": ("pdeml.solvers.reference", "ReferenceSolver"),
}
"""kind -> (module, class)"""

_HOMES = {
    **{name: module for module, name in KINDS.values()},
    "OperatorSolution": "pdeml.solvers.operator_solution",
    "Preview": "pdeml.solvers.options",
    "Record": "pdeml.solvers.record",
    "Solution": "pdeml.solvers.solution",
    "SolverOptions": "pdeml.solvers.options",
}


def solver_class(kind: str) -> type[SolverOptions]:
    """Return the class of the method called ``kind``.

    Raises:
        InputError: there is no such method; the message lists those that exist.
    """
    if kind not in KINDS:
        raise InputError(one_of(kind, ["auto", *KINDS], "a solver that exists"), ("kind",))
    module, name = KINDS[kind]
    return getattr(importlib.import_module(module), name)


def __getattr__(name: str) -> Any:
    """Load a public name from its module when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
