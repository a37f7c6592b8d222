"""Which is faster on a device, a kernel or its twin: measured on the tensors at hand, once, and kept in a file.

A kernel wins if it gives what the twin gives, up to `tolerance`, in less time. One that fails or disagrees loses, with
a warning, until the process ends. Nothing is measured on other devices than CUDA ones, with ``PDEML_TUNE=0``, while a
CUDA graph is captured, or while a compiler traces: what is not known then is the twin's. What is known is kept beside
the tuned blocks, for each kind of device and version of triton.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

__all__ = ["Contested", "bucket", "outcome", "tolerance", "with_gradients"]

Outputs = Tensor | Sequence[Tensor]


_LOST: set[tuple] = set()
"""Kernels that failed or disagreed in this process."""


def tolerance(dtype: torch.dtype) -> float:
    """Return how far a kernel may be from its twin, by the largest difference over the largest value of a tensor.

    Both round, each in its own order; this is to find a kernel that is wrong.
    """
    return {torch.float64: 1e-10, torch.float32: 1e-3}.get(dtype, 5e-2)


def _times(
    name: str, key: tuple, kernel: Callable[[], Outputs], twin: Callable[[], Outputs], device: torch.device
) -> tuple[int, int] | None:
    """Return the nanoseconds of a kernel and of its twin; none if they are not known, or the kernel is not sound.

    Args:
        name: of the operator.
        key: what the times depend on, plain values; see `bucket`.
        kernel: computes by Triton what is measured: values, or values and gradients; see `with_gradients`.
        twin: computes the same by torch.
        device: where.
    """
    place = (device, name, key)
    if device.type != "cuda" or torch.compiler.is_compiling() or place in _LOST:
        return None
    from pdeml_kernels.triton_support import milliseconds, remembered, traced

    if traced():
        return None

    def measure() -> tuple[int, int] | None:
        # In lower precision than the kernels', a twin would give other numbers.
        with torch.cuda.device(device), torch.autocast(device.type, enabled=False):
            try:
                fault = _fault(kernel, twin)
                if fault is None:
                    return tuple(round(1e6 * milliseconds(run)) for run in (kernel, twin))
            except torch.OutOfMemoryError:
                fault = "cannot be measured beside it: there is not enough memory"
        _LOST.add(place)
        warnings.warn(f"{name} is computed by torch: the Triton kernel {fault}", RuntimeWarning, stacklevel=2)
        return None

    return remembered(("contest", name, *key), device, None if _busy(device) else measure)


def _busy(device: torch.device) -> bool:
    """Say whether nothing can be measured now, though later it can."""
    if device.type != "cuda":
        return False
    from pdeml_kernels.triton_support import traced

    return traced() or torch.cuda.is_current_stream_capturing()


def _fault(kernel: Callable[[], Outputs], twin: Callable[[], Outputs]) -> str | None:
    """Say what is wrong with what a kernel gives."""
    expected = [value.detach() for value in _as_tuple(twin())]
    try:
        found = [value.detach() for value in _as_tuple(kernel())]
        scale = max((float(value.abs().max()) for value in expected if value.numel()), default=0.0)
        for mine, theirs in zip(found, expected, strict=True):
            if theirs.numel() == 0:
                continue
            allowed = tolerance(theirs.dtype) * float(theirs.abs().max()) + 64 * torch.finfo(theirs.dtype).eps * scale
            error = float((mine - theirs).abs().max())
            if not error <= allowed:
                return f"differs by {error:.1e}, more than {allowed:.1e}, in a tensor of shape {tuple(theirs.shape)}"
    # Whatever a compiler, a driver or a launch raises: the twin takes over.
    except Exception as error:
        return f"failed, {type(error).__name__}: {str(error).strip():.200}"
    return None


def _as_tuple(found: Outputs) -> tuple[Tensor, ...]:
    return (found,) if isinstance(found, Tensor) else tuple(found)


def bucket(arguments: Iterable[Any]) -> tuple:
    """Return what the times of a call depend on: tensors by their types and, as powers of two, their sizes."""
    return tuple(_bucketed(value) for value in arguments)


def _bucketed(value: Any) -> Any:
    if isinstance(value, Tensor):
        sizes = "x".join(str(size.bit_length()) for size in value.shape)
        told = ["" if value.is_contiguous() else ", strided", ", with gradient" if value.requires_grad else ""]
        return f"{str(value.dtype).removeprefix('torch.')} {sizes}{''.join(told)}"
    if isinstance(value, int) and not isinstance(value, bool):
        return value.bit_length()
    found = bucket(value) if isinstance(value, list | tuple) else value
    text = str(found)
    return found if len(text) <= 200 else sha256(text.encode()).hexdigest()[:12]


def with_gradients(run: Callable[..., Outputs], given: Sequence[Any]) -> Callable[[], tuple[Tensor, ...]]:
    """Return a function that calls ``run`` on the arguments and differentiates what it gives.

    It returns the outputs and the gradients with respect to the tensors that require one, along a random direction
    that is the same at each call; where no output has a gradient, the outputs alone.
    """
    own = tree_map_only(Tensor, lambda value: value.detach().requires_grad_(value.requires_grad), list(given))
    leaves = [value for value in tree_leaves(own) if isinstance(value, Tensor) and value.requires_grad]
    directions: list[Tensor] = []

    def step() -> tuple[Tensor, ...]:
        with torch.enable_grad():
            found = _as_tuple(run(*own))
        tracked = [value for value in found if value.requires_grad]
        if not tracked:
            return found
        if not directions:
            generator = torch.Generator(tracked[0].device).manual_seed(0)
            directions.extend(torch.empty_like(value).normal_(generator=generator) for value in tracked)
        gradients = torch.autograd.grad(tracked, leaves, directions, allow_unused=True, materialize_grads=True)
        return (*(value.detach() for value in found), *gradients)

    return step


class Contested:
    """An operator that is computed by a kernel for shapes for which it is faster than its twin, and else by that.

    The first call with such shapes measures both, with the gradients that the arguments require. Compiled programs
    take the twin, out of which their compiler makes kernels of its own.

    Args:
        name: under which the times are kept.
        kernel: the operator by Triton.
        twin: the same by torch.
        measured: makes of one of them and the arguments the function that is measured.
    """

    def __init__(
        self,
        name: str,
        kernel: Callable[..., Any],
        twin: Callable[..., Any],
        measured: Callable[[Callable, Sequence[Any]], Callable[[], Outputs]] = with_gradients,
    ):
        self.name, self.kernel, self.twin, self.measured = name, kernel, twin, measured
        self.times: dict[tuple, tuple[int, int] | None] = {}
        """By the shapes the nanoseconds of the kernel and the twin, or none where the twin runs unmeasured."""

    def __call__(self, *given: Any) -> Any:
        """Compute by whichever is faster."""
        if torch.compiler.is_compiling():
            return self.twin(*given)
        case = (torch.is_grad_enabled(), *map(_case, given))
        times = self.times[case] if case in self.times else self._contest(case, given)
        return (self.twin if times is None or times[1] <= times[0] else self.kernel)(*given)

    def _contest(self, case: tuple, given: Sequence[Any]) -> tuple[int, int] | None:
        if not torch.is_grad_enabled():
            given = tree_map_only(Tensor, Tensor.detach, list(given))
        device = next(value.device for value in tree_leaves(given) if isinstance(value, Tensor))
        steps = (self.measured(run, given) for run in (self.kernel, self.twin))
        times = _times(self.name, bucket(given), *steps, device)
        if times is not None or not _busy(device):
            self.times[case] = times
        return times


def _case(value: Any) -> Any:
    """Return what tells one call from another: exact sizes, which take less time than those of `bucket`."""
    if isinstance(value, Tensor):
        return value.shape, value.dtype, value.requires_grad, value.is_contiguous()
    return tuple(map(_case, value)) if isinstance(value, list | tuple) else value


def outcome(note: str, operators: Iterable[Callable]) -> str:
    """Return a note on operators with a few words on how the kernels of those that are contested did until now."""
    contested = [operator for operator in operators if isinstance(operator, Contested)]
    found = [times for operator in contested for times in operator.times.values()]
    if not found:
        return note
    ratios = sorted(times[1] / times[0] for times in found if times is not None and times[0] < times[1])
    told = f"{note}: triton in {len(ratios)} of {len(found)} cases"
    return f"{told}, {ratios[0]:.1f} to {ratios[-1]:.1f} times as fast as torch" if ratios else told
