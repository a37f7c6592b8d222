"""Started by torchrun in two processes: trains, and writes what it saw. The last thing is a process that fails."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

import pdeml as pm
from pdeml.data.operator import OperatorData
from pdeml.solvers import KINDS, solver_class
from pdeml.solvers.operator import OperatorSolver
from pdeml.train import Callback, Event
from pdeml.train.distribution import current_world

SMALL = {"deeponet": {"width": 8, "depth": 1, "basis": 5, "trunk_width": 8}}
EQUATION = pm.Problem(
    coordinates={"x": (0, 1), "t": (0, 1)},
    time="t",
    unknowns="u",
    equations="u_t = 0.2*u_xx",
    conditions=[pm.Initial(u="sin(pi*x)"), pm.Dirichlet(u=0)],
)


class Losses(Callback):
    """Remembers losses and errors; fails, or asks to stop, at a step."""

    def __init__(self, stop: int | None = None, fail: int | None = None):
        self.seen: list[float] = []
        self.stop, self.fail = stop, fail

    def on_step(self, event: Event) -> str | None:
        self.seen += [event.metrics["loss"], event.metrics.get("error", 0.0)]
        if event.state.step == self.fail:
            raise RuntimeError("this process fails")
        return "told to stop" if event.state.step == self.stop else None


def operator_kinds() -> list[str]:
    return [kind for kind in KINDS if issubclass(solver_class(kind), OperatorSolver)]


def operator_losses(kind: str, data: OperatorData, **callback: int) -> tuple[list[float], str]:
    """Two epochs of three steps; the last batch of an epoch has one sample: fewer than there are processes."""
    options = {"width": 4, "depth": 1, **SMALL.get(kind, {})}
    solver = solver_class(kind)(epochs=2, batch_size=3, precision="float64", **options)
    losses = Losses(**callback)
    solution = solver.fit(data=data, callbacks=[losses], score=False)
    return losses.seen, solution.record.reason


def pinn_losses(optimizer: str) -> list[float]:
    losses = Losses()
    options = {"width": 6, "depth": 2, "points": 41, "condition_points": 7, "steps": 12, "resample": 5}
    pm.PINN(optimizer=optimizer, exact_conditions=False, **options).fit(EQUATION, callbacks=[losses])
    return losses.seen


def everything(data: OperatorData) -> dict[str, list[float]]:
    found = {kind: operator_losses(kind, data)[0] for kind in operator_kinds()}
    return found | {optimizer: pinn_losses(optimizer) for optimizer in ("adam", "lbfgs")}


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    data = OperatorData(
        folder / "line.npz", train=7, validation=5, test=2,
        inputs={"a": "a"}, outputs={"u": "u"}, coordinates={"x": (0, 1)},
    )  # fmt: skip
    found: dict[str, object] = {"losses": everything(data)}
    world = current_world()
    try:
        pinn_losses("gauss_newton")
    except pm.errors.InputError as error:
        found["refused"] = str(error)
    stopping = {"stop": 3} if world.rank == 1 else {}
    losses, found["reason"] = operator_losses("deeponet", data, **stopping)
    found["steps"] = len(losses) // 2
    found["shared"] = world.sum(torch.tensor(float(world.rank + 1))).item()
    (folder / f"{world.rank}.json").write_text(json.dumps(found))
    world.wait()
    operator_losses("deeponet", data, **({"fail": 2} if world.rank == 1 else {}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
