"""The tutorials run, write the files they say they write, and their specs validate."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pdeml.cli import main

FOLDER = Path(__file__).resolve().parents[1] / "tutorials"
SCRIPTS = sorted(FOLDER.glob("*.py"))
SPECS = sorted((FOLDER / "specs").glob("*.yaml"))


def files_promised(script: Path) -> list[str]:
    """Names of files in the sentence of the docstring that begins with ``It writes``."""
    text = " ".join((ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or "").split())
    sentence = re.search(r"It writes .*?\.(?: |$)", text)
    return re.findall(r"[\w-]+\.(?:h5|png|gif|yaml)\b", sentence[0]) if sentence else []


def test_there_are_tutorials_and_specs():
    assert SCRIPTS
    assert SPECS


@pytest.mark.timeout(300)
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_tutorial_runs_and_writes_what_it_says(script: Path, tmp_path: Path):
    environment = {**os.environ, "MPLBACKEND": "agg", "PYTHONWARNINGS": "error"}
    subprocess.run([sys.executable, str(script)], cwd=tmp_path, env=environment, check=True)
    promised = files_promised(script)
    assert promised
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(promised)
    assert all((tmp_path / name).stat().st_size for name in promised)


@pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.stem)
def test_spec_validates_without_a_warning(spec: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["validate", str(spec)]) == 0
    assert "warning" not in capsys.readouterr().err


def test_pictures_are_small():
    pictures = sorted((FOLDER / "images").iterdir())
    assert pictures
    assert all(picture.stat().st_size < 200_000 for picture in pictures)
