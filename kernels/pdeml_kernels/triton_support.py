"""What every Triton kernel here needs: plans of launches, their registration with torch, tuned block sizes.

A plan is a kernel with its grid and arguments. It is launched (compiled on a CUDA device, or interpreted on the CPU
with ``TRITON_INTERPRET=1``, which must be set before triton is imported), measured to choose block sizes, or compiled
ahead of time to see its registers: `pdeml_kernels.report`.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import torch
import triton
import triton.language as tl
from torch import Tensor

__all__ = [
    "INTERPRETED",
    "Blocks",
    "Plan",
    "Precision",
    "Span",
    "accumulator",
    "check_device",
    "launch",
    "milliseconds",
    "operator",
    "power",
    "precision_of",
    "remembered",
    "store_sums",
    "traced",
    "tuned",
]

Precision = Literal["ieee", "tf32x3", "tf32"]

INTERPRETED: bool = triton.knobs.runtime.interpret
"""Whether kernels are interpreted: decided when they are decorated."""


class Blocks(NamedTuple):
    """Sizes of the blocks of a product of matrices (M, K) and (K, N), and how a program runs."""

    m: int
    n: int
    k: int
    warps: int = 4
    stages: int = 3

    def meta(self) -> dict[str, int]:
        """Return the arguments of a launch."""
        sizes = {"BLOCK_M": self.m, "BLOCK_N": self.n, "BLOCK_K": self.k}
        return {**sizes, "num_warps": self.warps, "num_stages": self.stages}


class Span(NamedTuple):
    """Number of points, or entries, that a program works on, and how it runs."""

    size: int
    warps: int = 4
    stages: int = 2

    def meta(self) -> dict[str, int]:
        """Return the arguments of a launch."""
        return {"BLOCK": self.size, "num_warps": self.warps, "num_stages": self.stages}


class Plan(NamedTuple):
    """A kernel, its arguments by name, and as a function of the blocks how many programs run.

    ``key`` names what the best blocks depend on, ``candidates`` are the blocks to choose from, all of one kind, the
    default first.
    """

    kernel: Any
    arguments: dict[str, Any]
    programs: Callable[[Any], int]
    key: tuple
    candidates: Sequence[Blocks] | Sequence[Span]


def operator(name: str) -> Callable:
    """Register a function that launches kernels as ``pdeml_kernels::name``, with the names of its annotations.

    Compilers see into it where the kernels are compiled; they cannot trace interpreted ones.
    """
    # As triton does to the kernels of the module that is being imported, whatever INTERPRETED is by then.
    register = torch.library.custom_op if triton.knobs.runtime.interpret else torch.library.triton_op
    return register(f"pdeml_kernels::{name}", mutates_args=())


def traced() -> bool:
    """Say whether a compiler traces what runs, so that nothing may be measured and no cached tensor used."""
    return torch._C._len_torch_dispatch_stack() > 0


def accumulator(dtype: torch.dtype) -> torch.dtype:
    """Return the type of sums and coefficients: float64 for float64, float32 otherwise."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def precision_of(wanted: Precision | None, dtype: torch.dtype) -> Precision:
    """Return how products are formed; by default to about the rounding of the type.

    Raises:
        ValueError: no such precision.
    """
    if wanted is None:
        return {torch.float64: "ieee", torch.float32: "tf32x3"}.get(dtype, "tf32")
    if wanted not in get_args(Precision):
        raise ValueError(f"precision must be one of {', '.join(get_args(Precision))}, not {wanted!r}")
    return wanted


def check_device(x: Tensor) -> None:
    """Refuse a tensor that no kernel can read.

    Raises:
        ValueError: neither on a CUDA device nor interpreted.
    """
    if not (x.is_cuda or INTERPRETED):
        raise ValueError(
            f"Triton kernels run on a CUDA device, not on {x.device.type}; "
            "TRITON_INTERPRET=1, set before the start, interprets them on the CPU"
        )


def power(count: int, least: int = 16, most: int = 128) -> int:
    """Return the power of two that holds ``count``, within bounds."""
    return min(max(triton.next_power_of_2(max(count, 1)), least), most)


