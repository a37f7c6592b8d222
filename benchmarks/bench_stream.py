"""Stream a data set larger than what is kept in memory, against plain h5py: part of ``make bench``.

A data set of 4 GiB (``--size``) is written to a temporary folder: samples of 1 MiB, in two arrays. Then

1. plain h5py reads the file chunk by chunk in the order of the file, and `pdeml.data.Stream` gives shuffled batches of
   all of it, several times, taking turns: warm cache, the same file and checksums. The stream must reach 70 % of h5py;
2. the resident memory of this process, while an epoch is streamed, must grow by less than 250 MB;
3. a small network is trained on the stream: less than 5 % of the time may be spent waiting for data.

Lines are added to stream.csv. The exit code is 1 if a figure is missed.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from records import Origin, append, origin
from rich.console import Console

from pdeml.data import ArrayInfo, Coordinate, Dataset, Schema, Stream, Writer

__all__ = ["Timed", "main", "measure", "read_plainly", "write"]

FOLDER = Path(__file__).resolve().parent
POINTS = 256
BATCH = 16
ROUNDS = 5
LEAST_RATIO, MOST_MEGABYTES, MOST_WAITING = 0.70, 250.0, 0.05
GIB = 2.0**30


@dataclass(frozen=True)
class Timed(Origin):
    """One line of stream.csv; rates are medians in GiB/s, the ratio is the median of the rounds' ratios."""

    gib: float
    rounds: int
    write_rate: float
    h5py_rate: float
    stream_rate: float
    ratio: float
    memory_mb: float
    waiting: float


def write(path: Path, samples: int) -> float:
    """Write the data set; return the rate in GiB/s, of `Writer.append` and `Writer.finish` alone."""
    line = np.linspace(0.0, 1.0, POINTS)
    schema = Schema(
        {
            "a": ArrayInfo("a", ("y", "x"), (POINTS, POINTS), np.float32, "input"),
            "u": ArrayInfo("u", ("t", "y", "x"), (3, POINTS, POINTS), np.float32, "output"),
        },
        {"x": Coordinate(line), "y": Coordinate(line), "t": Coordinate(np.arange(3.0))},
    )
    rng = np.random.default_rng(0)
    values = rng.standard_normal((4 * POINTS * POINTS + samples,), dtype=np.float32)
    seconds = 0.0
    with Writer(path, schema, samples, {"title": "benchmark", "seed": 0}) as writer:
        for number in range(samples):
            part = values[number : number + 4 * POINTS * POINTS].reshape(4, POINTS, POINTS)
            start = time.perf_counter()
            writer.append({"a": part[0], "u": part[1:]})
            seconds += time.perf_counter() - start
        start = time.perf_counter()
        writer.finish()
    return samples * schema_bytes(schema) / GIB / (seconds + time.perf_counter() - start)


def schema_bytes(schema: Schema) -> int:
    """Return the bytes of one sample."""
    return sum(info.sample_bytes for info in schema.arrays.values())


def read_plainly(path: Path) -> float:
    """Read all chunks in the order of the file with h5py; return the seconds."""
    start = time.perf_counter()
    with h5py.File(path) as file:
        for number in range(len(file["a"])):
            for name in ("a", "u"):
                file[name][number]
    return time.perf_counter() - start


def read_stream(path: Path) -> float:
    """Read one shuffled epoch; return the seconds, opening the file included."""
    start = time.perf_counter()
    dataset = Dataset(path)
    count = sum(len(batch["u"]) for batch in Stream(dataset, BATCH))
    seconds = time.perf_counter() - start
    assert count == len(dataset)
    dataset.close()
    return seconds


def memory_growth(path: Path) -> float:
    """Return by how many MB the resident memory grows at most while an epoch is streamed."""
    dataset = Dataset(path)
    next(iter(dataset))
    before = highest = resident()
    for _ in Stream(dataset, BATCH):
        highest = max(highest, resident())
    dataset.close()
    return (highest - before) / 1e6


def resident() -> int:
    """Return the bytes of physical memory of this process."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def waiting_share(path: Path, batches: int) -> float:
    """Train a small convolutional network; return the share of the time that was spent waiting for batches."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 5, padding=2), torch.nn.GELU(), torch.nn.Conv2d(8, 3, 5, padding=2))
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)
    dataset = Dataset(path, normalise=True)
    waited, begun = 0.0, time.perf_counter()
    stream = iter(Stream(dataset, BATCH))
    for _ in range(batches):
        start = time.perf_counter()
        batch = next(stream)
        waited += time.perf_counter() - start
        optimiser.zero_grad()
        torch.nn.functional.mse_loss(net(batch["a"][:, None]), batch["u"]).backward()
        optimiser.step()
    share = waited / (time.perf_counter() - begun)
    stream.close()
    dataset.close()
    return share


def measure(folder: Path, gib: float, rounds: int) -> Timed:
    """Write the data set into ``folder`` and take all figures."""
    path = folder / "stream.h5"
    samples = max(round(gib * 1024), 2 * BATCH)
    gib = samples / 1024
    rate = write(path, samples)
    growth = memory_growth(path)
    read_plainly(path)
    plain, streamed = [], []
    for _ in range(rounds):
        plain.append(gib / read_plainly(path))
        streamed.append(gib / read_stream(path))
    ratio = statistics.median(new / old for new, old in zip(streamed, plain, strict=True))
    waiting = waiting_share(path, min(samples // BATCH, 64))
    figures = (gib, rounds, rate, statistics.median(plain), statistics.median(streamed), ratio, growth, waiting)
    return Timed(**asdict(origin()), **dict(zip(list(Timed.__dataclass_fields__)[6:], figures, strict=True)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and add a line to stream.csv; return 1 if a figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=float, default=4.0, metavar="GIB", help="of the data set (default: 4)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"repetitions (default: {ROUNDS})")
    parser.add_argument("--folder", type=Path, help="for the temporary file (default: that of the system)")
    parser.add_argument("--no-record", action="store_true", help="leave stream.csv as it is")
    options = parser.parse_args(arguments)
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="pdeml-stream-", dir=options.folder) as folder:
        free = shutil.disk_usage(folder).free
        if free < 1.1 * options.size * GIB:
            console.print(f"{folder} has {free / GIB:.1f} GiB free; {options.size} GiB are to be written")
            return 2
        row = measure(Path(folder), options.size, options.rounds)
    console.print(
        f"{row.gib:g} GiB written at {row.write_rate:.2f} GiB/s; read by h5py in order at {row.h5py_rate:.2f} GiB/s, "
        f"streamed shuffled at {row.stream_rate:.2f} GiB/s: {row.ratio:.0%} (at least {LEAST_RATIO:.0%})\n"
        f"memory grows by {row.memory_mb:.0f} MB (less than {MOST_MEGABYTES:.0f}); "
        f"training waits {row.waiting:.1%} of its time (less than {MOST_WAITING:.0%})"
    )
    if not options.no_record:
        append(FOLDER / "stream.csv", row)
    return int(row.ratio < LEAST_RATIO or row.memory_mb > MOST_MEGABYTES or row.waiting > MOST_WAITING)


if __name__ == "__main__":
    sys.exit(main())
