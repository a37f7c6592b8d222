"""One problem of high frequency, three methods: a network, a Gaussian process, random features.

The solution has three scales, 1, 20 and 100. A network learns the slow one and takes very long for the others; a
Gaussian process finds the frequencies in the data; random features are drawn at the scale that the equation asks for.
Run it from anywhere, ``python tutorials/06_high_frequency.py``. It writes race.png, solution.png, frequencies.png and
waves.h5 into the current folder.
"""

import time

import numpy as np

import pdeml as pm
from pdeml.plot import plot_frequencies, plot_history, save_figure
from pdeml.train import Callback, Event

EXACT = "sin(x) + 0.1*sin(20*x) + 0.05*cos(100*x)"


class Errors(Callback):
    """Keeps the error that every step reports, and when it was reported."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.errors: list[float] = []
        self.start = time.perf_counter()

    def on_step(self, event: Event) -> None:
        """Look at one step."""
        if "error" in event.metrics:
            self.seconds.append(time.perf_counter() - self.start)
            self.errors.append(event.metrics["error"])


def main() -> None:
    """Solve the same problem three times; compare error against time."""
    # 1. One description. `manufactured` gives the source and the boundary values that a known solution needs.
    problem = pm.Problem(
        name="waves",
        coordinates={"x": (0, "2*pi")},
        unknowns="u",
        equations="u_xx = 0",
        conditions=[pm.Dirichlet(u=0)],
    ).manufactured({"u": EXACT})

    # 2. Three methods. The points at which the error is watched are used for nothing else.
    points = 2 * np.pi * np.random.default_rng(0).random((2000, 1))
    exact = np.sin(points[:, 0]) + 0.1 * np.sin(20 * points[:, 0]) + 0.05 * np.cos(100 * points[:, 0])

    def error(values: dict[str, np.ndarray]) -> float:
        return float(np.linalg.norm(values["u"] - exact) / np.linalg.norm(exact))

    solvers = {"PINN": pm.PINN(steps=80), "GP": pm.GP(), "random features": pm.RandomFeatures()}
    solutions, curves = {}, {}
    for name, solver in solvers.items():
        watch = Errors()
        solutions[name] = solver.fit(problem, callbacks=[watch], error=error, error_at=points)
        curves[name] = (watch.seconds, watch.errors)
        print(solutions[name].report(), end="\n\n")
    save_figure(plot_history({}, curves, log_steps=True, across="seconds"), "race.png")

    # 3. A Gaussian process says how sure it is, and which frequencies it found.
    field = solutions["GP"].on_grid(x=801)
    field.with_reference(pm.Field.from_expression({"u": EXACT}, like=field)).plot("solution.png")
    field.to_hdf5("waves.h5")
    print("largest standard deviation:", field.std["u"].max())
    save_figure(plot_frequencies(solutions["GP"].frequencies), "frequencies.png")


if __name__ == "__main__":
    main()
