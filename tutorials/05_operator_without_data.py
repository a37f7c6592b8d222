"""A solution operator learnt from the equation alone: no sample is ever solved for its training.

A reaction-diffusion equation is forced by a random function of space. A DeepONet maps the force to the whole evolution;
it is trained on the residual of the equation for forces drawn anew in every step. Classical solutions are computed
afterwards, to measure its error. Run it from anywhere, ``python tutorials/05_operator_without_data.py``.
It writes recipe.yaml, held_out.h5, held_out.png and operator.png into the current folder.
"""

from pathlib import Path

import numpy as np

import pdeml as pm
from pdeml.data import open_source
from pdeml.field import Field

# 1. The problem. `inputs` says what differs from sample to sample, and how it is drawn: a Gaussian random field here.
RECIPE = """\
# Diffusion and reaction under a force that is drawn at random: s_t = D s_xx - k s^3 + f(x)
name: forced
seed: 1
problem:
  coordinates: {x: [0, 1], t: [0, 1]}
  time: t
  unknowns: [s]
  parameters: {D: 0.05, k: 1}
  inputs:
    f: {field: grf, over: [x], kernel: rbf, length: 0.2}
  equations:
    - s_t = D*s_xx - k*s**3 + f
  conditions:
    - {on: initial, value: {s: 0}}
    - {on: boundary, value: {s: 0}}
reference: {solver: auto}
generate:
  samples: 8
  output: {x: 65, t: 33}
"""
problem = pm.Problem.from_yaml(RECIPE)

# 2. Learn. There are no data but the grid on which forces are drawn. Zero initial and boundary values hold exactly,
#    by construction; derivatives of the network are exact too. Longer training gives smaller errors.
operator = pm.solve(
    problem,
    pm.DeepONet(
        epochs=24,
        batch_size=32,
        learning_rate=5e-3,
        weight_decay=0,
        width=128,
        trunk_width=128,
        octaves=2,
        physics_points=128,
    ),
    data={"grid": {"x": 33, "t": 33}, "samples": 1024},
)
print(operator.report(), end="\n\n")

# 3. Solutions of forces it has never seen, by a classical solver, as in tutorial 02.
Path("recipe.yaml").write_text(RECIPE, encoding="utf-8")
pm.generate("recipe.yaml", "held_out.h5", overwrite=True)
with open_source("held_out.h5") as source:
    force, reference = source.read("f", slice(None)), source.read("s", slice(None))
    points = {name: np.asarray(values) for name, values in source.coordinates.items()}

# 4. Compare, on a grid twice as fine as that of training: the operator takes functions from any grid.
found = operator.predict({"f": force}, points)["s"]
errors = np.linalg.norm(found - reference, axis=(1, 2)) / np.linalg.norm(reference, axis=(1, 2))
together = np.linalg.norm(found - reference) / np.linalg.norm(reference)
print(f"relative L2 error over {len(errors)} forces: median {np.median(errors):.3f}, all together {together:.3f}")
assert together < 0.06

# 5. The sample in the middle, beside its reference and the difference of the two.
middle = np.argsort(errors)[len(errors) // 2]
field = Field(("t", "x"), points, {"s": found[middle]}, reference={"s": reference[middle]}, time="t")
field.plot("operator.png", title="an operator that has seen no solution")
