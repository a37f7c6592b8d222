"""Recipes for data sets that pdeml can generate: a folder each, with a card (``README.md``), ``recipe.yaml``
and ``train.yaml``, which says how an operator is learnt from its samples.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["recipes", "training"]

FOLDER = Path(__file__).parent / "recipes"


def recipes() -> dict[str, Path]:
    """List the shipped recipes.

    Returns:
        The path of each ``recipe.yaml`` by the name of its folder, in alphabetical order.
    """
    return {path.parent.name: path for path in sorted(FOLDER.glob("*/recipe.yaml"))}


def training() -> dict[str, Path]:
    """List what learns an operator from the samples of a recipe.

    Returns:
        The path of each ``train.yaml`` by the name of its folder, in alphabetical order.
    """
    return {path.parent.name: path for path in sorted(FOLDER.glob("*/train.yaml"))}
