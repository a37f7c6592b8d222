"""Time Fourier layers and Fourier neural operators against neuraloperator's, side by side on two cores: ``make bench``.

1. The layer, forward and backward, at six sizes in 2-D (the field of both with channels first in memory): geometric
   mean at least 2.5 times as fast, none below 0.95.
2. The whole model (8 samples, 64 x 64 points, 16 modes, width 32, depth 4): a training step with AdamW at least 1.8
   times as fast, inference at least twice; with its peak of memory, which must not be higher.

Both take turns; times are medians of the wall clock, so that the machine must have nothing else to do. Lines are added
to spectral.csv, and the table of README.md is rewritten. The exit code is 1 if a promise is not kept. ``--routes``
measures the constants of `pdeml_kernels.fourier` instead.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from calibration import THREADS, matmul_rate
from records import ROOT, Origin, append, origin, read
from rich.console import Console
from rich.table import Table
from tables import markdown, replace_between
from torch import Tensor, nn

from pdeml.nn.fno import FourierNetwork, FourierOptions
from pdeml.nn.spectral_conv import SpectralConv
from pdeml_kernels import fourier

__all__ = ["Timed", "compare", "main"]

FOLDER = Path(__file__).resolve().parent
LAYERS = [(8, 32, 64, 16), (8, 32, 85, 12), (16, 64, 64, 16), (4, 32, 128, 16), (2, 32, 256, 16), (4, 32, 128, 64)]
MODEL = (8, 64, 16, 32)
SMALL = (1, 8, 8, 4)
ROUNDS, PEAKS = 15, 3
MEAN, LEAST, STEP, INFERENCE = 2.5, 0.95, 1.8, 2.0
TRAINING, APPLIED = "FNO, training step", "FNO, inference"


@dataclass(frozen=True)
class Timed(Origin):
    """One line of spectral.csv: median milliseconds, the median of the rounds' ratios, peak MiB above the start."""

    case: str
    rounds: int
    ours_ms: float
    theirs_ms: float
    ratio: float
    ours_mib: float
    theirs_mib: float
    gflops: float


