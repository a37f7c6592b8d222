"""Flows against published values: the lid-driven cavity, and the cylinder DFG 2D-1 of Schäfer and Turek.

Run as ``python benchmarks/bench_flow.py [--fine]``; prints a table each. Sources: the velocity in the middle of the
cavity is -0.2092 at Reynolds number 100 and -0.1150 at 400 (Richardson-extrapolated); Schäfer & Turek, Benchmark
computations of laminar flow around a cylinder (1996): drag 5.5795, lift 0.010619, pressure difference 0.11752.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import pdeml as pm
from pdeml.reference.case import Case
from pdeml.reference.flow import NavierStokes
from pdeml.reference.flow.model import make_model
from pdeml.reference.flow.solved import SolvedFlow

DATA = Path(__file__).parents[2] / "shared" / "data" / "cavity"
EQUATIONS = [
    "u*u_x + v*u_y + p_x = nu*laplacian(u)",
    "u*v_x + v*v_y + p_y = nu*laplacian(v)",
    "u_x + v_y = 0",
]
CENTRE = {100: -0.2092, 400: -0.1150}


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


def cavity_table(sizes: list[int]) -> None:
    """Print the velocity in the middle, its error, and the distance from the data where they are present."""
    print(f"{'Re':>4} {'grid':>5} {'u(centre)':>10} {'error':>8} {'u: data':>8} {'v: data':>8} {'seconds':>8}")
    axis = np.linspace(0, 1, 129)
    for reynolds, centre in CENTRE.items():
        for size in sizes:
            solved, seconds = solve(cavity(reynolds), x=size, y=size)
            found = solved.on_grid({"x": axis, "y": axis})
            away = {name: float("nan") for name in "uv"}
            for name in "uv" if DATA.is_dir() else "":
                data = np.load(DATA / f"{name}_ldc_Re{reynolds}_fem_129.npy").reshape(129, 129)
                away[name] = float(np.linalg.norm(found[name] - data) / np.linalg.norm(data))
            middle = found["u"][64, 64]
            error = abs(middle / centre - 1)
            print(
                f"{reynolds:4d} {size:5d} {middle:10.5f} {error:8.2%} {away['u']:8.2%} {away['v']:8.2%} {seconds:8.1f}",
                flush=True,
            )


def cylinder_table(sizes: list[tuple[int, int]]) -> None:
    """Print drag, lift and pressure difference; the values to be met are in the last row."""
    print(f"{'grid':>9} {'unknowns':>8} {'drag':>8} {'lift':>9} {'pressure':>9} {'seconds':>8}")
    for nx, ny in sizes:
        solved, seconds = solve(cylinder(), x=nx, y=ny)
        drag, lift = 2 * force(solved, "cylinder") / (0.2**2 * 0.1)
        front, back = solved.evaluate(np.array([[0.15, 0.2], [0.25, 0.2]]))["p"]
        print(
            f"{nx:5d}x{ny:<3d} {solved.space.unknowns:8d} {drag:8.4f} {lift:9.6f} {front - back:9.5f} {seconds:8.1f}",
            flush=True,
        )
    print(f"{'published':>9} {'':8} {5.5795:8.4f} {0.010619:9.6f} {0.11752:9.5f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fine", action="store_true", help="finer grids too (minutes)")
    fine = parser.parse_args().fine
    cavity_table([17, 33, 65, *([129] if fine else [])])
    cylinder_table([(56, 11), (111, 22), *([(221, 42)] if fine else [])])
