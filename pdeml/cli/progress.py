"""Progress of work on samples: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Show", "sample_progress"]

LOG_SECONDS = 10.0
Show = Callable[[int, int], None]
_Line = Callable[[int, int, float], None]


@contextmanager
def sample_progress(name: str) -> Iterator[Show]:
    """Yield a function that is told (samples done, of how many); the rate counts from its first call."""
    first, began = 0, 0.0

    def show(done: int, samples: int) -> None:
        nonlocal first, began
        now = time.monotonic()
        if not began:
            first, began = done, now
        line(done, samples, (done - first) / max(now - began, 1e-9))

    if sys.stderr.isatty():
        with _bar(name) as line:
            yield show
    else:
        line = _log(name)
        yield show


@contextmanager
def _bar(name: str) -> Iterator[_Line]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    bar = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))
    task = bar.add_task(name, total=None, rate="", start=True)

    def line(done: int, samples: int, rate: float) -> None:
        bar.start()
        bar.update(task, completed=done, total=samples, rate=f"{rate:.3g} samples/s" if rate else "")

    try:
        yield line
    finally:
        bar.stop()


def _log(name: str) -> _Line:
    said = time.monotonic()

    def line(done: int, samples: int, rate: float) -> None:
        nonlocal said
        if done < samples and time.monotonic() - said < LOG_SECONDS:
            return
        said = time.monotonic()
        left = f"  {rate:.3g} samples/s  {(samples - done) / rate:.0f} s left" if rate else ""
        print(f"{name}: {done} of {samples} samples{left}", file=sys.stderr, flush=True)

    return line
