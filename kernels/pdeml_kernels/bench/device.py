"""What a device can do, measured: time and memory of a call, the ceilings of its memory and of its products."""

from __future__ import annotations

import gc
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.profiler import ProfilerActivity, profile

from pdeml_kernels.bench.case import Precision

__all__ = ["Ceilings", "ceilings", "name_of", "peak_bytes", "products_in", "seconds"]

Run = Callable[[int], Any]
"""A call with the inputs of this number."""


class Ceilings(NamedTuple):
    """What the device reaches at best: a copy, reads and writes counted, and products of square matrices."""

    bytes_per_second: float
    operations_per_second: dict[str, float]
    """For each precision; three products of tf32 make one of tf32x3."""

    def least_seconds(self, bytes_moved: float, operations: float, precision: Precision) -> float:
        """Return the time that traffic or products take at least, whichever is longer."""
        return max(bytes_moved / self.bytes_per_second, operations / self.operations_per_second[precision])

    def __str__(self) -> str:
        rates = ", ".join(f"{name} {1e-12 * rate:.3g}" for name, rate in self.operations_per_second.items())
        return f"copies at {1e-9 * self.bytes_per_second:.4g} GB/s; products of matrices at {rates} TFLOP/s"


def ceilings(device: torch.device, quick: bool = False) -> Ceilings:
    """Measure the ceilings of a device."""
    cuda = device.type == "cuda"
    count, size = (1 << 28, 8192) if cuda else (1 << 26, 1536)
    if quick:
        count, size = 1 << 16, 64
    pair = torch.ones(2, count, device=device)
    (copied,) = seconds([lambda _: pair[0].copy_(pair[1])], device, 0.5)
    pair = pair.new_empty(0)

    def rate(precision: Precision, dtype: torch.dtype) -> float:
        a = torch.randn(size, size, device=device).to(dtype)
        with products_in(precision):
            (taken,) = seconds([lambda _: a @ a], device, 0.5)
        return 2 * size**3 / taken

    rates = {"ieee": rate("ieee", torch.float32)}
    if cuda:
        rates["tf32"] = rate("tf32", torch.float32)
        rates["tf32x3"] = rates["tf32"] / 3
        rates["bfloat16"] = rate("bfloat16", torch.bfloat16)
    return Ceilings(8 * count / copied, rates)


@contextmanager
def products_in(precision: Precision) -> Iterator[None]:
    """Let torch form products of float32 numbers in tf32 where that is the precision, else in full."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def seconds(runs: Sequence[Run], device: torch.device, budget: float) -> list[float]:
    """Return the median time of each call, after some that are not counted; the budget is for each in seconds."""
    measure = _by_events if device.type == "cuda" else _by_the_clock
    return measure(runs, budget)


def _rounds(taken: float, budget: float, most: int) -> int:
    return int(min(max(budget / max(taken, 1e-9), 3), most))


def _by_the_clock(runs: Sequence[Run], budget: float) -> list[float]:
    """Measure calls on the CPU in turns, so that all meet the same noise."""

    def taken(run: Run, number: int) -> float:
        started = time.perf_counter()
        run(number)
        return time.perf_counter() - started

    for run in runs:
        run(0)
    first = max((taken(run, 1) for run in runs), default=0.0)
    rounds = range(_rounds(first, budget, 25))
    times = [[taken(run, number) for run in runs] for number in rounds]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def _by_events(runs: Sequence[Run], budget: float) -> list[float]:
    """Measure calls on a CUDA device one after the other, by events of the device around each."""
    return [_device_seconds(run, budget) for run in runs]


def _device_seconds(run: Run, budget: float) -> float:
    def taken(rounds: int) -> float:
        events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(rounds)]
        for number, (start, end) in enumerate(events):
            start.record()
            run(number)
            end.record()
        torch.cuda.synchronize()
        return 1e-3 * statistics.median(start.elapsed_time(end) for start, end in events)

    run(0)
    first = taken(5)
    # Clocks rise under load.
    taken(_rounds(first, 0.2 * budget, 1000))
    return taken(_rounds(first, budget, 200))


def peak_bytes(run: Run, device: torch.device) -> int:
    """Return by how much the memory in use rises during a call, its inputs aside.

    On CUDA devices that is told by the allocator of torch; on the CPU the profiler of torch tells each allocation:
    what libraries below torch set aside for themselves is not seen.
    """
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run(0)
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    gc.collect()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        run(0)
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    held, lowest, peak = 0, 0, 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        # Below zero where something older is given back.
        lowest = min(lowest, held)
        peak = max(peak, held - lowest)
    return peak


def name_of(device: torch.device) -> str:
    """Return what a device is called, of a CPU with the threads that torch uses."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{_processor()}, {threads} {'thread' if threads == 1 else 'threads'}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2] for line in lines if line.startswith("model name"))
    return " ".join(next(named, platform.machine()).split())
