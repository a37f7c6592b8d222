"""Recipes for data sets that pdeml can generate: a folder each, with a card (``README.md``) and ``recipe.yaml``."""

from __future__ import annotations

from pathlib import Path

__all__ = ["recipes"]

FOLDER = Path(__file__).parent / "recipes"


def recipes() -> dict[str, Path]:
    """List the shipped recipes.

    Returns:
        The path of each ``recipe.yaml`` by the name of its folder, in alphabetical order.
    """
    return {path.parent.name: path for path in sorted(FOLDER.glob("*/recipe.yaml"))}
