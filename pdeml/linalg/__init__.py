"""Linear algebra: arrays in, arrays out."""

from pdeml.linalg.cholesky import Factor, NotPositiveDefinite, factor_spd, gram

__all__ = ["Factor", "NotPositiveDefinite", "factor_spd", "gram"]
