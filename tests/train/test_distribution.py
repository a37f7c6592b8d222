"""Two processes do what one does, stop together, and do not wait for one that failed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pdeml.data.operator import OperatorData
from pdeml.train.distribution import World, current_world

from .shared_work import everything, operator_kinds

SCRIPT = Path(__file__).with_name("shared_work.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What two processes wrote."""
    folder = tmp_path_factory.mktemp("shared")
    rng, x = np.random.default_rng(1), np.linspace(0, 1, 12)
    a = rng.normal(size=(14, 1)) * np.cos(np.pi * x) + rng.normal(size=(14, 1)) * np.cos(2 * np.pi * x)
    np.savez(folder / "line.npz", a=a, u=np.cumsum(a, 1) / 12 + 0.1 * a**2)
    launched = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    done = subprocess.run(
        [*launched, str(SCRIPT), str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert (folder / "0.json").exists(), done.stderr
    # The last run of the script: one process fails, and the other one ends with it.
    assert done.returncode == 1
    assert "this process fails" in done.stderr
    return folder


def read(folder: Path, rank: int) -> dict:
    return json.loads((folder / f"{rank}.json").read_text())


def test_two_processes_have_the_losses_of_one(folder: Path):
    data = OperatorData(
        folder / "line.npz",
        train=7,
        validation=5,
        test=2,
        inputs={"a": "a"},
        outputs={"u": "u"},
        coordinates={"x": (0, 1)},
    )
    alone = everything(data)
    assert alone.keys() == {*operator_kinds(), "adam", "lbfgs"}
    for rank in (0, 1):
        together = read(folder, rank)["losses"]
        assert together.keys() == alone.keys()
        for kind, losses in alone.items():
            assert len(losses) > 8
            np.testing.assert_allclose(together[kind], losses, rtol=1e-8, err_msg=kind)
            assert losses[-2] != losses[0]


def test_processes_stop_after_the_same_step(folder: Path):
    first, second = read(folder, 0), read(folder, 1)
    assert first["steps"] == second["steps"] == 3
    assert (first["reason"], second["reason"]) == ("stopped by another process", "told to stop")


def test_what_cannot_be_shared_is_refused(folder: Path):
    assert "gauss_newton works in one process" in read(folder, 0)["refused"]


def test_sums_are_over_all(folder: Path):
    assert read(folder, 0)["shared"] == read(folder, 1)["shared"] == 3.0


def test_without_torchrun_a_process_is_alone():
    assert current_world() == World(0, 1)
    assert World().is_first
    assert World().any(True)
    assert not World().any(False)
