"""A run that is killed, interrupted or out of disk leaves only whole files, and goes on to the very same numbers."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray

from pdeml.files import TEMPORARY_SUFFIX, load_tensors
from pdeml.spec import load_spec

SPEC = """\
name: tiny
problem:
  coordinates: {x: [0, 1], t: [0, 1]}
  time: t
  unknowns: [u]
  parameters: {alpha: 0.1}
  equations:
    - u_t = alpha*u_xx
  conditions:
    - {on: initial, value: {u: sin(pi*x)}}
    - {on: boundary, value: {u: 0}}
reference:
  exact: {u: exp(-alpha*pi**2*t)*sin(pi*x)}
solver: {kind: pinn, width: 6, depth: 2, points: 150, steps: 150, resample: 7}
export:
  grid: {x: 33, t: 21}
"""
STEPS = 150
EVERY = 0.02
TWO_OPTIMISERS = "optimizer: auto, precision: float32, "
IEND = b"\x00\x00\x00\x00IEND\xaeB`\x82"


class Driver:
    """Runs `pdeml` in processes that can be killed; one at a time."""

    def __init__(self, folder: Path):
        self.folder, self.log, self.pid = folder, folder / "log.txt", 0
        program = [sys.executable, str(Path(__file__).with_name("driver.py"))]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._server = subprocess.Popen(program, env={**os.environ, "OMP_NUM_THREADS": "1"}, **pipes)
        assert self._line() == "ready"

    def start(self, *arguments: str, most_bytes: int = 0) -> None:
        request = {"arguments": arguments, "folder": str(self.folder), "log": str(self.log)}
        self._server.stdin.write(json.dumps({**request, "every": EVERY, "most_bytes": most_bytes}) + "\n")
        self._server.stdin.flush()
        self.pid = int(self._line())

    def send(self, number: int) -> None:
        """Send a signal to the run; it may have ended already, but nobody else has its process id then: it waits."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        return int(self._line())

    def run(self, *arguments: str, most_bytes: int = 0) -> int:
        self.start(*arguments, most_bytes=most_bytes)
        return self.wait()

    def ended(self) -> bool:
        """Whether the run has ended, looked up without waiting for it."""
        stat = Path(f"/proc/{self.pid}/stat")
        try:
            return stat.read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True

    def close(self) -> None:
        self._server.stdin.close()
        self._server.wait(60)
        self._server.stdout.close()

    def _line(self) -> str:
        return self._server.stdout.readline().strip()


