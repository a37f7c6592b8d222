"""Metrics of operators over many samples, as benchmarks define them, from one pass that keeps numbers only.

Shapes: B (samples of a batch), C (channels), T (frames of time; 1 without time), n (points along the axes of space).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pdeml.linalg.norms import Grid, inside_of, only_inside, relative_error, root
from pdeml.linalg.spectrum import Spectrum

__all__ = ["QUANTILES", "Scores", "frame_moments"]

SUMMARISED = ("relative_l2", "h1", "max")
QUANTILES = {"median": 0.5, "q90": 0.9, "q95": 0.95}
WELL_EPSILON = 1e-7
BANDS = {"low": (0, 4), "mid": (4, 12), "high": (12, None)}
"""Wave numbers of the bands of fRMSE, the last one excluded."""


class Scores:
    """Errors over samples that come batch by batch; of each sample three numbers a channel are kept.

    - ``relative_l2``, ``h1``, ``max``: of each sample over all its points, time included (see `relative_error`, and the
      largest absolute error); mean, quantiles and worst over the samples.
    - PDEBench, of each frame over space: ``rmse``, ``nrmse`` = rmse / sqrt(mean of y²), ``crmse`` = root mean square
      over samples of the error of the mean over space (what a conserved quantity loses), ``brmse`` = rmse over the
      faces of the box, ``frmse_low``, ``frmse_mid``, ``frmse_high`` = root mean square over samples of the Fourier
      coefficients of the error (1/N Σ e exp(-2πi m·j/n), non-negative m), summed over shells floor(|m|) = 0, 1, ...
      and averaged over the shells [0, 4), [4, 12), [12, n/2). All averaged over samples and frames; ``max`` is the
      largest of all.
    - The Well, of each frame over space: ``well_nrmse`` = sqrt(mean e² / (mean y² + 1e-7)) and ``vrmse`` = sqrt(mean e²
      / (mean (y - ȳ)² + 1e-7)), averaged over samples and frames.
    - CFDBench, over all points of all samples: ``mse``, ``mae``, ``nmse`` = Σ e² / Σ y².
    - ``baseline`` (mean relative L2) and ``baseline_nmse``: the same of a trivial prediction, such as the last frame
      given (CFDBench's identity).
    - ``spectrum``: energy of reference and error by wave number (`Spectrum`), averaged over samples and frames, where
      the axes of space are equally spaced.

    Points outside a mask are left out; where a reference vanishes, relative errors are absolute.

    Args:
        names: of the channels.
        grid: of the arrays.
        time: which axis of the grid is the time.

    References: Takamoto et al., PDEBench, NeurIPS 2022; Ohana et al., The Well, NeurIPS 2024; Luo et al., CFDBench,
        2023.
    """

    def __init__(self, names: Sequence[str], grid: Grid, time: int | None = None):
        self.names, self.grid = tuple(names), grid
        self.time = time if len(grid.axes) > 1 else None  # along time alone, frames are the points
        self.count = 0
        self.worst: int | None = None
        """The sample with the largest relative L2 error, averaged over the channels."""
        spaced = [axis for axis in range(len(grid.axes)) if axis != self.time]
        space = Grid(tuple(grid.axes[axis] for axis in spaced), tuple(grid.periods[axis] for axis in spaced))
        self.spectrum = Spectrum(space) if space.equally_spaced else None
        self._largest = -math.inf
        self._rows: dict[str, list[Tensor]] = {}
        self._sums: dict[str, Tensor] = {}

    def add(
        self,
        found: Tensor,
        reference: Tensor,
        mask: Tensor | None = None,
        *,
        baseline: Tensor | None = None,
        numbers: Sequence[int] | None = None,
    ) -> Tensor:
        """Count a batch.

        Args:
            found: (B, C, *n), time among the axes where there is one.
            reference: of the same shape.
            mask: points that count; see `squared_norm`.
            baseline: what broadcasts to (B, C, *n): a trivial prediction. For all batches or none.
            numbers: of the samples; default: in the order they come.

        Returns: (B,) the relative L2 error of each sample, averaged over the channels.
        """
        found, reference = found.detach().double(), reference.detach().double()
        inside = inside_of(found, mask)
        self._keep("relative_l2", relative_error(found, reference, self.grid, 0.0, mask))
        self._keep("h1", relative_error(found, reference, self.grid, 1.0, mask))
        error, reference = only_inside(found - reference, inside), only_inside(reference, inside)
        self._keep("max", error.abs().amax(tuple(range(2, error.ndim))))
        moments = frame_moments(*(self._frames(part) for part in (error, reference)), self._frames(inside))
        if baseline is not None:
            trivial = baseline.double().expand_as(reference)
            self._keep("baseline", relative_error(trivial, reference, self.grid, 0.0, mask))
            change = self._frames(only_inside(trivial - reference, inside))
            moments["baseline_mse"] = _mean(change.square(), self._frames(inside))
        if self.spectrum is not None:
            for name, part in (("reference", reference), ("error", error)):
                frames = self._frames(part).transpose(1, 2)
                moments[f"spectrum_{name}"] = (
                    self.spectrum(frames.flatten(0, 1)).unflatten(0, frames.shape[:2]).transpose(1, 2)
                )
        for name, part in moments.items():
            total = part.sum(0).cpu()
            self._sums[name] = self._sums[name] + total if name in self._sums else total
        errors = self._rows["relative_l2"][-1].mean(1)
        self._note_worst(errors, numbers)
        self.count += len(errors)
        return errors

    def rows(self, name: str) -> Tensor:
        """Return (samples, C): ``relative_l2``, ``h1``, ``max`` or ``baseline`` of every sample."""
        return torch.cat(self._rows[name]) if name in self._rows else torch.zeros(0, len(self.names))

    def over_time(self) -> dict[str, Tensor]:
        """Return (C, T) the errors of each frame, averaged over samples: ``nrmse`` and ``vrmse``."""
        return {name: self._sums[name] / self.count for name in ("nrmse", "vrmse")}

    def to_plain(self) -> dict[str, Any]:
        """Return channel -> metric -> number, for JSON; a number that does not exist is None."""
        result: dict[str, Any] = {"samples": self.count, "worst": self.worst, "outputs": {}}
        if not self.count:
            return result
        metrics = self._metrics()
        for channel, name in enumerate(self.names):
            own: dict[str, Any] = {key: _summary(self.rows(key)[:, channel]) for key in SUMMARISED}
            if "baseline" in self._rows:
                own["baseline"] = _plain(self.rows("baseline")[:, channel].mean())
            own["metrics"] = {key: _plain(part[channel]) for key, part in metrics.items()}
            if self.spectrum is not None:
                own["spectrum"] = self._energies(channel)
            if self.time is not None:
                own["over_time"] = {"times": self.grid.points[self.time].tolist()}
                own["over_time"] |= {key: _list(part[channel]) for key, part in self.over_time().items()}
            result["outputs"][name] = own
        return result

    def _energies(self, channel: int) -> dict[str, list]:
        """Return the energies in the shells that every axis resolves."""
        kept = self.spectrum.resolved
        mean = {
            key: self._sums[f"spectrum_{key}"][channel].mean(0)[:kept] / self.count for key in ("reference", "error")
        }
        return {"k": self.spectrum.wave_numbers[:kept].tolist(), **{key: _list(part) for key, part in mean.items()}}

    def _metrics(self) -> dict[str, Tensor]:
        """Return metric -> (C,) value."""
        mean = {name: total / self.count for name, total in self._sums.items()}
        simple = {name: mean[name].mean(1) for name in ("rmse", "nrmse")}
        simple["crmse"] = mean["bias"].sqrt().mean(1)
        simple["brmse"] = mean["brmse"].mean(1)
        amplitudes = mean["shells"].sqrt()
        for name, (low, high) in BANDS.items():
            simple[f"frmse_{name}"] = amplitudes[..., low:high].mean((1, 2))
        simple |= {name: mean[name].mean(1) for name in ("well_nrmse", "vrmse", "mse", "mae")}
        size = mean["size"].mean(1)
        simple["nmse"] = simple["mse"] / size
        if "baseline_mse" in mean:
            simple["baseline_nmse"] = mean["baseline_mse"].mean(1) / size
        return simple

    def _frames(self, values: Tensor | None) -> Tensor | None:
        """Bring (B, C, *n) to (B, C, T, *n of space)."""
        if values is None:
            return None
        return values[:, :, None] if self.time is None else values.movedim(2 + self.time, 2)

    def _keep(self, name: str, rows: Tensor) -> None:
        self._rows.setdefault(name, []).append(rows.cpu())

    def _note_worst(self, errors: Tensor, numbers: Sequence[int] | None) -> None:
        # What is not finite is worse than anything.
        largest, row = torch.nan_to_num(errors, nan=math.inf).max(0)
        if float(largest) > self._largest:
            self._largest = float(largest)
            self.worst = self.count + int(row) if numbers is None else int(numbers[int(row)])


def frame_moments(error: Tensor, reference: Tensor, inside: Tensor | None = None) -> dict[str, Tensor]:
    """Return what the metrics of `Scores` are sums of.

    Args:
        error: (B, C, T, *n), zero outside.
        reference: of the same shape, zero outside.
        inside: (B or 1, 1, T, *n) points that count; None: all.

    Returns: name -> (B, C, T); ``shells``: (B, C, T, K).
    """
    squares, size = _mean(error.square(), inside), _mean(reference.square(), inside)
    mean = _mean(reference, inside)
    around = reference - mean.reshape(*mean.shape, *[1] * (reference.ndim - 3))
    variance = _mean(only_inside(around, inside).square(), inside)
    return {
        "rmse": squares.sqrt(),
        "nrmse": (squares / torch.where(size > 0, size, 1.0)).sqrt(),
        "bias": _mean(error, inside).square(),
        "brmse": root(_faces(error, inside)),
        "shells": _shells(error),
        "well_nrmse": (squares / (size + WELL_EPSILON)).sqrt(),
        "vrmse": (squares / (variance + WELL_EPSILON)).sqrt(),
        "mse": squares,
        "mae": _mean(error.abs(), inside),
        "size": size,
    }


def _mean(values: Tensor, inside: Tensor | None) -> Tensor:
    """Average over space, (B, C, T, *n) -> (B, C, T)."""
    return _sum(values) / (math.prod(values.shape[3:]) if inside is None else _sum(inside).clamp(min=1))


def _sum(values: Tensor) -> Tensor:
    return values.sum(tuple(range(3, values.ndim))) if values.ndim > 3 else values


def _faces(error: Tensor, inside: Tensor | None) -> Tensor:
    """Return the mean square over all faces of the box, where edges count for each of their faces."""
    total, count = torch.zeros(()), torch.zeros(())
    for dim in range(3, error.ndim):
        for end in (0, -1):
            total = total + _sum(error.select(dim, end).square())
            counted = torch.ones_like(error[:1, :1]) if inside is None else inside
            count = count + _sum(counted.select(dim, end))
    return total / count.clamp(min=1)


def _shells(error: Tensor) -> Tensor:
    """Return (B, C, T, K): |Fourier coefficients|² summed over the non-negative wave numbers of each shell."""
    sizes = error.shape[3:]
    dims = tuple(range(3, error.ndim))
    # Along one axis the highest (Nyquist) mode is a shell of its own.
    tops = [size // 2 + (len(sizes) == 1) for size in sizes]
    modes = torch.fft.rfftn(error, dim=dims, norm="forward")
    for dim, top in zip(dims, tops, strict=True):
        modes = modes.narrow(dim, 0, max(top, 1))
    numbers = torch.meshgrid(*(torch.arange(size, dtype=torch.float64) for size in modes.shape[3:]), indexing="ij")
    shells = torch.stack(numbers).square().sum(0).sqrt().long().flatten()
    kept = (shells < max(min(tops), 1)).nonzero()[:, 0]
    energy = torch.view_as_real(modes).square().sum(-1).flatten(3)
    found = energy.new_zeros(*energy.shape[:3], max(min(tops), 1))
    return found.index_add_(3, shells[kept].to(energy.device), energy[..., kept.to(energy.device)])


def _summary(values: Tensor) -> dict[str, float | None]:
    found = {"mean": values.mean(), "worst": values.max()}
    found |= {name: values.quantile(level) for name, level in QUANTILES.items()}
    return {name: _plain(part) for name, part in found.items()}


def _plain(value: Tensor) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _list(values: Tensor) -> list[float | None]:
    return [_plain(value) for value in values]
