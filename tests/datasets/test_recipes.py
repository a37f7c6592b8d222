"""Every shipped recipe: it can be made, its card is complete, and what the card says is what the recipe makes."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

import pdeml_datasets
from pdeml.reference.generation import Recipe
from pdeml.run import make_generation_plan
from pdeml.run.recipes import find_recipe

RECIPES = pdeml_datasets.recipes()
PARTS = ("Equation", "Domain", "Conditions", "Drawn", "Stored", "For", "Source", "Limits", "Licence")
MEASURED = ("Generate", "Samples", "Arrays", "Size", "Computed by", "Error", "CPU time", "Measured on")
LARGEST_PICTURE = 120_000

# The pressure of an incompressible flow needs no condition at walls, and an open side says nothing of the velocity.
FLOW = re.compile(r"p is of order 1 in [xy]|[uv] is of order 2 in (space|x)")

COARSE = {
    "burgers-periodic": {"x": 64, "t": 51},
    "cfdbench-cavity": {"x": 7, "y": 7, "t": 11},
    "cfdbench-cylinder": {"x": 21, "y": 13, "t": 11},
    "cfdbench-dam": {"x": 31, "y": 9, "t": 11},
    "cfdbench-tube": {"x": 11, "y": 7, "t": 11},
    "darcy-multiscale": {"x": 31, "y": 31},
    "darcy-rough": {"x": 31, "y": 31},
    "darcy-smooth": {"x": 31, "y": 31},
    "euler": {"x": 65, "t": 11},
    "helmholtz-medium": {"x": 31, "y": 31},
    "kuramoto-sivashinsky": {"x": 64, "t": 401},
    "mcwilliams": {"x": 16, "y": 16, "t": 101},
    "navier-stokes-1e-3": {"x": 16, "y": 16, "t": 201},
    "navier-stokes-1e-4": {"x": 16, "y": 16, "t": 201},
    "navier-stokes-1e-5": {"x": 16, "y": 16, "t": 201},
    "shallow-water": {"x": 21, "y": 21, "t": 11},
}
"""Grids on which the costly ones take no time."""


def rows_of(card: str) -> dict[str, str]:
    return dict(re.findall(r"^\| ([^|]+) \| (.+) \|$", card, re.M))


def coarse(name: str, samples: int) -> Recipe:
    changes = [f"reference.grid.{axis}={size}" for axis, size in COARSE.get(name, {}).items()]
    return Recipe.read(find_recipe(name, samples=samples, changes=changes).spec)


def test_there_are_recipes_and_they_are_what_the_table_lists():
    table = (pdeml_datasets.FOLDER.parents[1] / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| \[`([a-z0-9-]+)`\]", table, re.M)) == set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_the_table_says_the_largest_error_of_the_card(name: str):
    table = (pdeml_datasets.FOLDER.parents[1] / "README.md").read_text(encoding="utf-8")
    listed = re.search(rf"^\| \[`{re.escape(name)}`\].* \| ([^|]+) \|$", table, re.M)[1]
    error = rows_of((RECIPES[name].parent / "README.md").read_text(encoding="utf-8"))["Error"].partition(":")[0]
    numbers = [float(part.split(" ")[1]) for part in error.split(", ")] if "exact" not in error + listed else []
    assert listed.removeprefix("< ") == (f"{max(numbers):.1e}" if numbers else "exact")


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_what_it_is_and_validates_without_warnings(name: str):
    first = RECIPES[name].read_text(encoding="utf-8").partition("\n")[0]
    assert re.fullmatch(r"# \S.{10,140}", first)
    document = find_recipe(name)
    assert document.spec.name == name
    plan = make_generation_plan(document)
    assert [text for text in plan.warnings if not (name.startswith("cfdbench-") and FLOW.match(text))] == []
    assert set(plan.split) == {"train", "test"} | ({"validation"} if "validation" in plan.split else set())
    assert sum(map(len, plan.split.values())) == plan.samples


@pytest.mark.parametrize("name", RECIPES)
def test_a_card_has_its_parts_and_a_small_picture(name: str):
    card = (RECIPES[name].parent / "README.md").read_text(encoding="utf-8")
    for part in PARTS:
        assert re.search(rf"^- \*\*{part}\*\*: \S", card, re.M), f"{name}: the card says nothing under {part}"
    assert set(MEASURED) <= set(rows_of(card)), f"{name}: run scripts/make_cards.py {name}"
    picture = RECIPES[name].parent / "samples.png"
    assert picture.stat().st_size <= LARGEST_PICTURE
    with Image.open(picture) as image:
        assert min(image.size) >= 100


@pytest.mark.parametrize("name", RECIPES)
def test_a_card_says_what_the_recipe_makes(name: str):
    rows = rows_of((RECIPES[name].parent / "README.md").read_text(encoding="utf-8"))
    plan = make_generation_plan(find_recipe(name))
    assert rows["Samples"].split(" ")[0] == str(plan.samples)
    assert rows["Computed by"] == plan.recipe.source.describe()
    for info in plan.recipe.schema.arrays.values():
        assert f"{info.role} `{info.name}`" in rows["Arrays"]


@pytest.mark.parametrize("name", RECIPES)
def test_samples_can_be_made_and_differ(name: str):
    recipe = coarse(name, 2)
    samples = [sample for start, stop in recipe.batches() for sample, *_ in recipe.samples(start, stop)]
    assert len(samples) == 2
    for info in recipe.schema.arrays.values():
        first, second = (sample[info.name] for sample in samples)
        assert first.shape == info.shape
        if info.role == "output":
            assert np.isfinite(first).any()
            assert np.nanstd(first) > 0
            assert np.nanmax(np.abs(first - second)) > 0
