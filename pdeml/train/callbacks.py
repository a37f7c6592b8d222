"""Callbacks: what watches a run. Metrics to a file, checkpoints, progress on a terminal, interruption."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from types import FrameType

from pdeml.errors import RunError
from pdeml.files import atomic_text, read_json_lines
from pdeml.train.checkpoint import save_state
from pdeml.train.loop import Callback, Event

__all__ = ["Checkpointer", "Interruption", "LogProgress", "MetricsFile", "RichProgress", "read_metrics"]

logger = logging.getLogger("pdeml")


class Checkpointer(Callback):
    """Write the state every few seconds and at the end.

    Args:
        folder: where ``state.safetensors`` goes.
        every: seconds between checkpoints; when they are written changes nothing in the states.
    """

    def __init__(self, folder: Path, every: float = 15.0):
        self.folder, self.every, self._written = folder, every, time.monotonic()

    def on_step(self, event: Event) -> None:
        """Write if it is time."""
        if time.monotonic() - self._written >= self.every:
            self.on_end(event)

    def on_end(self, event: Event) -> None:
        """Write."""
        save_state(self.folder, event.state)
        self._written = time.monotonic()


class MetricsFile(Callback):
    """Append one JSON line a step to ``metrics.jsonl``: step, loss, and what else the solver reports.

    Args:
        path: the file. Lines after ``step`` and a partial last line (a killed run's) are dropped first.
        step: the step that the run goes on from.
    """

    def __init__(self, path: Path, step: int = 0):
        kept = [row for row in read_metrics(path) if row["step"] <= step] if path.exists() and step else []
        atomic_text(path, "".join(json.dumps(row) + "\n" for row in kept))
        try:
            self._file = path.open("ab", buffering=0)
            self._size = path.stat().st_size
        except OSError as error:
            raise RunError(f"cannot write {path}: {error.strerror}") from error

    def on_step(self, event: Event) -> None:
        """Append the metrics of the step: the whole line, or nothing of it where the disk is full."""
        line = (json.dumps({"step": event.state.step, **event.metrics}) + "\n").encode()
        try:
            if self._file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(self._size)
            raise RunError(f"cannot write {self._file.name}: {error.strerror}") from error
        self._size += len(line)

    def on_end(self, event: Event) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file, also after an error: every line has been written already."""
        with suppress(OSError):
            self._file.close()


def read_metrics(path: Path) -> list[dict[str, float]]:
    """Read ``metrics.jsonl``; a partial last line, left by a killed run, is dropped."""
    rows = read_json_lines(path)
    good = (isinstance(row.get("step"), int) for row in rows)
    return [row for row, _ in zip(rows, takewhile(bool, good), strict=False)]


class Interruption(Callback):
    """Turn Ctrl-C and SIGTERM into a clean stop after the current step.

    Use as ``with Interruption().listening() as interruption``; afterwards ``interruption.signal`` is the signal's
    number or none. A second Ctrl-C stops at once.

    Args:
        signals: that are listened to.
    """

    def __init__(self, *signals: int) -> None:
        self.signals = signals or (signal.SIGINT, signal.SIGTERM)
        self.signal: int | None = None
        self._at_once = False

    def on_step(self, event: Event) -> str | None:
        """Ask to stop if a signal came."""
        return self.on_progress(1.0)

    def on_progress(self, share: float) -> str | None:
        """Ask to stop if a signal came."""
        return None if self.signal is None else f"interrupted by {signal.Signals(self.signal).name}"

    @contextmanager
    def listening(self) -> Iterator[Interruption]:
        """Catch the signals inside, restore the former handlers after."""

        def note(number: int, frame: FrameType | None) -> None:
            again, self.signal = self.signal is not None, number
            if again or self._at_once:
                raise KeyboardInterrupt

        former = {number: signal.signal(number, note) for number in self.signals}
        try:
            yield self
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Inside, the first signal already raises `KeyboardInterrupt`: there are no steps to wait for."""
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False


def _described(metrics: Mapping[str, float]) -> str:
    shown = {name: value for name, value in metrics.items() if name in ("loss", "residual", "error")}
    return " ".join(f"{name} {value:.1e}" for name, value in shown.items())


class LogProgress(Callback):
    """Log a line now and then: for runs without a terminal.

    Args:
        every: seconds between lines.
    """

    def __init__(self, every: float = 10.0):
        self.every, self._logged, self._first = every, time.monotonic(), None
        self._seen: dict[str, float] = {}

    def on_step(self, event: Event) -> None:
        """Log if it is time."""
        self._seen.update(event.metrics)
        if self._first is None:
            self._first = event.state.step - 1
        if time.monotonic() - self._logged >= self.every:
            self.on_end(event)

    def on_end(self, event: Event) -> None:
        """Log step, loss, error, rate and the time left at most."""
        self._seen.update(event.metrics)
        rate = (event.state.step - (self._first or 0)) / max(event.seconds, 1e-9)
        left = (event.steps - event.state.step) / max(rate, 1e-9)
        text = "step %d of at most %d  %s  %.1f steps/s  %.0f s left at most"
        logger.info(text, event.state.step, event.steps, _described(self._seen), rate, left)
        self._logged = time.monotonic()


class RichProgress(Callback):
    """A progress bar with loss, error (where a reference exists), rate and time left.

    Args:
        title: shown before the bar.
    """

    def __init__(self, title: str):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(bar_width=8), MofNCompleteColumn())
        self._bar = Progress(
            *columns, TextColumn("{task.fields[seen]}"), TimeRemainingColumn(), console=Console(stderr=True)
        )
        self._title, self._task, self._first, self._seen = title, None, 0, {}

    def on_step(self, event: Event) -> None:
        """Move the bar."""
        self._seen.update(event.metrics)
        if self._task is None:
            self._first = event.state.step - 1
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=event.steps, completed=event.state.step - 1, seen="")
        rate = (event.state.step - self._first) / max(event.seconds, 1e-9)
        self._bar.update(self._task, completed=event.state.step, seen=f"{_described(self._seen)} {rate:.0f}/s")

    def on_progress(self, share: float) -> None:
        """Move the bar within a step."""
        if self._task is not None:
            self._bar.update(self._task, completed=int(self._bar.tasks[0].completed) + min(share, 0.999))

    def on_end(self, event: Event) -> None:
        """Leave the bar as it is."""
        self._bar.stop()

    def close(self) -> None:
        """Give the terminal back, also after an error."""
        self._bar.stop()
