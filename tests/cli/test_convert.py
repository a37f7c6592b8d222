"""``pdeml convert`` and ``pdeml inspect`` of data sets, as a user calls them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pdeml.data import open_source


@pytest.fixture
def data(tmp_path: Path) -> np.ndarray:
    """``data.npz`` in the test's folder, and its array ``sol``."""
    rng = np.random.default_rng(0)
    sol = rng.standard_normal((6, 4, 5))
    np.savez(tmp_path / "data.npz", coeff=rng.standard_normal((6, 4, 5)), sol=sol)
    return sol


def test_convert_and_inspect(cli, data: np.ndarray):
    names = ["--inputs", "a=coeff", "--outputs", "u=sol", "--coordinates", "x=0:1,y=0:2*pi"]
    assert "a(y: 5, x: 4), input, float64" in cli("inspect", "data.npz", *names).out
    done = cli("convert", "data.npz", "ours.h5", *names, "--gzip", "4")
    assert done.code == 0
    assert done.err.startswith("ours.h5: 6 of 6 samples")
    assert done.out.startswith("wrote ours.h5: 6 samples of a, u from data.npz (NumPy)")
    with open_source("ours.h5") as source:
        np.testing.assert_array_equal(source.read("u", slice(None)), data.swapaxes(1, 2))
        assert source.coordinates["y"][-1] == pytest.approx(2 * np.pi)
    assert "y: 5 points from 0 to 6.28319" in cli("inspect", "ours.h5").out
    assert "checked: 6 samples read" in cli("inspect", "ours.h5", "--check").out
    assert cli("convert", "ours.h5", "well.h5", "--to", "well", "--quiet").err == ""
    told = cli("convert", "ours.h5", "second.h5", "--to", "well").out.splitlines()
    assert told[1].startswith("The Well's layout keeps no roles, units, split, statistics or spec")
    assert "data set (The Well), 6 samples" in cli("inspect", "well.h5").out


def test_missing_values_are_refused_unless_allowed(cli, data: np.ndarray):
    data[2, 1] = np.nan
    np.savez("holes.npz", u=data)
    found = cli("convert", "holes.npz", "ours.h5")
    assert found.code == 2
    assert "holes.npz: array 'u', sample 2: holds NaN or infinite values; --allow-nan" in found.err
    assert cli("convert", "holes.npz", "ours.h5", "--allow-nan").code == 0
    found = cli("inspect", "ours.h5", "--check")
    assert found.code == 2
    assert "sample 2" in found.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["data.npz", "data.npz"], "end the name"),
        (["none.npz", "out.h5"], "none.npz: no such file"),
        (["data.npz", "out.h5", "--inputs", "a"], "--inputs a: write NAME=VALUE"),
        (["data.npz", "out.h5", "--inputs", "a=sol,a=coeff"], "'a' stands twice"),
        (["data.npz", "out.h5", "--outputs", "u=soll"], "did you mean 'sol'"),
        (["data.npz", "out.h5", "--coordinates", "x=0:one"], "write LOW:HIGH"),
        (["data.npz", "out.h5", "--coordinates", "x=0:1:2"], "write LOW:HIGH"),
        (["data.npz", "out.h5", "--gzip", "11"], "level from 0"),
        (["data.npz", "out.h5", "--to", "hdf"], "a format to convert to"),
        (["data.npz"], "OUT"),
    ],
)
def test_refusals(cli, tmp_path: Path, data: np.ndarray, arguments: list[str], said: str):
    found = cli("convert", *arguments)
    assert found.code == 2
    assert said in found.err
    assert found.err.count("\n") == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["data.npz", "small.yaml"]


def test_looking_at_data_loads_no_torch(tmp_path: Path, data: np.ndarray):
    code = (
        "import sys; from pdeml.cli import main; code = main(['inspect', 'data.npz']);"
        "sys.exit(code or ('torch' in sys.modules) * 9)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False, capture_output=True).returncode == 0
