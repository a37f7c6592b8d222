"""What every Triton kernel here needs: plans of launches, their registration with torch, tuned block sizes.

A plan is a kernel with its grid and arguments. It is launched (compiled on a CUDA device, or interpreted on the CPU
with ``TRITON_INTERPRET=1``, which must be set before triton is imported), measured to choose block sizes, or compiled
ahead of time to see its registers: `pdeml_kernels.report`.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import torch
import triton
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
    "operator",
    "power",
    "precision_of",
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
    register = torch.library.custom_op if INTERPRETED else torch.library.triton_op
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
        return "tf32" if dtype in (torch.float16, torch.bfloat16) else "tf32x3"
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
    """Return the blocks that were fastest for such a plan on such a device, the first candidates until then.

    They are measured once (never with ``PDEML_TUNE=0``) and kept in a file for each kind of device and version of
    triton, in ``PDEML_TUNE_FOLDER``, by default ``~/.cache/pdeml/kernels``.
    """
    if len(plan.candidates) == 1 or device.type != "cuda" or not torch.cuda.is_available():
        return plan.candidates[0]
    table, key = _table(device), (plan.kernel.__name__, *plan.key)
    found = table.get(key)
    if found is None:
        path = table_path(torch.cuda.get_device_name(device))
        text = " ".join(map(str, key))
        found = read_table(path).get(text)
        if found is None and os.environ.get("PDEML_TUNE") == "0":
            found = plan.candidates[0]
        elif found is None and measure:
            found = fastest(plan)
            write_table(path, {text: found})
        if found is not None:
            table[key] = found
    # A table of another version of this file may name blocks that are no candidates any more.
    return next((blocks for blocks in plan.candidates if blocks == found), plan.candidates[0])


@lru_cache(maxsize=64)
def _table(device: torch.device) -> dict[tuple, tuple[int, ...]]:
    """Return what is known in this process; it grows."""
    return {}


def fastest(plan: Plan) -> Blocks | Span:
    """Measure all candidates; one that does not fit on the device counts as never finished."""

    def seconds(blocks: Blocks | Span) -> float:
        try:
            return triton.testing.do_bench(lambda: _run(plan, blocks), warmup=5, rep=20, return_mode="median")
        except triton.runtime.errors.OutOfResources:
            return float("inf")

    return min(plan.candidates, key=seconds)


def table_path(device: str) -> Path:
    """Return the file of tuned blocks of a kind of device."""
    folder = os.environ.get("PDEML_TUNE_FOLDER")
    place = Path(folder) if folder else Path.home() / ".cache" / "pdeml" / "kernels"
    return place / f"{device} triton {triton.__version__}.json".replace(" ", "-").replace("/", "-")


def read_table(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the tuned blocks of a file; of one that is missing or broken none."""
    try:
        return {key: tuple(map(int, blocks)) for key, blocks in json.loads(path.read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def write_table(path: Path, new: dict[str, tuple[int, ...]]) -> None:
    """Add tuned blocks to a file, whole or not at all; where nothing can be written, they are found again next time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({**read_table(path), **new}, indent=1, sort_keys=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            file.write(text)
        Path(file.name).replace(path)
    except OSError:
        return
