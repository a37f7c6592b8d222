"""Sample a region: uniform, quasi-random, Latin or grid points, the same ones for the same seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import qmc

from pdeml.errors import InputError, one_of
from pdeml.geometry import Region
from pdeml.sampling.points import Points

__all__ = ["METHODS", "Seed", "default_count", "generator", "sample"]

Seed = int | Sequence[int]
"""A seed: one integer, or several such as (seed, step), each not negative."""

METHODS = ("sobol", "halton", "latin", "uniform", "grid")
_MOST_PROPOSALS = 2**26
_COUNTS = {0: 1, 1: 256, 2: 1024, 3: 2048}
_MOST_COUNT = 4096
_ROWS_PER_TRAINED_NUMBER = 1.1
_FEWEST = 500


def generator(seed: Seed) -> np.random.Generator:
    """Return the generator that belongs to a seed.

    Raises:
        InputError: if the seed is no integer, or not all are integers >= 0.
    """
    entries = [seed] if isinstance(seed, (int, np.integer)) else seed
    valid = isinstance(entries, (Sequence, np.ndarray)) and not isinstance(entries, str) and len(entries) > 0
    if not valid or not all(isinstance(k, (int, np.integer)) and not isinstance(k, bool) and k >= 0 for k in entries):
        raise InputError(f"a seed is an integer >= 0 or several of them, got {seed!r}")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([int(k) for k in entries])))


def sample(region: Region, n: int, method: str = "sobol", seed: Seed = 0) -> Points:
    """Draw points of uniform density from a region, with equal weights (on a grid those of its pieces).

    Args:
        region: from `Domain.region`.
        n: number of points; exact except for ``grid``, which takes the nearest tensor grid.
        method: ``sobol`` (scrambled; also past powers of two and on regions cut out of a box, where the sequence runs
            on until n of its points are inside), ``halton``, ``latin``, ``uniform`` or ``grid`` (cell centres, a grid
            on each piece of boundary; needs no seed).
        seed: same seed, same points. For all methods but latin and grid fewer points are the first of more points.

    Returns: n points, with normals on the boundary.

    Raises:
        InputError: for an unknown method, n < 1, a bad seed, or a region too thin to be hit.
    Reference: Owen, *Scrambling Sobol' and Niederreiter-Xing points* (1998).
    """
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise InputError(f"the number of points must be an integer >= 1, got {n!r}")
    if method not in METHODS:
        raise InputError(one_of(str(method), METHODS, "a way of sampling"))
    rng = generator(seed)
    if method == "grid":
        return _grid(region, int(n))
    return _until(region, int(n), _source(method, region.dimension, rng))


_Source = Callable[[int], np.ndarray]
"""The next (at least) so many points of a sequence in the unit cube."""


def _source(method: str, dimension: int, rng: np.random.Generator) -> _Source:
    if dimension == 0:
        return lambda count: np.zeros((count, 0))
    if method == "sobol":
        return _sobol(dimension, rng)
    if method == "halton":
        return qmc.Halton(dimension, scramble=True, rng=rng).random
    if method == "latin":
        return qmc.LatinHypercube(dimension, rng=rng).random
    return lambda count: rng.random((count, dimension))


def _sobol(dimension: int, rng: np.random.Generator) -> _Source:
    """Blocks of powers of two, each doubling the sequence, moved off the faces of the cube by half its resolution."""
    sequence = qmc.Sobol(dimension, scramble=True, rng=rng)
    half = 0.5 / sequence.maxn

    def following(count: int) -> np.ndarray:
        done = sequence.num_generated
        log2 = max(math.ceil(math.log2(count)), 0) if done == 0 else int(math.log2(done))
        return sequence.random_base2(log2) + half

    return following


def _until(region: Region, n: int, source: _Source) -> Points:
    """Run along a sequence until n of its points are in the region."""
    found, normals, accepted, proposed = [], [], 0, 0
    while accepted < n:
        if proposed > _MOST_PROPOSALS:
            raise InputError(f"{region.name} is too thin to be sampled: {accepted} of {proposed} points were inside")
        wanted = math.ceil((n - accepted) / max(region.acceptance, 1e-4))
        unit = source(wanted)
        points, outward = region.draw(unit)
        proposed += len(unit)
        accepted += len(points)
        found.append(points)
        normals.append(outward)
    outward = None if normals[0] is None else np.concatenate(normals)[:n]
    return Points.equal(np.concatenate(found)[:n], outward)


def _grid(region: Region, n: int) -> Points:
    """A grid on each part of the region, with points and weights in proportion to measure."""
    parts = region.split()
    total = sum(part.measure for part in parts)
    grids = [_grid_of_one(part, max(round(n * part.measure / total), 1)) for part in parts]
    return Points.concatenate(grids, shares=[part.measure for part in parts])


def _grid_of_one(region: Region, n: int) -> Points:
    unit = _cell_centres(_grid_shape(round(n / region.acceptance), region.dimension))
    points, normals = region.draw(unit)
    if len(points) == 0:
        raise InputError(f"no point of a grid of {n} falls into {region.name}; take more points or another method")
    return Points.equal(points, normals)


def _grid_shape(n: int, dimension: int) -> list[int]:
    """Counts along each axis, as equal as can be, with the product nearest to n."""
    shape: list[int] = []
    rest = float(max(n, 1))
    for left in range(dimension, 0, -1):
        shape.append(max(round(rest ** (1 / left)), 1))
        rest /= shape[-1]
    return shape


def _cell_centres(shape: list[int]) -> np.ndarray:
    if not shape:
        return np.zeros((1, 0))
    axes = np.meshgrid(*[(np.arange(k) + 0.5) / k for k in shape], indexing="ij")
    return np.stack([axis.ravel() for axis in axes], axis=1)


def default_count(region: Region, size: int = 0, residuals: int = 1) -> int:
    """Return a sensible number of points for the first draw from a region.

    Args:
        region: where; of single points as many as there are.
        size: how many numbers are trained on them: 1.1 rows for each, 500 points at least. Zero: by the region's
            dimension alone, time included.
        residuals: rows that each point gives.

    Raises:
        InputError: if ``size`` is negative, or ``residuals`` below one.
    """
    if size < 0 or residuals < 1:
        raise InputError(f"default_count needs size >= 0 and residuals >= 1, got {size!r} and {residuals!r}")
    if region.is_point:
        return len(region.parts)
    if size:
        return max(_FEWEST, round(_ROWS_PER_TRAINED_NUMBER * size / residuals))
    return _COUNTS.get(region.dimension, _MOST_COUNT)