@triton.jit
def store_sums(sums, values, tile, points, WIDTH: tl.constexpr, CHUNK: tl.constexpr, BLOCK: tl.constexpr):
    """Store the sum of each chunk of a block of values, ``WIDTH`` numbers apart: whatever the block, the same sums."""
    own = tile * BLOCK + tl.arange(0, BLOCK)
    grouped = tl.reshape(tl.where(own < points, values, 0.0), (BLOCK // CHUNK, CHUNK))
    chunk = tile * (BLOCK // CHUNK) + tl.arange(0, BLOCK // CHUNK)
    tl.store(sums + chunk * WIDTH, tl.sum(grouped, 1), mask=chunk * CHUNK < points)


def launch(plan: Plan) -> None:
    """Run a plan with the blocks that are best for it, as far as they are known."""
    device = next(value for value in plan.arguments.values() if isinstance(value, Tensor)).device
    if INTERPRETED or traced():
        _run(plan, plan.candidates[0] if INTERPRETED else tuned(plan, device, measure=False))
        return
    with torch.cuda.device(device):
        _run(plan, tuned(plan, device, measure=not torch.cuda.is_current_stream_capturing()))


def _run(plan: Plan, blocks: Blocks | Span) -> None:
    programs = plan.programs(blocks)
    if programs == 0:
        return
    kernel = plan.kernel if INTERPRETED else torch.library.wrap_triton(plan.kernel)
    meta = blocks.meta()
    if INTERPRETED:
        meta = {name: value for name, value in meta.items() if name.isupper()}
    kernel[(programs,)](**plan.arguments, **meta)


def tuned(plan: Plan, device: torch.device, *, measure: bool) -> Blocks | Span:
    """Return the blocks that were fastest for such a plan on such a device, the first candidates until then."""
    if len(plan.candidates) == 1 or device.type != "cuda" or not torch.cuda.is_available():
        return plan.candidates[0]
    found = remembered((plan.kernel.__name__, *plan.key), device, partial(fastest, plan) if measure else None)
    # A table of another version of this file may name blocks that are no candidates any more.
    return next((blocks for blocks in plan.candidates if blocks == found), plan.candidates[0])


def remembered(
    key: tuple, device: torch.device, measure: Callable[[], tuple[int, ...] | None] | None
) -> tuple[int, ...] | None:
    """Return numbers that were measured on a device.

    They are measured once (never with ``PDEML_TUNE=0``) and kept in a file for each kind of device and version of
    triton, in ``PDEML_TUNE_FOLDER``, by default ``~/.cache/pdeml/kernels``.

    Args:
        key: what was measured.
        device: where.
        measure: finds the numbers; what it gives as none is not kept. None if nothing may be measured now.
    """
    table = _table(device)
    if key not in table:
        table[key] = read_table(_file(device)).get(" ".join(map(str, key)))
    if table[key] is None and measure is not None and os.environ.get("PDEML_TUNE") != "0":
        measured = measure()
        if measured is not None:
            table[key] = keep(_file(device), " ".join(map(str, key)), measured)
    return table[key]


def _file(device: torch.device) -> Path:
    return table_path(torch.cuda.get_device_name(device))


@lru_cache(maxsize=64)
def _table(device: torch.device) -> dict[tuple, tuple[int, ...] | None]:
    """Return what is known in this process, none where the file is known to say nothing; it grows."""
    return {}


def fastest(plan: Plan) -> Blocks | Span:
    """Measure all candidates; one that does not fit on the device counts as never finished."""

    def seconds(blocks: Blocks | Span) -> float:
        try:
            return milliseconds(lambda: _run(plan, blocks))
        except triton.runtime.errors.OutOfResources:
            return float("inf")

    return min(plan.candidates, key=seconds)


def milliseconds(run: Callable[[], Any]) -> float:
    """Return the median time of a call on the current device, by its events."""
    return triton.testing.do_bench(run, warmup=5, rep=20, return_mode="median")


def table_path(device: str) -> Path:
    """Return the file of what was measured on a kind of device."""
    folder = os.environ.get("PDEML_TUNE_FOLDER")
    place = Path(folder) if folder else Path.home() / ".cache" / "pdeml" / "kernels"
    return place / f"{device} triton {triton.__version__}.json".replace(" ", "-").replace("/", "-")


def read_table(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the numbers of a file; of one that is missing or broken none."""
    try:
        return {key: tuple(map(int, blocks)) for key, blocks in json.loads(path.read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def keep(path: Path, key: str, numbers: tuple[int, ...]) -> tuple[int, ...]:
    """Add numbers to a file, and return what it holds: what another process found first is left, so that all agree.

    Where nothing can be written, they are found again next time.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.parent):
            known = read_table(path)
            if key not in known:
                known[key] = tuple(numbers)
                new = path.with_suffix(".new")
                new.write_text(json.dumps(known, indent=1, sort_keys=True))
                new.replace(path)  # whole or not at all, for those that read meanwhile
        return known[key]
    except OSError:
        return numbers


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes from writing into a folder."""
    place = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(place, fcntl.LOCK_EX)
        yield
    finally:
        os.close(place)
