"""Flows against published values: the lid-driven cavity, and the cylinder DFG 2D-1 of Schäfer and Turek.

Run as ``python benchmarks/bench_flow.py [--fine]``; lines are added to flow.csv. Sources: the velocity in the middle
of the cavity is -0.2092 at Reynolds number 100 and -0.1150 at 400 (Richardson-extrapolated); Schäfer & Turek,
Benchmark computations of laminar flow around a cylinder (1996): drag 5.5795, lift 0.010619, pressure drop 0.11752.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from records import Origin, append, origin

import pdeml as pm
from pdeml.reference.case import Case
from pdeml.reference.flow import NavierStokes
from pdeml.reference.flow.model import make_model
from pdeml.reference.flow.solved import SolvedFlow

FOLDER = Path(__file__).resolve().parent
DATA = FOLDER.parents[1] / "shared" / "data" / "cavity"
EQUATIONS = [
    "u*u_x + v*u_y + p_x = nu*laplacian(u)",
    "u*v_x + v*v_y + p_y = nu*laplacian(v)",
    "u_x + v_y = 0",
]
CENTRE = {100: -0.2092, 400: -0.1150}
CYLINDER = {"drag": 5.5795, "lift": 0.010619, "pressure difference": 0.11752}


@dataclass(frozen=True)
class Measured(Origin):
    """One line of flow.csv; where ``published`` is 0, the value is a distance that should be small."""

    case: str
    what: str
    grid: str
    value: float
    published: float
    seconds: float


def cavity(reynolds: int) -> pm.Problem:
    """The unit square whose top moves with unit speed."""
    walls = [pm.Dirichlet(on=f"boundary.{name}", u=0, v=0) for name in ("left", "right", "bottom")]
    return pm.Problem(
        coordinates={"x": (0, 1), "y": (0, 1)},
        unknowns="u v p",
        parameters={"nu": f"1/{reynolds}"},
        equations=EQUATIONS,
        conditions=[pm.Dirichlet(on="boundary.top", u=1, v=0), *walls],
    )


def cylinder() -> pm.Problem:
    """DFG 2D-1: Reynolds number 20 of the mean inflow and the diameter."""
    walls = [pm.Dirichlet(on=f"boundary.{name}", u=0, v=0) for name in ("bottom", "top", "cylinder")]
    return pm.Problem(
        domain=pm.Rectangle(x=(0, 2.2), y=(0, 0.41)) - pm.Disk(center=(0.2, 0.2), radius=0.05, name="cylinder"),
        unknowns="u v p",
        parameters={"nu": 1e-3},
        equations=EQUATIONS,
        conditions=[
            pm.Dirichlet(on="boundary.left", u="1.2*y*(0.41 - y)/0.41**2", v=0),
            pm.Dirichlet(on="boundary.right", p=0),
            *walls,
        ],
    )


def solve(problem: pm.Problem, **grid: int) -> tuple[SolvedFlow, float]:
    """Return the flow and the seconds it took."""
    start = time.perf_counter()
    (solved,) = NavierStokes().solve(problem, [Case(problem)], grid)
    return solved, time.perf_counter() - start


def force(solved: SolvedFlow, piece: str) -> np.ndarray:
    """Return the force (2,) on a piece as the residual of the momentum equations there, which is more accurate."""
    space, model = solved.space, make_model(solved.space, Case(solved.problem))
    velocity, pressure = solved.array[0, : 2 * space.size].reshape(2, -1), solved.array[0, 2 * space.size :]
    residual = model.friction(float(np.abs(velocity).max())) @ velocity.ravel() + space.divergence.T @ pressure
    residual = residual.reshape(2, -1) + model.convection * space.convection(velocity)
    return -residual[:, np.unique(space.nodes_on(space.mesh.boundaries[piece]))].sum(axis=1)


def cavity_lines(sizes: Sequence[int]) -> Iterator[Measured]:
    """Yield the velocity in the middle, and the distances from the data where they are present."""
    axis = np.linspace(0, 1, 129)
    for reynolds, centre in CENTRE.items():
        for size in sizes:
            solved, seconds = solve(cavity(reynolds), x=size, y=size)
            found = solved.on_grid({"x": axis, "y": axis})
            name, grid = f"cavity, Re {reynolds}", f"{size}²"
            yield line(name, "u in the middle", grid, float(found["u"][64, 64]), centre, seconds)
            for component in "uv" if DATA.is_dir() else "":
                data = np.load(DATA / f"{component}_ldc_Re{reynolds}_fem_129.npy").reshape(129, 129)
                away = float(np.linalg.norm(found[component] - data) / np.linalg.norm(data))
                yield line(name, f"{component}, relative distance from data", grid, away, 0.0, seconds)


def cylinder_lines(sizes: Sequence[tuple[int, int]]) -> Iterator[Measured]:
    """Yield drag, lift and pressure difference."""
    for nx, ny in sizes:
        solved, seconds = solve(cylinder(), x=nx, y=ny)
        drag, lift = 2 * force(solved, "cylinder") / (0.2**2 * 0.1)
        front, back = solved.evaluate(np.array([[0.15, 0.2], [0.25, 0.2]]))["p"]
        found = {"drag": drag, "lift": lift, "pressure difference": front - back}
        for what, published in CYLINDER.items():
            yield line("cylinder, Re 20", what, f"{nx} x {ny}", float(found[what]), published, seconds)


def line(case: str, what: str, grid: str, value: float, published: float, seconds: float) -> Measured:
    """Return one line of flow.csv."""
    return Measured(
        **asdict(origin()), case=case, what=what, grid=grid, value=value, published=published, seconds=seconds
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and add the lines to flow.csv; return 1 if the velocity in the middle is 0.2 % off."""
    parser = argparse.ArgumentParser(prog="bench_flow.py", description=__doc__.splitlines()[0])
    parser.add_argument("--fine", action="store_true", help="finer grids too (minutes)")
    fine = parser.parse_args(arguments).fine
    sizes = [17, 33, 65, *([129] if fine else [])]
    found = []
    for made in (cavity_lines(sizes), cylinder_lines([(56, 11), (111, 22), *([(221, 42)] if fine else [])])):
        for m in made:
            print(
                f"{m.case:16} {m.what:32} {m.grid:8} {m.value:10.5f} ({m.published:g}) {m.seconds:8.1f} s", flush=True
            )
            append(FOLDER / "flow.csv", m)
            found.append(m)
    middle = [m for m in found if m.what == "u in the middle" and m.grid == f"{sizes[-1]}²"]
    return int(any(abs(m.value / m.published - 1) > 2e-3 for m in middle))


if __name__ == "__main__":
    sys.exit(main())
