"""Bands around the mean of an ensemble that hold what they promise, whatever the errors are distributed like.

An ensemble gives a mean and a standard deviation; how wide a band must be is found on samples it has not seen.
Shapes: B (samples), C (channels), n (points along each axis).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from pdeml.errors import FileFormatError, InputError
from pdeml.linalg.norms import inside_of

__all__ = ["Band", "Calibrator"]

_FACTORS = torch.logspace(-4, 6, 4001, dtype=torch.float64)
"""Factors among which the pointwise one is chosen: steps of 0.6 %."""


@dataclass(frozen=True)
class Band:
    """The band ``mean ± factor · (std + floor)`` of each channel, calibrated on held-out samples; see `Calibrator`.

    Args:
        factors: of each channel.
        coverage: 1 - α.
        points: 1 - β, or None for the promise about points.
        floor: of each channel, in its own units.
        samples: it was calibrated on.
    """

    factors: tuple[float, ...]
    coverage: float
    points: float | None
    floor: tuple[float, ...]
    samples: int

    @property
    def promise(self) -> str:
        """What holds for samples like those of the calibration."""
        if self.points is None:
            return f"on average over new samples the band holds at least {self.coverage:.4g} of the points"
        what = "all points" if self.points == 1 else f"at least {self.points:.4g} of the points"
        return f"with probability {self.coverage:.4g} the band holds {what} of a new sample"

    def limits(self, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
        """Return the lower and the upper end of the band: (B, C, *n) each."""
        width = _column(self.factors, std) * (std + _column(self.floor, std))
        width = torch.where(width.isnan(), torch.inf, width)  # of an infinite factor and no spread
        return mean - width, mean + width

    def held(self, mean: Tensor, std: Tensor, reference: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the share of points of each sample that lie in the band: (B, C).

        To be measured on test samples: its mean is the coverage of points; how often it is at least ``points`` is the
        coverage of functions.
        """
        inside, scores = inside_of(mean, mask), _scores(mean, std, reference, self.floor)
        good = scores <= _column(self.factors, scores)
        if inside is None:
            return good.double().flatten(2).mean(2)
        return (good & inside).flatten(2).sum(2).double() / inside.flatten(2).sum(2).clamp(min=1)

    def to_plain(self) -> dict[str, Any]:
        """Return plain values, for JSON: an infinite factor is None."""
        factors = [factor if math.isfinite(factor) else None for factor in self.factors]
        return {**asdict(self), "factors": factors, "floor": list(self.floor)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Band:
        """Rebuild what `to_plain` returned.

        Raises:
            FileFormatError: something is missing or of the wrong kind.
        """
        try:
            factors = tuple(math.inf if factor is None else factor for factor in plain["factors"])
            return cls(**{**plain, "factors": factors, "floor": tuple(plain["floor"])})
        except (KeyError, TypeError) as error:
            raise FileFormatError(f"the calibration cannot be read ({error}); is it damaged?") from None


class Calibrator:
    """Split-conformal calibration: find the factor of `Band` from held-out samples, batch by batch.

    The score of a point is |u - mean| / (std + floor). If the held-out samples and a new one are exchangeable (drawn
    alike, none used in training), then for each channel, whatever the distribution and however poor the ensemble:

    - ``points=1 - β``: the score of a sample is the smallest r for which a share 1 - β of its points has scores of at
      most r; the factor is the k-th smallest of the n scores, k = ceil((n + 1)(1 - α)). With probability at least 1 - α
      (over the calibration and the new sample) the band holds a share 1 - β of the points of the new sample.
      ``points=1``: all of them.
    - ``points=None``: the factor is the smallest with (n R + 1) / (n + 1) <= α, where R is the share of points outside,
      averaged over the held-out samples. The expected share of the points of a new sample in the band is at least
      1 - α.

    Neither promises anything about a given sample or a given point, nor about several channels at once.

    Args:
        coverage: 1 - α, between 0 and 1.
        points: 1 - β in (0, 1], or None.
        floor: added to the standard deviation of each channel, in its units: where all members agree the band keeps a
            width. Chosen without the calibration samples.

    Raises:
        InputError: a share is not between 0 and 1.

    References: Lei et al., J. Am. Stat. Assoc. 113 (2018) 1094, Theorem 2.2; Ma et al., Calibrated uncertainty
        quantification for operator learning via conformal prediction, TMLR 2024; for points: Angelopoulos et al.,
        Conformal risk control, ICLR 2024, Theorem 1.
    """

    def __init__(self, coverage: float = 0.9, points: float | None = 0.95, floor: tuple[float, ...] = (0.0,)):
        for name, share, top in (("coverage", coverage, False), ("points", points, True)):
            if share is not None and not (0 < share < 1 or (top and share == 1)):
                raise InputError(f"{name} is a share between 0 and 1, got {share:g}", (name,))
        self.coverage, self.points, self.floor = coverage, points, tuple(floor)
        self.count = 0
        self._scores: list[Tensor] = []  # (B, C) of samples
        self._outside: Tensor | None = None  # (C, factors) share of points outside, summed over samples

    def add(self, mean: Tensor, std: Tensor, reference: Tensor, mask: Tensor | None = None) -> None:
        """Count a batch of held-out samples; all arrays (B, C, *n). A sample without points inside is left out."""
        scores, inside = _scores(mean, std, reference, self.floor).flatten(2).cpu(), inside_of(mean, mask)
        good = torch.ones_like(scores, dtype=torch.bool)
        if inside is not None:
            good = good & inside.flatten(2).cpu()
        kept = good.any(2).all(1)
        scores = torch.where(good, scores, torch.inf)[kept].sort(2).values  # points outside come last
        self.count += len(scores)
        sizes = good[kept].sum(2)
        if self.points is not None:
            # A product such as 0.95 · 20, rounded up, must not ask for one point more.
            places = (sizes * self.points - 1e-9).ceil().long().clamp(min=1) - 1
            self._scores.append(scores.gather(2, places[..., None])[..., 0])
            return
        factors, sizes = _FACTORS.expand(*scores.shape[:2], -1).contiguous(), sizes[..., None]
        held = torch.searchsorted(scores.double(), factors, right=True)
        outside = 1 - held / sizes
        total = outside.sum(0)
        self._outside = total if self._outside is None else self._outside + total

    def finish(self) -> Band:
        """Return the calibrated band.

        Raises:
            InputError: there are too few samples for this coverage.
        """
        needed = math.ceil(round(1 / (1 - self.coverage), 9)) - 1
        if self.count < needed:
            best = self.count / (self.count + 1)
            raise InputError(
                f"a coverage of {self.coverage:g} needs at least {needed} held-out samples, there are {self.count}; "
                f"ask for at most {math.floor(1000 * best) / 1000:g}, or hold out more",
                ("coverage",),
            )
        factors = self._of_points() if self.points is None else self._of_functions()
        floor = self.floor * (len(factors) if len(self.floor) == 1 else 1)
        return Band(tuple(factors.tolist()), self.coverage, self.points, floor, self.count)

    def _of_functions(self) -> Tensor:
        rank = math.ceil(round((self.count + 1) * self.coverage, 9))
        return torch.cat(self._scores).sort(0).values[rank - 1]

    def _of_points(self) -> Tensor:
        risk = (self._outside + 1) / (self.count + 1)
        fits = risk <= 1 - self.coverage + 1e-12
        found = _FACTORS[fits.double().argmax(1)]
        return torch.where(fits.any(1), found, torch.inf)


def _scores(mean: Tensor, std: Tensor, reference: Tensor, floor: tuple[float, ...]) -> Tensor:
    """Return |u - mean| / (std + floor): 0 where both vanish; what is not finite is infinitely far off."""
    distance, width = (reference - mean).abs(), std + _column(floor, std)
    scores = torch.where(distance == 0, 0.0, distance / torch.where(distance == 0, 1.0, width))
    return torch.nan_to_num(scores, nan=torch.inf, posinf=torch.inf)


def _column(values: tuple[float, ...], like: Tensor) -> Tensor:
    return like.new_tensor(values).reshape(1, -1, *[1] * (like.ndim - 2))