def compare(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> list[tuple[float, float]]:
    """Return the seconds of both in each round, after two rounds that are not counted."""
    times = []
    for _ in range(rounds + 2):
        started = time.perf_counter()
        ours()
        middle = time.perf_counter()
        theirs()
        times.append((middle - started, time.perf_counter() - middle))
    return times[2:]


def layer_pair(size: tuple[int, int, int, int]) -> dict[str, Callable[[], object]]:
    """Return a forward and backward pass of both layers, with equal weights."""
    batch, channels, n, modes = size
    theirs = _neuralop().layers.spectral_convolution.SpectralConv(channels, channels, (modes, modes))
    ours = SpectralConv(channels, channels, (modes, modes)).copy_from(theirs)
    x = torch.randn(batch, channels, n, n)
    return {"ours": _pass(ours, x), "theirs": _pass(theirs, x)}


def model_pair(training: bool, size: tuple[int, int, int, int] = MODEL) -> dict[str, Callable[[], object]]:
    """Return a training step, or an application, of both models."""
    batch, n, modes, width = size
    x, u = torch.randn(batch, 3, n, n), torch.randn(batch, 1, n, n)
    models = {
        "ours": FourierNetwork(3, 1, FourierOptions((modes, modes), width)),
        "theirs": _neuralop().models.FNO((modes, modes), 3, 1, width, positional_embedding=None),
    }
    return {name: _step(model, x, u) if training else _applied(model, x) for name, model in models.items()}


def _neuralop():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import neuralop.layers.spectral_convolution
        import neuralop.models
    return neuralop


def _pass(layer: nn.Module, x: Tensor) -> Callable[[], object]:
    towards = torch.randn_like(x)

    def run() -> None:
        field = x.clone().requires_grad_()
        layer.zero_grad()
        layer(field).backward(towards)

    return run


def _step(model: nn.Module, x: Tensor, u: Tensor) -> Callable[[], object]:
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def run() -> None:
        optimiser.zero_grad()
        (model(x) - u).square().mean().backward()
        optimiser.step()

    return run


def _applied(model: nn.Module, x: Tensor) -> Callable[[], object]:
    def run() -> None:
        with torch.inference_mode():
            model(x)

    return run


def main(
    arguments: Sequence[str] | None = None, *, csv: Path = FOLDER / "spectral.csv", readme: Path = ROOT / "README.md"
) -> int:
    """Measure, show and record. Returns the exit code."""
    options = _parse(arguments)
    console = Console()
    torch.set_num_threads(THREADS)
    if options.peak:
        print(_peak(*options.peak))
        return 0
    if options.routes:
        _routes(console)
        return 0
    broken = []
    if not options.table:
        lines = _measure(options.rounds)
        for line in lines:
            append(csv, line)
        console.print(_on_screen(lines))
        broken = _broken(lines)
    if replace_between(readme, "spectral", _readme_text(read(csv, Timed))):
        console.print(f"wrote the table of {readme.name} from {csv.name}")
    else:
        console.print(f"{readme.name} has no marks <!-- spectral:begin --> and <!-- spectral:end -->", markup=False)
    for promise in broken:
        console.print(promise)
    return 1 if broken else 0


def _measure(rounds: int) -> list[Timed]:
    torch.manual_seed(0)
    where, gflops = asdict(origin()), matmul_rate()
    cases = {str(size): lambda size=size: layer_pair(size) for size in LAYERS}
    cases |= {TRAINING: lambda: model_pair(True), APPLIED: lambda: model_pair(False)}
    found = []
    for case, make in cases.items():
        pair = make()
        times = compare(pair["ours"], pair["theirs"], rounds)
        ours, theirs = (1e3 * statistics.median(column) for column in zip(*times, strict=True))
        ratio = statistics.median(other / mine for mine, other in times)
        peaks = {f"{name}_mib": _peak_of(case, name) for name in ("ours", "theirs")}
        found.append(Timed(**where, case=case, rounds=rounds, ours_ms=ours, theirs_ms=theirs, ratio=ratio, **peaks,
                           gflops=gflops))  # fmt: skip
    return found


def _peak_of(case: str, name: str) -> float:
    """Return the peak of memory of one side: the median of some processes of its own, as threads make it vary."""
    command = [sys.executable, __file__, "--peak", case, name]
    runs = (subprocess.run(command, capture_output=True, text=True, check=True, cwd=FOLDER) for _ in range(PEAKS))
    return statistics.median(float(run.stdout) for run in runs)


def _peak(case: str, name: str) -> float:
    """Return by how many MiB the resident memory rises, everything being loaded; 0 where Linux does not tell."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    sizes = {str(size): size for size in LAYERS}
    small = layer_pair(SMALL) if case in sizes else model_pair(case == TRAINING, SMALL)
    small[name]()
    pair = layer_pair(sizes[case]) if case in sizes else model_pair(case == TRAINING)
    if not reset.exists():
        return 0.0
    before = _kib(status, "VmRSS")
    reset.write_text("5")
    pair[name]()
    return (_kib(status, "VmHWM") - before) / 1024


def _kib(status: Path, key: str) -> int:
    return int(next(line.split()[1] for line in status.read_text().splitlines() if line.startswith(key)))


def _broken(lines: Sequence[Timed]) -> list[str]:
    """Return the promises that were not kept."""
    ratios = {line.case: line.ratio for line in lines}
    layers = [ratios[str(size)] for size in LAYERS]
    found = []
    if statistics.geometric_mean(layers) < MEAN or min(layers) < LEAST:
        found.append(
            f"the layers are {statistics.geometric_mean(layers):.2f} times as fast on average, {MEAN} promised"
        )
    for case, least in ((TRAINING, STEP), (APPLIED, INFERENCE)):
        if ratios[case] < least:
            found.append(f"{case}: {ratios[case]:.2f} times as fast, {least} promised")
    return found + [
        f"{m.case}: {m.ours_mib:.0f} MiB, theirs {m.theirs_mib:.0f}" for m in lines if m.ours_mib > m.theirs_mib
    ]


def _routes(console: Console) -> None:
    """Print nanoseconds for each number of a field, of one core: by matrix and by FFT."""
    torch.set_num_threads(1)
    for last, width in ((True, 32), (True, 1), (False, 288)):
        for n in (64, 85, 128, 211, 256):
            batch = max(1, 2**19 // (n * width))
            for kept in (5, 9, 17, 33):
                console.print(f"last={last} R={width} n={n} K={kept}", _route_times(last, width, n, batch, kept))


def _route_times(last: bool, width: int, n: int, batch: int, kept: int) -> str:
    chosen, told = fourier.by_matrix, []
    x = torch.randn(batch, n if last else 2 * n, width)
    for matrix in (True, False):
        fourier.by_matrix = lambda n, kept, last, matrix=matrix: matrix
        forward = (lambda: fourier.analyse_last(x, n, kept, "mean")) if last else (
            lambda: fourier._forward(x, n, kept, mean=True))  # fmt: skip
        modes = forward()
        back = (lambda m=modes: fourier.synthesise_last(m, n, kept, "sum")) if last else (
            lambda m=modes: fourier._inverse(m, n, kept, mean=True))  # fmt: skip
        times = compare(forward, back, 7)
        told.append("/".join(f"{1e9 * min(column) / (batch * n * width):.2f}" for column in zip(*times, strict=True)))
    fourier.by_matrix = chosen
    return f"matrix {told[0]} ns, FFT {told[1]} ns (there/back)"


def _on_screen(lines: Sequence[Timed]) -> Table:
    table = Table(title=f"float32, {THREADS} threads ({lines[0].machine})")
    for name in ("B, C, n, modes", "pdeml, ms", "neuraloperator, ms", "ratio", "MiB", "MiB"):
        table.add_column(name, justify="left" if "B," in name else "right")
    for m in lines:
        cells = f"{m.ours_ms:.1f}", f"{m.theirs_ms:.1f}", f"{m.ratio:.2f}", f"{m.ours_mib:.0f}", f"{m.theirs_mib:.0f}"
        table.add_row(m.case, *cells)
    return table


def _readme_text(lines: Sequence[Timed]) -> str:
    """Return the table of the newest run."""
    if not lines:
        return "Nothing has been measured yet: `make bench`."
    last = max(line.date for line in lines)
    newest = [line for line in lines if line.date == last]
    first = newest[0]
    rows = [
        (m.case, *(f"{t:.1f} ms" for t in (m.ours_ms, m.theirs_ms)), f"{m.ratio:.1f}",
         *(f"{mib:.0f} MiB" for mib in (m.ours_mib, m.theirs_mib)))
        for m in newest
    ]  # fmt: skip
    header = ("(B, C, n, modes)", "pdeml", "neuraloperator", "ratio", "peak", "peak of neuraloperator")
    mean = statistics.geometric_mean(line.ratio for line in newest if line.case not in (TRAINING, APPLIED))
    prose = (
        f"The first lines are a Fourier layer in 2-D, forward and backward: {mean:.1f} times as fast in the geometric "
        f"mean. Then a model of width 32 and depth 4 on 8 samples of 64² points with 16 modes.\nfloat32, {THREADS} "
        f"threads, no compiler; medians of the wall clock, taken in turns. Measured: {last.split(' ')[0]}, "
        f"{first.machine}, {first.gflops:.0f} GFLOP/s in float64 matrix products; pdeml {first.version}, torch "
        f"{first.torch}.\nWritten by `make bench`."
    )
    return "\n".join([markdown(header, rows), "", prose])


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench_spectral.py", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default {ROUNDS}")
    parser.add_argument("--table", action="store_true", help="measure nothing, only write the table of README.md")
    parser.add_argument("--routes", action="store_true", help="measure the constants of pdeml_kernels.fourier")
    parser.add_argument("--peak", nargs=2, metavar=("CASE", "SIDE"), help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
