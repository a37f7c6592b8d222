"""A DeepONet for Burgers' equation: from an initial velocity to its whole future, at any point of space and time.

The branch of a DeepONet sees the initial velocity at sensors, its trunk the point at which the answer is wanted. The
trunk may be a network, or the principal modes of the training data (POD). Several of them, trained from different
seeds, say how sure they are. Run it from anywhere, ``python tutorials/04_burgers_deeponet.py``.
It writes burgers.yaml, burgers.h5, burgers.png, network.png, pod.png and sure.png into the current folder.
"""

from pathlib import Path

import numpy as np

import pdeml as pm

# 1. Samples: random initial velocities on a ring, solved by a Fourier method. The output is a function of x and t.
RECIPE = """\
# Viscous Burgers' equation on a ring
name: burgers
seed: 3
problem:
  coordinates: {x: [0, 1], t: [0, 1]}
  time: t
  unknowns: [u]
  parameters: {nu: 0.1}
  inputs:
    u0: {field: grf, over: [x], basis: periodic, tau: 5, alpha: 2, amplitude: 25}
  equations:
    - u_t + u*u_x = nu*u_xx
  conditions:
    - {on: initial, value: {u: u0}}
    - periodic: [x]
reference: {solver: etdrk4, grid: {x: 128, t: 101}}
generate:
  samples: 600
  output: {x: 64, t: 11}
  split: {train: 500, validation: 50, test: 50}
"""


def main() -> None:
    """Generate, learn, ask."""
    Path("burgers.yaml").write_text(RECIPE, encoding="utf-8")
    pm.generate("burgers.yaml", "burgers.h5", overwrite=True)

    # 2. Learn. The file knows its problem: that x is periodic, and that u is u0 at the beginning. Both hold exactly.
    options = {"batch_size": 25, "learning_rate": 2e-3}
    network = pm.solve(data="burgers.h5", solver=pm.DeepONet(epochs=25, **options))
    pod = pm.solve(data="burgers.h5", solver=pm.DeepONet(epochs=20, trunk="pod", ensemble=3, **options))
    for name, operator in {"network": network, "pod": pod}.items():
        print(operator.report(), end="\n\n")
        operator.on_grid().plot(f"{name}.png", f"trunk {name}: test samples")

    # 3. Ask at points of your choice: neither the grid nor the times of the training matter.
    x = np.linspace(0, 1, 64, endpoint=False)
    start = np.sin(2 * np.pi * x)[None]
    found = network.at({"x": [0.25, 0.25, 0.25], "t": [0.0, 0.33, 0.66]}, {"u0": start})
    print("u(x=0.25) at t = 0, 0.33, 0.66:", found["u"].round(3))

    # 4. How sure? The spread of the three members is calibrated on the validation samples, which none was trained on,
    #    so that 1.96 standard deviations hold 95 % of the points; the report says what they held on the test samples.
    field = pod.predict({"u0": start}).isel(sample=0)
    field.isel(t=-1).plot("sure.png", "t = 1, with the calibrated spread")
    print(f"largest standard deviation: {field.std['u'].max():.1e}")


if __name__ == "__main__":  # generation starts processes, which read this file again
    main()
