"""Points and weights: densities over regions, with or without a residual to follow."""

from pdeml.sampling.adapt import adapt, rad_density
from pdeml.sampling.draw import METHODS, Seed, default_count, sample
from pdeml.sampling.points import Points

__all__ = ["METHODS", "Points", "Seed", "adapt", "default_count", "rad_density", "sample"]
