"""A data set for learning operators: from a recipe to a file, to a picture, to batches.

A recipe is a spec that says how inputs are drawn and which solver makes the outputs. Here the permeability of a porous
medium is drawn at random, and the pressure of a flow through it is solved for. Run it from anywhere,
``python tutorials/02_data_sets.py``. It writes darcy.yaml, darcy.h5, darcy.png and well.h5 into the current folder.
"""

from pathlib import Path

import numpy as np

import pdeml as pm
from pdeml.data import Dataset, Stream, open_source
from pdeml.run import convert, inspect

# 1. The recipe. `inputs` declares a random function, `reference` the solver and its grid, `generate` how many samples
#    are made, on which points they are written, and what they are for.
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
reference: {solver: fem, grid: {x: 129, y: 129}}
generate:
  samples: 24
  output: {x: 65, y: 65}
  split: {train: 16, validation: 4, test: 4}
"""
Path("darcy.yaml").write_text(RECIPE, encoding="utf-8")

# 2. Generate. Sample i depends on the seed and on i alone: one worker and many make the same file, and a run that was
#    killed goes on where it was. The picture darcy.png shows a few samples. `pdeml generate darcy.yaml` does the same.
result = pm.generate("darcy.yaml", "darcy.h5", overwrite=True)
print(f"{result.made} samples in {result.seconds:.1f} s, picture {result.picture}", end="\n\n")

# 3. Look. `pdeml inspect darcy.h5` prints the same. The file is netCDF-4: xarray opens it with no options.
print(inspect("darcy.h5"), end="\n\n")

# 4. Read, a sample at a time: nothing is loaded before it is asked for, here every fourth point of two samples.
with open_source("darcy.h5") as source:
    coarse = source.read("u", [3, 5], {"x": slice(None, None, 4), "y": slice(None, None, 4)})
    print(f"{source.length} samples of {', '.join(source.arrays)}; two of them thinned: {coarse.shape}")

# 5. Train on it. Batches come shuffled, normalised with the statistics that the file holds, and are read ahead by
#    threads; every sample comes once an epoch, also over several processes.
training = Dataset("darcy.h5", "train", normalise=True)
for batch in Stream(training, batch=8, seed=1):
    print({name: tuple(values.shape) for name, values in batch.items()})

# 6. A check by hand: the maximum principle says that the pressure is positive inside, and the equation bounds it.
with open_source("darcy.h5") as source:
    pressure = source.read("u", slice(None))
assert pressure.min() >= 0
assert np.isclose(pressure[:, 0].max(), 0)

# 7. Take it elsewhere, for example as a file in the layout of The Well; `pdeml convert` reads that and others back.
convert("darcy.h5", "well.h5", to="well")
print(inspect("well.h5"))
