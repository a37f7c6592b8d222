"""Random features: networks whose hidden weights are drawn and kept, so that solving is linear least squares."""

from pdeml.features.axis import PatchedAxis
from pdeml.features.local import LocalSpace, draw_space, gauss_points
from pdeml.features.plan import plan_axes

__all__ = ["LocalSpace", "PatchedAxis", "draw_space", "gauss_points", "plan_axes"]
