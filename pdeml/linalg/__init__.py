"""Linear algebra, norms and metrics: arrays in, arrays out. Names load when first used: fields need no torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pdeml.linalg.cholesky import Factor, NotPositiveDefinite, factor_spd, gram
    from pdeml.linalg.conformal import Band, Calibrator
    from pdeml.linalg.metrics import Scores
    from pdeml.linalg.norms import Grid, published_h1, relative_error, squared_norm
    from pdeml.linalg.spectrum import Spectrum

__all__ = [
    "Band",
    "Calibrator",
    "Factor",
    "Grid",
    "NotPositiveDefinite",
    "Scores",
    "Spectrum",
    "factor_spd",
    "gram",
    "published_h1",
    "relative_error",
    "squared_norm",
]

_HOMES = {
    **dict.fromkeys(("Factor", "NotPositiveDefinite", "factor_spd", "gram"), "pdeml.linalg.cholesky"),
    **dict.fromkeys(("Band", "Calibrator"), "pdeml.linalg.conformal"),
    **dict.fromkeys(("Grid", "published_h1", "relative_error", "squared_norm"), "pdeml.linalg.norms"),
    "Scores": "pdeml.linalg.metrics",
    "Spectrum": "pdeml.linalg.spectrum",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
