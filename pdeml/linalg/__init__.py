"""Linear algebra, norms and metrics: arrays in, arrays out. Names load when first used: fields need no torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pdeml.linalg.cholesky import Factor, NotPositiveDefinite, factor_spd, gram
    from pdeml.linalg.conformal import Band, Calibrator
    from pdeml.linalg.elimination import Elimination, eliminate
    from pdeml.linalg.gaussian import Determined, Gaussian, Observed, condition, observe, observe_features
    from pdeml.linalg.implicit import implicit_argmin, implicit_fixed_point, implicit_root
    from pdeml.linalg.kronecker import Kronecker, KroneckerEigen, along
    from pdeml.linalg.krylov import Iterated, conjugate_gradients
    from pdeml.linalg.least_squares import BlockRows, LeastSquares, dense_bytes, solve_blocks, solve_rows
    from pdeml.linalg.metrics import Scores
    from pdeml.linalg.norms import Grid, published_h1, relative_error, squared_norm
    from pdeml.linalg.spectrum import Spectrum

__all__ = [
    "Band",
    "BlockRows",
    "Calibrator",
    "Determined",
    "Elimination",
    "Factor",
    "Gaussian",
    "Grid",
    "Iterated",
    "Kronecker",
    "KroneckerEigen",
    "LeastSquares",
    "NotPositiveDefinite",
    "Observed",
    "Scores",
    "Spectrum",
    "along",
    "condition",
    "conjugate_gradients",
    "dense_bytes",
    "eliminate",
    "factor_spd",
    "gram",
    "implicit_argmin",
    "implicit_fixed_point",
    "implicit_root",
    "observe",
    "observe_features",
    "published_h1",
    "relative_error",
    "solve_blocks",
    "solve_rows",
    "squared_norm",
]

_HOMES = {
    **dict.fromkeys(("Factor", "NotPositiveDefinite", "factor_spd", "gram"), "pdeml.linalg.cholesky"),
    **dict.fromkeys(("Band", "Calibrator"), "pdeml.linalg.conformal"),
    **dict.fromkeys(("Elimination", "eliminate"), "pdeml.linalg.elimination"),
    **dict.fromkeys(
        ("Determined", "Gaussian", "Observed", "condition", "observe", "observe_features"), "pdeml.linalg.gaussian"
    ),
    **dict.fromkeys(("implicit_argmin", "implicit_fixed_point", "implicit_root"), "pdeml.linalg.implicit"),
    **dict.fromkeys(("Kronecker", "KroneckerEigen", "along"), "pdeml.linalg.kronecker"),
    **dict.fromkeys(("Iterated", "conjugate_gradients"), "pdeml.linalg.krylov"),
    **dict.fromkeys(
        ("BlockRows", "LeastSquares", "dense_bytes", "solve_blocks", "solve_rows"), "pdeml.linalg.least_squares"
    ),
    **dict.fromkeys(("Grid", "published_h1", "relative_error", "squared_norm"), "pdeml.linalg.norms"),
    "Scores": "pdeml.linalg.metrics",
    "Spectrum": "pdeml.linalg.spectrum",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
