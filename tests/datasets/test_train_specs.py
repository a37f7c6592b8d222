"""Every shipped recipe says how an operator is learnt from it, and what it says can be done."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pdeml_datasets
from pdeml.data.mask import MASK
from pdeml.data.signature import Axis, March, Quantity, Signature
from pdeml.reference.generation import Recipe
from pdeml.run.plan import make_solver
from pdeml.run.recipes import find_recipe
from pdeml.solvers.operator import OperatorSolver
from pdeml.spec import load_spec

SPECS = pdeml_datasets.training()


def test_every_recipe_has_one():
    assert set(SPECS) == set(pdeml_datasets.recipes())


@pytest.mark.parametrize("name", SPECS)
def test_it_names_its_recipe_a_method_and_its_source(name: str):
    document = load_spec(SPECS[name])
    first = SPECS[name].read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# "), "the first line says where the set-up comes from"
    assert document.spec.name == name
    (data,) = document.spec.data
    assert data.recipe == name
    solver, _ = make_solver(document)
    assert isinstance(solver, OperatorSolver)


def signature_of(recipe: Recipe, march: tuple[int, int] | None) -> Signature:
    """Return what the samples of a recipe would say of an operator, without any."""
    axes = tuple(
        Axis(name, float(part.values[0]), float(part.values[-1]), len(part.values))
        for name, part in recipe.schema.coordinates.items()
    )
    arrays = [info for info in recipe.schema.arrays.values() if info.name != MASK]
    parts = {
        key: tuple(Quantity(info.name, info.dims) for info in arrays if (info.role == "output") is asked)
        for key, asked in {"inputs": False, "outputs": True}.items()
    }
    step = None if march is None else March(*march, float(np.diff(recipe.schema.coordinates["t"].values[:2])[0]))
    return Signature(**parts, axes=axes, march=step, masked=MASK in recipe.schema.arrays, samples=100)


@pytest.mark.parametrize("name", SPECS)
def test_its_operator_fits_the_samples(name: str):
    recipe = Recipe.read(find_recipe(name).spec)
    solver, _ = make_solver(load_spec(SPECS[name]))
    march = None if solver.history is None else (solver.history, solver.window)
    if march is not None:
        assert solver.history + solver.window * solver.unroll <= len(recipe.schema.coordinates["t"].values)
    with torch.random.fork_rng(devices=[]):
        operator = solver.operator(signature_of(recipe, march))
    assert 100 < operator.parameter_count < 20e6
