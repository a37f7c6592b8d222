"""The rows of the accuracy table of operators: data, solver, bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["COARSE", "FINE", "ROWS", "Row"]


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Args:
        name: of the row.
        title: in the table.
        data: name of a recipe, or a folder of public data.
        solver: kind of solver.
        options: of the solver.
        bounds: metric -> bound: ``relative_l2`` or ``mse`` on the test part; ``transfer`` is the relative L2 error on
            another grid.
        anchor: what others reach, in words.
        limit: on the seconds, if one is stated.
        overrides: of the recipe.
        parts: of the data; default: those of the recipe.
        gpu: whether it is run on a GPU only.
    """

    name: str
    title: str
    data: str
    solver: str
    options: Mapping[str, Any]
    bounds: Mapping[str, float]
    anchor: str
    limit: float | None = None
    overrides: tuple[str, ...] = ()
    parts: Mapping[str, Any] = field(default_factory=dict)
    gpu: bool = False


COARSE, FINE = ({"x": [0, 1 - 1 / n], "y": [0, 1 - 1 / n]} for n in (16, 32))
"""Of the public Darcy data: the lines x = 1 and y = 1, where the pressure is 0, are left out."""
DARCY_FNO: dict[str, Any] = {
    "modes": 8,
    "width": 24,
    "epochs": 50,
    "ensemble": 2,
    "batch_size": 20,
    "learning_rate": 3e-3,
    "weight_decay": 0.1,
    "augment": ["xy"],
}
OPERATORS_16 = {"relative_l2": 0.085, "transfer": 0.115}
BURGERS = ("generate.output.t=2", "generate.split={train: 1000, test: 200}")
FINAL = {"outputs": {"u": "u(t=last)"}}
THEIRS_16 = "neuraloperator 2.0: 0.117 after 97 s as shipped, 0.096 tuned; 32²: 0.142, 0.122"
ROWS = (
    Row(
        "darcy-16-fno",
        "Darcy 16² (public data), mean of two FNOs",
        "darcy",
        "fno",
        DARCY_FNO,
        OPERATORS_16,
        THEIRS_16,
        limit=100,
    ),
    Row(
        "darcy-16-mgno",
        "Darcy 16² (public data), MgNO",
        "darcy",
        "mgno",
        {"epochs": 40, "augment": ["xy"]},
        OPERATORS_16,
        "",
        limit=100,
    ),
    Row(
        "antiderivative-deeponet",
        "antiderivative, DeepONet",
        "antiderivative",
        "deeponet",
        {"epochs": 2, "batch_size": 64},
        {"mse": 1e-6},
        "DeepXDE: 9.27e-7 after 324 s",
    ),
    Row(
        "antiderivative-pod",
        "antiderivative, POD-DeepONet",
        "antiderivative",
        "deeponet",
        {"trunk": "pod", "epochs": 2, "batch_size": 64},
        {"mse": 1e-8},
        "",
    ),
    Row(
        "burgers-deeponet",
        "Burgers, 128 points, DeepONet",
        "burgers-periodic",
        "deeponet",
        {"epochs": 60},
        {"relative_l2": 0.02},
        "published: 2.15 %",
        overrides=BURGERS,
        parts=FINAL,
    ),
    Row(
        "burgers-fno",
        "Burgers, 128 points, FNO",
        "burgers-periodic",
        "fno",
        {"epochs": 60},
        {"relative_l2": 0.02},
        "published: 1.93 %",
        overrides=BURGERS,
        parts=FINAL,
    ),
    Row(
        "advection-pod",
        "advection I, POD-DeepONet",
        "advection-1",
        "deeponet",
        {"trunk": "pod", "epochs": 5},
        {"relative_l2": 1e-3},
        "",
    ),
    Row(
        "darcy-smooth-mgno",
        "Darcy smooth 211², MgNO",
        "darcy-smooth",
        "mgno",
        {"epochs": 500, "batch_size": 8, "learning_rate": 5e-4, "loss": "h1", "width": 24, "depth": 5},
        {"relative_l2": 3e-3},
        "HANO-L: 0.29 %",
        gpu=True,
    ),
    Row(
        "darcy-smooth-fno",
        "Darcy smooth 211², FNO",
        "darcy-smooth",
        "fno",
        {"epochs": 500, "batch_size": 8, "loss": "h1"},
        {"relative_l2": 7e-3},
        "FNO: 0.68 %",
        gpu=True,
    ),
    Row(
        "darcy-multiscale-mgno",
        "Darcy multiscale 256², MgNO",
        "darcy-multiscale",
        "mgno",
        {"epochs": 500, "batch_size": 8, "learning_rate": 5e-4, "loss": "h1", "width": 24, "depth": 4},
        {"relative_l2": 8e-3, "h1": 2.5e-2},
        "HANO-L: 0.58 %, 1.99 %",
        gpu=True,
    ),
    Row(
        "navier-stokes-fno",
        "Navier-Stokes, viscosity 1e-3, FNO",
        "navier-stokes-1e-3",
        "fno",
        {"history": 10, "epochs": 500, "batch_size": 10},
        {"relative_l2": 9e-3},
        "FNO-3D: 0.86 %",
        gpu=True,
    ),
)
