"""One spec, three methods: a network, a Gaussian process, random features; the same run directory from each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import xarray

SPEC = """\
name: rod
problem:
  coordinates: {x: [0, 1]}
  unknowns: [u]
  equations:
    - u_xx - u = -(pi^2 + 1)*sin(pi*x)
  conditions:
    - {on: boundary, value: {u: 0}}
reference: {exact: {u: sin(pi*x)}}
export: {grid: {x: 41}}
"""
METHODS = {
    "pinn": (["solver.width=8", "solver.depth=1", "solver.steps=40"], 1e-4),
    "gp": ([], 1e-8),
    "random_features": ([], 1e-8),
}


@pytest.mark.parametrize("kind", METHODS)
def test_one_spec_is_solved_by_each_method(kind: str, cli: Callable, tmp_path: Path):
    (tmp_path / "rod.yaml").write_text(SPEC, encoding="utf-8")
    options, bound = METHODS[kind]
    changes = [part for option in (f"solver.kind={kind}", *options) for part in ("--set", option)]
    done = cli("train", "rod.yaml", *changes, "--quiet")
    assert done.code == 0, done.err
    run = tmp_path / "runs" / "rod"
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    assert summary["errors"]["u"]["relative_l2"] < bound
    is_process = kind == "gp"
    assert (run / "frequencies.png").exists() == is_process
    with xarray.open_dataset(run / "fields.h5", engine="h5netcdf") as dataset:
        assert dataset.u.dims == ("x",)
        assert ("u_std" in dataset) == is_process
    assert cli("predict", "runs/rod", "--grid", "x=7", "-o", "coarse.h5").code == 0
    assert cli("evaluate", "runs/rod", "--json").code == 0
    assert cli("train", "rod.yaml", *changes, "--quiet").code == 2  # it is there
    assert cli("train", "rod.yaml", *changes, "--resume", "--quiet").code == 0  # and finished
