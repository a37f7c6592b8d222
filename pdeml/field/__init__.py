"""Fields: results with names, units, errors, files and pictures."""

from pdeml.field.field import Field
from pdeml.field.grid import canonical_dims, grid_points, grid_sizes
from pdeml.field.norms import Error, derivative

__all__ = ["Error", "Field", "canonical_dims", "derivative", "grid_points", "grid_sizes"]
