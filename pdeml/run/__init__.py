"""Running: what assembles spec, problem, solver, reference and files. Nothing here parses arguments or prints.

Names are loaded when first used, so that looking at files needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pdeml.run.api import generate, load, solve
    from pdeml.run.converting import convert
    from pdeml.run.evaluation import Evaluation, evaluate
    from pdeml.run.finding import find_run, find_spec
    from pdeml.run.folder import RunFolder
    from pdeml.run.generating import (
        GenerationPlan,
        GenerationResult,
        describe_recipe,
        generate_spec,
        make_generation_plan,
    )
    from pdeml.run.inspection import inspect
    from pdeml.run.pictures import plot
    from pdeml.run.plan import RunPlan, make_plan
    from pdeml.run.prediction import predict, write_prediction
    from pdeml.run.training import RunResult, train_spec

__all__ = [
    "Evaluation",
    "GenerationPlan",
    "GenerationResult",
    "RunFolder",
    "RunPlan",
    "RunResult",
    "convert",
    "describe_recipe",
    "evaluate",
    "find_run",
    "find_spec",
    "generate",
    "generate_spec",
    "inspect",
    "load",
    "make_generation_plan",
    "make_plan",
    "plot",
    "predict",
    "solve",
    "train_spec",
    "write_prediction",
]

_HOMES = {
    "pdeml.run.api": ("generate", "load", "solve"),
    "pdeml.run.converting": ("convert",),
    "pdeml.run.evaluation": ("Evaluation", "evaluate"),
    "pdeml.run.finding": ("find_run", "find_spec"),
    "pdeml.run.folder": ("RunFolder",),
    "pdeml.run.generating": (
        "GenerationPlan",
        "GenerationResult",
        "describe_recipe",
        "generate_spec",
        "make_generation_plan",
    ),
    "pdeml.run.inspection": ("inspect",),
    "pdeml.run.pictures": ("plot",),
    "pdeml.run.plan": ("RunPlan", "make_plan"),
    "pdeml.run.prediction": ("predict", "write_prediction"),
    "pdeml.run.training": ("RunResult", "train_spec"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a public name from its module when it is first used."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)
