"""Registers, spills and shared memory of every Triton kernel, compiled ahead of time: needs ptxas, but no GPU.

    python -m pdeml_kernels.report [--arch 90] [--precision tf32x3] [--tuning] [--json]

compiles the kernels of a Fourier layer in two dimensions, of B = 32, C = 64, n = 128², 32 modes and of small odd sizes,
with the default blocks or with all that tuning chooses from. A kernel that spills goes through slow memory: the table
says of each how many bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from pdeml_kernels.triton_products import gram_plan, padded, product_plan, transform_plan
from pdeml_kernels.triton_support import INTERPRETED, Blocks, Plan, Precision, Span, accumulator

__all__ = ["Usage", "compiled", "main", "plans", "ptxas"]


LARGE, ODD = (32, 64, 128, 32), (3, 5, 37, 7)
"""Numbers of samples, channels, points and modes."""


class Usage(NamedTuple):
    """What a compiled kernel takes of a multiprocessor."""

    kernel: str
    blocks: Blocks | Span
    registers: int
    spilled: int
    """Bytes that are stored to slow memory because registers ran out."""
    shared: int
    """Bytes of shared memory for each program."""
    tensor_cores: bool


def ptxas() -> Path | None:
    """Return the assembler that ships with triton, or none."""
    path = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "ptxas"
    return path if path.exists() else None


def compiled(plan: Plan, blocks: Blocks | Span, name: str, arch: int = 90) -> Usage:
    """Compile a kernel for a device that need not be there.

    Raises:
        RuntimeError: kernels are interpreted in this process, or there is no assembler.
    """
    assembler = ptxas()
    if INTERPRETED or assembler is None:
        raise RuntimeError("kernels are compiled where TRITON_INTERPRET is not set and triton brings ptxas")
    signature, constants, attributes = _signature(plan, blocks)
    source = ASTSource(plan.kernel, signature, constants, attributes)
    options = {"num_warps": blocks.warps, "num_stages": blocks.stages}
    binary = triton.compile(source, target=GPUTarget("cuda", arch, 32), options=options)
    ptx = binary.asm["ptx"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.ptx"
        path.write_text(ptx)
        target = re.search(r"\.target (\w+)", ptx).group(1)
        command = [assembler, "-v", f"--gpu-name={target}", path, "-o", os.devnull]
        log = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    registers, spilled = (
        int(re.search(rf"(\d+) {what}", log).group(1)) for what in ("registers", "bytes spill stores")
    )
    return Usage(name, blocks, registers, spilled, binary.metadata.shared, "mma" in ptx)


def _signature(
    plan: Plan, blocks: Blocks | Span
) -> tuple[dict[str, str], dict[tuple[int], Any], dict[tuple[int], Any]]:
    """Return types, constants and known divisors of the arguments, as a launch finds them from aligned tensors."""
    values = {**plan.arguments, **blocks.meta()}
    signature, constants, attributes = {}, {}, {}
    for place, parameter in enumerate(plan.kernel.params):
        value = values[parameter.name]
        if isinstance(value, Tensor):
            signature[parameter.name] = f"*{_TYPES[value.dtype]}"
        elif parameter.is_constexpr or value is None or value == 1:
            signature[parameter.name] = "constexpr"
            constants[(place,)] = value
            continue
        else:
            signature[parameter.name] = "i32" if value < 2**31 else "i64"
        if isinstance(value, Tensor) or value % 16 == 0:
            attributes[(place,)] = [["tt.divisibility", 16]]
    return signature, constants, attributes


_TYPES = {torch.float64: "fp64", torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}


def plans(
    batch: int, channels: int, n: int, modes: int, dtype: torch.dtype, precision: Precision, last: bool
) -> Iterator[tuple[str, Plan]]:
    """Return the plans of a Fourier layer in two dimensions, forward and backward.

    Args:
        batch: B.
        channels: C.
        n: points along both axes.
        modes: of each axis in total.
        dtype: of fields and weights.
        precision: of products.
        last: whether the channels of the fields stand last in memory.
    """

    def empty(*shape: int, kind: torch.dtype | None = None) -> Tensor:
        return torch.empty(shape, dtype=kind or accumulator(dtype), device="meta")

    def matrix(rows: int, columns: int) -> Tensor:
        return padded(empty(rows, columns))[:rows, :columns]

    kept, count = modes // 2 + 1, modes * (modes // 2 + 1)
    field = empty(batch, channels, n, n, kind=dtype)
    steps = (n * n * channels, n * channels, channels, 1) if last else (n * n * channels, n, 1, n * n)
    lines, pairs = empty(batch, n, 2 * kept, channels), (n * 2 * kept * channels, 2 * kept * channels, channels, 1)
    basis, shape = matrix(n, 2 * kept), (batch, n, channels)
    yield "last axis, forward", transform_plan(field, steps, basis.T, lines, pairs, shape, precision)
    rest = kept * channels
    found, leading = empty(batch, 2 * modes, rest), matrix(2 * modes, 2 * n)
    there, back, columns = (2 * n * rest, 0, rest, 1), (2 * modes * rest, 0, rest, 1), (batch, 1, rest)
    yield "leading axis, forward", transform_plan(lines, there, leading, found, back, columns, precision)
    yield "leading axis, inverse", transform_plan(found, back, leading.T, lines, there, columns, precision)
    more = {"v": field, "v_steps": steps, "skip": empty(channels, channels, kind=dtype), "bias": field[0, :, 0, 0]}
    inverse = lines, pairs, basis, field, steps, shape, precision
    yield "last axis, inverse", transform_plan(*inverse)
    yield "last axis, inverse + skip + GELU", transform_plan(*inverse, **more, activation="gelu")
    yield "the same, slope of GELU", transform_plan(*inverse, **more, grad=field, activation="slope")
    modes_first = empty(batch, 2, count, channels).permute(2, 1, 0, 3)
    weight = empty(count, channels, 2, channels, kind=dtype).permute(0, 2, 1, 3)
    yield "channels by weights", product_plan(modes_first, weight, modes_first, "none", precision)
    yield "its gradient", product_plan(modes_first, weight.mT, modes_first, "second", precision)
    yield "gradient of weights", product_plan(modes_first.mT, modes_first, weight, "first", precision)
    point, parts = (steps[0], channels if last else 1, steps[3]), n * n // 512
    sums = empty(batch * parts, channels, channels)
    yield "gradient of skip", gram_plan(field, point, field, point, sums, n * n, 512, precision)


def usages(arch: int, precisions: Sequence[str], tuning: bool) -> Iterator[tuple[str, Usage]]:
    """Compile everything; return what each set-up is, with the usage.

    Args:
        arch: compute capability, times ten.
        precisions: which to compile.
        tuning: whether to compile all blocks that tuning chooses from, and not only the default ones.
    """
    single, brain, half = torch.float32, torch.bfloat16, torch.float16
    set_ups = [(size, single, precision, True) for precision in precisions for size in (LARGE, ODD)]
    set_ups += [(LARGE, brain, "tf32", True), (LARGE, half, "tf32", False)] if "tf32" in precisions else []
    for size, dtype, precision, last in set_ups:
        title = f"{str(dtype).removeprefix('torch.')} {precision}, {'64' if size is LARGE else 'odd'} channels"
        title += " last" if last else " first"
        for name, plan in plans(*size, dtype, precision, last):
            for blocks in plan.candidates if tuning else plan.candidates[:1]:
                yield title, compiled(plan, blocks, name, arch)


def main(arguments: list[str] | None = None) -> int:
    """Print the table, or a line of JSON for each kernel; return 1 if nothing can be compiled here."""
    parser = argparse.ArgumentParser(prog="python -m pdeml_kernels.report", description=__doc__.splitlines()[0])
    parser.add_argument("--arch", type=int, default=90, help="compute capability, 90 for an H200")
    parser.add_argument("--precision", nargs="+", choices=get_args(Precision), default=get_args(Precision))
    parser.add_argument("--tuning", action="store_true", help="also the blocks that tuning chooses from")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each kernel")
    given = parser.parse_args(arguments)
    if INTERPRETED or ptxas() is None:
        print("Nothing to compile with: TRITON_INTERPRET is set, or triton brings no ptxas.", file=sys.stderr)
        return 1
    row = "{:<36}{:<34}{:<16}{:>6}{:>10}{:>8}{:>8}{:>5}"
    if not given.json:
        print(row.format("set-up", "kernel", "blocks", "warps", "registers", "spilled", "shared", "mma"))
    for title, usage in usages(given.arch, given.precision, given.tuning):
        if given.json:
            print(json.dumps({"set-up": title, **usage._asdict()}), flush=True)
            continue
        blocks = "x".join(map(str, usage.blocks[:-2])) + f" /{usage.blocks.stages}"
        numbers = usage.registers, usage.spilled, usage.shared, "yes" if usage.tensor_cores else "no"
        print(row.format(title, usage.kernel, blocks, usage.blocks.warps, *numbers), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
