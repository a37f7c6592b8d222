"""Registers, spills and shared memory of every Triton kernel, compiled ahead of time: needs ptxas, but no GPU.

    python -m pdeml_kernels.report [--arch 90] [--precision tf32x3] [--modules triton_network] [--tuning] [--write]

compiles what ``example_plans`` of each module offers, with the default blocks or with all that tuning chooses from. A
kernel that spills goes through slow memory: the table says of each how many bytes. --write puts it into README.md.
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
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, get_args

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from pdeml_kernels.bench.tables import README, markdown, replace_between
from pdeml_kernels.triton_support import INTERPRETED, Blocks, Plan, Precision, Span

__all__ = ["Compiled", "Usage", "compiled", "main", "modules", "ptxas", "usages"]


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


_TYPES = {
    torch.float64: "fp64",
    torch.float32: "fp32",
    torch.float16: "fp16",
    torch.bfloat16: "bf16",
    torch.int32: "i32",
}


def modules() -> list[str]:
    """Return the names of the modules of kernels that offer plans to compile."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("triton_*.py"))
    return [name for name in names if hasattr(import_module(f"pdeml_kernels.{name}"), "example_plans")]


class Compiled(NamedTuple):
    """A kernel of a module, compiled."""

    module: str
    precision: str
    """Of float32 products; none where the kernel has no products of matrices."""
    usage: Usage


def usages(
    arch: int, dtype: torch.dtype, precisions: Sequence[Precision], tuning: bool, names: Sequence[str]
) -> Iterator[Compiled]:
    """Compile the kernels of modules.

    Args:
        arch: compute capability, times ten.
        dtype: of fields, points and parameters.
        precisions: of products of float32 numbers; others are formed in one way.
        tuning: whether to compile all blocks that tuning chooses from, and not only the default ones.
        names: of the modules.
    """
    precisions = precisions if dtype == torch.float32 else ["ieee" if dtype == torch.float64 else "tf32"]
    for module in names:
        example_plans = import_module(f"pdeml_kernels.{module}").example_plans
        for precision in precisions:
            for name, plan in example_plans(dtype, precision):
                product = "PRECISION" in plan.arguments
                if not product and precision != precisions[0]:
                    continue
                for blocks in plan.candidates if tuning else plan.candidates[:1]:
                    yield Compiled(module, precision if product else "", compiled(plan, blocks, name, arch))


HEADER = ("module", "kernel", "products", "blocks, stages", "warps", "registers", "bytes spilled", "KiB shared")


def _row(found: Compiled) -> tuple[str, ...]:
    usage = found.usage
    blocks = "x".join(map(str, usage.blocks[:-2])) + f", {usage.blocks.stages}"
    numbers = usage.blocks.warps, usage.registers, usage.spilled, f"{usage.shared / 1024:.3g}"
    how = f"{found.precision}, tensor cores" if usage.tensor_cores else found.precision or "–"
    return (found.module, usage.kernel, how, blocks, *map(str, numbers))


def main(arguments: list[str] | None = None) -> int:
    """Print the table, or a line of JSON for each kernel; return 1 if nothing can be compiled here."""
    parser = argparse.ArgumentParser(prog="python -m pdeml_kernels.report", description=__doc__.splitlines()[0])
    parser.add_argument("--arch", type=int, default=90, help="compute capability, 90 for an H200")
    parser.add_argument("--precision", nargs="+", choices=get_args(Precision), default=["tf32x3"])
    parser.add_argument("--dtype", choices=["float32", "float64", "bfloat16"], default="float32", help="of fields")
    parser.add_argument("--modules", nargs="+", choices=modules(), default=modules(), help="by default all")
    parser.add_argument("--tuning", action="store_true", help="also the blocks that tuning chooses from")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each kernel")
    parser.add_argument("--write", action="store_true", help="put the table into README.md of the kernels")
    given = parser.parse_args(arguments)
    if INTERPRETED or ptxas() is None:
        print("Nothing to compile with: TRITON_INTERPRET is set, or triton brings no ptxas.", file=sys.stderr)
        return 1
    form, rows = "{:<17}{:<45}{:<22}{:<15}{:>6}{:>11}{:>15}{:>12}", []
    if not given.json:
        print(form.format(*HEADER))
    for found in usages(given.arch, getattr(torch, given.dtype), given.precision, given.tuning, given.modules):
        if given.json:
            print(json.dumps({**found._asdict(), "usage": found.usage._asdict()}), flush=True)
            continue
        rows.append(_row(found))
        print(form.format(*rows[-1]), flush=True)
    if given.write:
        told = f"Compute capability {given.arch / 10}, triton {triton.__version__}, {given.dtype}."
        replace_between(README, "report", f"{told}\n\n{markdown(HEADER, rows, left=4)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
