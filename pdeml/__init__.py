"""pdeml: write a partial differential equation once, solve it with networks, random features or classical methods.

The public names are loaded when first used: ``import pdeml`` alone loads no other package.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pdeml import errors
    from pdeml.data.operator import OperatorData
    from pdeml.expr import symbols
    from pdeml.field import Field
    from pdeml.geometry import Box, Disk, Interval, Polygon, Rectangle
    from pdeml.problem import Condition, Dirichlet, Final, Initial, Neumann, Periodic, Problem, manufactured
    from pdeml.run import generate, load, solve
    from pdeml.solvers import FNO, GP, PINN, TFNO, DeepONet, MgNO, RandomFeatures, ReferenceSolver

__all__ = [
    "FNO",
    "GP",
    "PINN",
    "TFNO",
    "Box",
    "Condition",
    "DeepONet",
    "Dirichlet",
    "Disk",
    "Field",
    "Final",
    "Initial",
    "Interval",
    "MgNO",
    "Neumann",
    "OperatorData",
    "Periodic",
    "Polygon",
    "Problem",
    "RandomFeatures",
    "Rectangle",
    "ReferenceSolver",
    "__version__",
    "errors",
    "generate",
    "load",
    "manufactured",
    "solve",
    "symbols",
]

_HOMES = {
    "pdeml.expr": ("symbols",),
    "pdeml.field": ("Field",),
    "pdeml.geometry": ("Box", "Disk", "Interval", "Polygon", "Rectangle"),
    "pdeml.problem": (
        "Condition",
        "Dirichlet",
        "Final",
        "Initial",
        "Neumann",
        "Periodic",
        "Problem",
        "manufactured",
    ),
    "pdeml.run": ("generate", "load", "solve"),
    "pdeml.data.operator": ("OperatorData",),
    "pdeml.solvers": ("FNO", "GP", "PINN", "TFNO", "DeepONet", "MgNO", "RandomFeatures", "ReferenceSolver"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load the public ``name`` from its home module (PEP 562) and keep it."""
    if name in _HOME_OF:
        value = getattr(importlib.import_module(_HOME_OF[name]), name)
    elif name == "errors":
        value = importlib.import_module("pdeml.errors")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
