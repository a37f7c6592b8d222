"""Points and weights: densities over regions, with or without a residual to follow."""

from pdeml.sampling.adapt import adapt, rad_density
from pdeml.sampling.draw import METHODS, Seed, default_count, sample
from pdeml.sampling.optimal import OPTIMAL, Chosen, choose, christoffel
from pdeml.sampling.points import Points

__all__ = [
    "METHODS",
    "OPTIMAL",
    "Chosen",
    "Points",
    "Seed",
    "adapt",
    "choose",
    "christoffel",
    "default_count",
    "rad_density",
    "sample",
]
