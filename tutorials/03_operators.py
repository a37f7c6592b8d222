"""Two operators side by side: from the permeability of a porous medium to the pressure of a flow through it.

A data set is generated, a Fourier neural operator (FNO) and a multigrid neural operator (MgNO) learn from it, and both
answer for media they have never seen, also on a finer grid. Run it from anywhere, ``python tutorials/03_operators.py``.
It writes darcy.yaml, darcy.h5, darcy.png, fno.png, mgno.png, errors.png, fine.h5 and fine.png into the current folder.
"""

from pathlib import Path

import numpy as np

import pdeml as pm
from pdeml.plot import plot_distribution, save_figure

# 1. Samples, as in tutorial 02: the medium is drawn at random, the pressure is solved for. `split` says what they are
#    for; what is tested on is never trained on, and never decides when training stops.
RECIPE = """\
# Darcy flow through a two-phase medium
name: darcy
seed: 7
problem:
  coordinates: {x: [0, 1], y: [0, 1]}
  unknowns: [u]
  inputs:
    a: {field: grf, over: [x, y], basis: neumann, tau: 3, alpha: 2, map: "where(g >= 0, 12, 3)"}
  equations:
    - -div(a*grad(u)) = 1
  conditions:
    - {on: boundary, value: {u: 0}}
reference: {solver: fem, grid: {x: 65, y: 65}}
generate:
  samples: 500
  output: {x: 17, y: 17}
  split: {train: 400, validation: 50, test: 50}
"""


def main() -> None:
    """Generate, learn, compare."""
    Path("darcy.yaml").write_text(RECIPE, encoding="utf-8")
    pm.generate("darcy.yaml", "darcy.h5", overwrite=True)

    # 2. Learn. A method is its options; `data` is the file, or a pm.OperatorData that says more. The distribution of
    #    the media has the symmetries of the square, and so has the equation: `augment` lets the training use them.
    options = {"augment": ("x", "y", "xy"), "learning_rate": 5e-3, "seed": 0}
    operators = {
        "fno": pm.solve(data="darcy.h5", solver=pm.FNO(width=16, modes=8, epochs=20, **options)),
        "mgno": pm.solve(data="darcy.h5", solver=pm.MgNO(width=12, epochs=14, **options)),
    }

    # 3. Look: errors over the test samples with those over training samples beside, and three of the test samples.
    for name, operator in operators.items():
        print(operator.report(), end="\n\n")
        operator.on_grid().plot(f"{name}.png", f"{name}: test samples")

    # 4. How the errors are spread over the samples says more than their mean. `scores` has all metrics as numbers.
    test = {}
    for name, operator in operators.items():
        field = operator.on_samples(*operator.samples(count=50), {})
        difference = (field["u"] - field.reference["u"]).reshape(50, -1)
        test[name] = np.linalg.norm(difference, axis=1) / np.linalg.norm(field.reference["u"].reshape(50, -1), axis=1)
        quantiles = operator.scores["test"]["outputs"]["u"]["relative_l2"]
        print(f"{name}: median {quantiles['median']:.1e}, 95 % below {quantiles['q95']:.1e}")
    save_figure(plot_distribution({"u": test}), "errors.png")

    # 5. A medium of your own, on any grid: here a square of the less permeable rock, on 33 x 33 points.
    side = np.linspace(0, 1, 33)
    x, y = np.meshgrid(side, side)
    medium = np.where((abs(x - 0.6) < 0.2) & (abs(y - 0.5) < 0.2), 3.0, 12.0)
    answer = operators["fno"].predict({"a": medium[None]})
    answer.to_hdf5("fine.h5")
    answer.plot("fine.png", "a square inclusion, by an operator trained on a coarser grid")
    print(answer)


if __name__ == "__main__":  # generation starts processes, which read this file again
    main()
