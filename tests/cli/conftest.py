"""A command line that runs in the test's own folder, and one small finished run to look at."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pdeml.cli import main

SPEC = """\
name: small
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
solver: {kind: pinn, width: 4, depth: 1, points: 32, steps: 4}
export:
  grid: {x: 9, t: 7}
"""


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., Outcome]:
    """Run `pdeml ARGUMENTS` in ``tmp_path``, where ``small.yaml`` stands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PDEML_DEBUG", raising=False)
    (tmp_path / "small.yaml").write_text(SPEC)

    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = main([str(part) for part in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory; not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "small.yaml").write_text(SPEC)
    assert main(["train", str(folder / "small.yaml"), "--out", str(folder / "run"), "--quiet"]) == 0
    return folder / "run"


@pytest.fixture
def run(cli: Callable[..., Outcome], finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run as ``runs/small`` in the test's folder."""
    shutil.copytree(finished, tmp_path / "runs" / "small")
    return Path("runs/small")
