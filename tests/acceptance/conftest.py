"""The command line in a folder of its own, watched for what it says and what it leaves behind."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pdeml.cli import main

from .bad_specs import GOOD


@dataclass(frozen=True)
class Outcome:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., Outcome]:
    """Run `pdeml ARGUMENTS` in the test's own folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PDEML_DEBUG", raising=False)

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = main([str(part) for part in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a spec and its finished run; not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "good.yaml").write_text(GOOD)
    assert main(["train", str(folder / "good.yaml"), "--out", str(folder / "runs" / "good"), "--quiet"]) == 0
    return folder


@pytest.fixture
def good(cli: Callable[..., Outcome], finished: Path, tmp_path: Path) -> Path:
    """A copy of the spec and of the finished run in the test's folder; returns the run."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return Path("runs/good")


@contextmanager
def untouched(folder: Path) -> Iterator[None]:
    """Assert that nothing in a folder appears, disappears or changes."""
    before = _listing(folder)
    yield
    assert _listing(folder) == before


def _listing(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = f"{path.is_dir()} {hashlib.sha256(content).hexdigest()}"
    return found


def refused(found: Outcome, *says: str, lines: int = 1) -> None:
    """Assert exit code 2 and one clear message on standard error alone."""
    assert found.code == 2, found
    assert found.out == ""
    assert found.err.count("\n") == lines
    assert len(found.err) < 700
    for part in ("Traceback", "internal error", "ValidationError", "pydantic", "NoneType"):
        assert part not in found.err
    for part in says:
        assert part in found.err, (part, found.err)