@dataclass(frozen=True)
class Whole:
    """The run that nothing disturbed, and how long its parts took."""

    folder: Path
    before: float
    after: float


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    made = Driver(tmp_path_factory.mktemp("kill"))
    (made.folder / "tiny.yaml").write_text(SPEC)
    (made.folder / "two.yaml").write_text(SPEC.replace("kind: pinn, ", f"kind: pinn, {TWO_OPTIMISERS}"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def whole(driver: Driver) -> Callable[[str], Whole]:
    """The undisturbed run of a spec, made once."""
    made: dict[str, Whole] = {}

    def make(spec: str) -> Whole:
        if spec not in made:
            folder = driver.folder / f"whole-{spec}"
            started = time.monotonic()
            driver.start("train", f"{spec}.yaml", "--out", folder.name, "--quiet")
            wait_for(driver, lambda: rows(folder) > 0)
            begun = time.monotonic()
            wait_for(driver, lambda: rows(folder) == STEPS)
            trained = time.monotonic()
            assert driver.wait() == 0, driver.log.read_text()
            made[spec] = Whole(folder, begun - started, time.monotonic() - trained)
        return made[spec]

    return make


def rows(folder: Path) -> int:
    """Number of whole lines of the metrics."""
    try:
        return (folder / "metrics.jsonl").read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def wait_for(driver: Driver, condition: Callable[[], bool]) -> None:
    while not condition() and not driver.ended():
        time.sleep(0.001)


def check(folder: Path, killed: bool = True) -> None:
    """Open every file of a run directory."""
    for file in folder.rglob("*"):
        if file.is_dir():
            assert file == folder / "checkpoint"
        elif file.name.endswith(TEMPORARY_SUFFIX):
            assert killed
            assert file.name.startswith(".")
        else:
            READERS[file.suffix](file)
    lines = (folder / "metrics.jsonl").read_bytes().split(b"\n") if (folder / "metrics.jsonl").exists() else [b""]
    assert killed or lines[-1] == b""
    assert [json.loads(line)["step"] for line in lines[:-1]] == list(range(1, len(lines)))
    if (folder / "summary.json").exists():
        assert {"fields.h5", "fields.png", "history.png", "spec.yaml"} <= {file.name for file in folder.iterdir()}


def check_hdf5(path: Path) -> None:
    with h5py.File(path) as file:
        assert {"u", "u_reference", "u_error"} <= set(file)
    with xarray.open_dataset(path, engine="h5netcdf") as data:
        assert np.isfinite(data.load()["u"].values).all()


def check_png(path: Path) -> None:
    assert path.read_bytes().endswith(IEND)


READERS: dict[str, Callable[[Path], object]] = {
    ".safetensors": load_tensors,
    ".h5": check_hdf5,
    ".png": check_png,
    ".json": lambda path: json.loads(path.read_text()),
    ".jsonl": Path.read_bytes,
    ".yaml": load_spec,
}


def same(one: Path, other: Path) -> None:
    """Compare two finished runs: every tensor bit by bit, every row of the metrics, every field."""
    (a, facts), (b, others) = (load_tensors(folder / "checkpoint" / "state.safetensors") for folder in (one, other))
    assert a.keys() == b.keys()
    assert all(a[name].tobytes() == b[name].tobytes() and a[name].dtype == b[name].dtype for name in a)
    assert facts == others
    names = ("metrics.jsonl", "fields.h5", "spec.yaml")
    assert all((one / name).read_bytes() == (other / name).read_bytes() for name in names)
    left, right = (json.loads((folder / "summary.json").read_text()) for folder in (one, other))
    assert (left["errors"], left["residuals"]) == (right["errors"], right["residuals"])


def moment(rng: random.Random, whole: Whole, progress: float) -> tuple[int, float]:
    """When to kill: after how many rows of the metrics, and how many seconds after that."""
    if rng.random() < 0.3:
        return 0, rng.uniform(0, 1.2 * whole.before)
    if progress < 1:
        return 1 + int(progress * (STEPS - 1)), rng.uniform(0, 3 * EVERY)
    return STEPS, rng.uniform(0, 0.8 * whole.after)


def kill_and_resume(driver: Driver, whole: Whole, spec: str, kills: int, seed: int) -> None:
    """Kill a run at random moments from start to export, resuming it each time; then let it end."""
    rng, folder, landed, how = random.Random(seed), driver.folder / f"killed-{spec}-{kills}", 0, "--resume"
    plan = [moment(rng, whole, progress) for progress in sorted(rng.uniform(0, 1.5) for _ in range(kills))]
    for _ in range(3 * kills):
        least, delay = plan[landed]
        driver.start("train", f"{spec}.yaml", "--out", folder.name, how, "--quiet")
        wait_for(driver, lambda least=least: rows(folder) >= least)
        time.sleep(delay)
        driver.send(signal.SIGKILL) if not driver.ended() else None
        code = driver.wait()
        assert code in (0, -signal.SIGKILL), driver.log.read_text()
        if folder.exists():
            check(folder)
        how = "--resume"
        landed += code != 0
        if landed == kills:
            break
        if code == 0:
            same(whole.folder, folder)
            how = "--overwrite"
    assert landed == kills, f"only {landed} of {kills} kills"
    assert driver.run("train", f"{spec}.yaml", "--out", folder.name, how, "--quiet") == 0, driver.log.read_text()
    check(folder, killed=False)
    same(whole.folder, folder)


@pytest.mark.parametrize("spec", ["tiny", "two"])
def test_a_run_killed_at_five_moments_ends_with_the_same_numbers(driver, whole, spec):
    kill_and_resume(driver, whole(spec), spec, kills=5, seed=5)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("spec", ["tiny", "two"])
def test_a_run_killed_at_twenty_moments_ends_with_the_same_numbers(driver, whole, spec):
    kill_and_resume(driver, whole(spec), spec, kills=20, seed=20)


@pytest.mark.parametrize(
    "number, least, delay",
    [
        (signal.SIGINT, 1, 0.0),
        (signal.SIGTERM, STEPS // 2, 0.01),
        (signal.SIGINT, STEPS, 0.1),
        (signal.SIGTERM, STEPS, 0.3),
    ],
    ids=["int-begin", "term-middle", "int-export", "term-export"],
)
def test_an_interrupted_run_says_how_to_go_on_and_does(driver, whole, number, least, delay):
    undisturbed = whole("tiny")
    folder = driver.folder / f"{number.name}-{least}"
    driver.start("train", "tiny.yaml", "--out", folder.name)
    wait_for(driver, lambda: rows(folder) >= least)
    time.sleep(min(delay, undisturbed.after / 3))
    driver.send(number)
    assert driver.wait() == 128 + number
    said = driver.log.read_text()
    assert number.name in said
    assert "--resume" in said
    assert "Traceback" not in said
    check(folder, killed=False)
    assert (folder / "checkpoint" / "state.safetensors").exists()
    assert not (folder / "summary.json").exists()
    assert driver.run("train", "tiny.yaml", "--out", folder.name, "--resume", "--quiet") == 0
    same(undisturbed.folder, folder)


def refused(driver: Driver, *arguments: str, most_bytes: int = 0) -> None:
    """Run what the disk refuses: exit code 1 and one line."""
    assert driver.run(*arguments, "--quiet", most_bytes=most_bytes) == 1, driver.log.read_text()
    said = driver.log.read_text()
    assert said.startswith("pdeml: cannot write ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("most_bytes", [200, 8_000, 40_000])
def test_a_file_that_cannot_be_written_is_not_half_written(driver, whole, most_bytes):
    undisturbed = whole("tiny")
    folder = driver.folder / f"limited-{most_bytes}"
    refused(driver, "train", "tiny.yaml", "--out", folder.name, most_bytes=most_bytes)
    check(folder, killed=False)
    assert not (folder / "summary.json").exists()
    assert driver.run("train", "tiny.yaml", "--out", folder.name, "--resume", "--quiet") == 0, driver.log.read_text()
    same(undisturbed.folder, folder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk is not permitted")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.parametrize("room", [0, 40])
def test_a_full_disk_leaves_earlier_results_as_they_were(driver, whole, small_disk, room):
    """With ``room`` KiB left, a new run fails, and so does the continuation of a finished one."""
    undisturbed, old, new = whole("tiny"), small_disk / "old", small_disk / "new"
    assert driver.run("train", "tiny.yaml", "--out", str(old), "--quiet") == 0
    earlier = {name: (old / name).read_bytes() for name in ("fields.h5", "fields.png", "checkpoint/state.safetensors")}
    fill(small_disk, room)
    refused(driver, "train", "tiny.yaml", "--out", str(new))
    check(new, killed=False)
    for name, content in earlier.items():
        assert (old / name).read_bytes() == content
    for file in (small_disk / "filler", *new.rglob("*.*")):
        file.unlink()
    fill(small_disk, 0)
    refused(driver, "train", "tiny.yaml", "--out", str(old), "--resume", "--set", f"solver.steps={STEPS + 10}")
    check(old, killed=False)
    assert (old / "fields.h5").read_bytes() == earlier["fields.h5"]
    (small_disk / "filler").unlink()
    assert driver.run("train", "tiny.yaml", "--out", str(new), "--quiet", "--resume") == 0, driver.log.read_text()
    same(undisturbed.folder, new)


def fill(disk: Path, room: int) -> None:
    """Fill a disk but for ``room`` KiB."""
    free = os.statvfs(disk)
    with (disk / "filler").open("wb") as file:
        file.write(bytes(free.f_bavail * free.f_frsize - 1024 * room))
