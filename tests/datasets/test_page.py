"""datasets/README.md, the reference of recipes: it lists every key that the code knows, with its default."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import pdeml_datasets
from pdeml.data.codecs import BFloat16, Float32, Mantissa, Spectral
from pdeml.problem import library
from pdeml.reference.methods import METHODS
from pdeml.run import generate_spec
from pdeml.sampling.functions import DISTRIBUTIONS
from pdeml.sampling.functions.shapes import Ellipse
from pdeml.spec import GenerateSpec, apply_overrides, parse_spec
from pdeml.spec.models import SplitSpec
from pdeml.spec.problem import FIELD_KINDS, InputSpec

PAGE = (Path(pdeml_datasets.FOLDER).parents[1] / "README.md").read_text(encoding="utf-8")
RECIPE = re.search(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)[1]


def section(heading: str) -> str:
    """The text under a heading, up to the next one."""
    return re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", PAGE, re.M | re.S)[1]


def rows(heading: str) -> dict[str, str]:
    """Key -> default, of the table under a heading."""
    return dict(re.findall(r"^\| `([\w.]+)` \| ([^|]+) \| [^|]+ \|$", section(heading), re.M))


def shown(default: Any) -> str:
    """A default as the page writes it."""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return f"[{', '.join(map(shown, default))}]"
    return f"{default:g}" if isinstance(default, int | float) else str(default)


def check(fields: dict[str, Any], listed: dict[str, str]) -> None:
    assert set(listed) == set(fields)
    for key, field in fields.items():
        if field.is_required():
            assert listed[key] == "required"
        elif field.default is not None:
            assert listed[key] == shown(field.default), key
        else:
            assert listed[key] != "required", key


@pytest.mark.parametrize("kind", DISTRIBUTIONS)
def test_every_option_of_a_random_function_is_listed_with_its_default(kind: str):
    nested = {f"ellipse.{key}": field for key, field in Ellipse.model_fields.items()} if kind == "box" else {}
    check({**DISTRIBUTIONS[kind].model_fields, **nested}, rows(kind))


def test_every_key_of_an_input_is_listed():
    listed = rows("inputs")
    assert set(listed) == {"over", "field", "map", "value"}
    assert set(InputSpec.model_fields) <= {*listed, *rows("grf")}
    kinds = re.search(r"^\| `field` .*function: (.*) \|$", section("inputs"), re.M)[1]
    assert set(kinds.split(", ")) == set(DISTRIBUTIONS) == set(FIELD_KINDS)


def test_every_key_of_generate_is_listed():
    check(GenerateSpec.model_fields, rows("generate"))
    for word in (*GenerateSpec.aliases, *SplitSpec.model_fields):
        assert re.search(rf"[`{{ ]{word}[`:]", section("generate")), word


@pytest.mark.parametrize("codec", [BFloat16, Float32, Mantissa, Spectral])
def test_every_codec_is_listed_with_its_options(codec: type):
    text = section("generate")
    assert f"`{codec.__name__.lower()}`" in text
    for field in dataclasses.fields(codec):
        assert f"`{field.name}`" in text


@pytest.mark.parametrize("kind", METHODS)
def test_every_option_of_a_solver_is_listed_with_its_default(kind: str):
    module, name = METHODS[kind]
    fields = getattr(__import__(module, fromlist=[name]), name).model_fields
    text = section("reference").replace("\n", " ")
    for key, field in fields.items():
        default = r"\([^)]+\)" if field.default is None else re.escape(f"({shown(field.default)})")
        assert re.search(rf"`{key}` {default}[^;]* {kind}\b", text), f"{kind}: {key}"


def test_the_recipe_of_the_page_makes_what_the_page_says(tmp_path: Path):
    small = ["generate.samples=3", "generate.split={train: 2, test: 1}", "generate.executor=serial"]
    document = apply_overrides(parse_spec(RECIPE, "rods.yaml"), small)
    generate_spec(document, tmp_path / "rods.h5")
    with h5py.File(tmp_path / "rods.h5") as file:
        assert {"u0", "f", "k", "L", "x_low", "x_high", "u", "x", "t", "split"} <= set(file)
        np.testing.assert_allclose(file["x_high"][:], file["L"][:], rtol=1e-6)
        assert (file["x"][0], file["x"][-1]) == (0, 1)
        assert list(file["split"][:]) == [0, 0, 2]
        table = section("Format")
        for name in set(file.attrs) - {"Conventions", "pdeml_format"}:
            assert f"`{name}`" in table, name
        for name in ("role", "units", "mean", "std", "min", "max", "count", "reference_residual"):
            assert name in file["u"].attrs
            assert f"`{name}`" in table, name
        # The solution starts as the input says, on the same points.
        np.testing.assert_allclose(file["u"][:, 0], file["u0"][:], atol=2e-3 * np.abs(file["u0"][:]).max())


def test_recipes_and_problems_have_different_names():
    assert not set(pdeml_datasets.recipes()) & set(library.names())
