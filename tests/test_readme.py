"""Everything that README.md shows is run."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from pdeml.cli import main

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, its first line in the file."""

    language: str
    text: str
    line: int

    @property
    def name(self) -> str:
        """The file that the first line names, as ``# fisher.yaml``."""
        return self.text.split("\n", 1)[0].removeprefix("#").strip()


def blocks() -> list[Block]:
    text = README.read_text(encoding="utf-8")
    return [Block(m[1], m[2], text.count("\n", 0, m.start(2)) + 1) for m in FENCE.finditer(text)]


def of(language: str) -> list[Block]:
    return [block for block in blocks() if block.language == language]


def refusals() -> list[tuple[Block, str]]:
    """YAML blocks followed by the message that refuses them."""
    found = blocks()
    return [
        (one, two.text) for one, two in itertools.pairwise(found) if (one.language, two.language) == ("yaml", "text")
    ]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds the YAML blocks as files."""
    for block in of("yaml"):
        (tmp_path / block.name).write_text(block.text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_block_is_of_a_kind_that_is_run():
    assert {block.language for block in blocks()} <= {"python", "yaml", "sh", "text"}
    assert len(of("text")) == len(refusals()) >= 1


@pytest.mark.timeout(900)
def test_python_blocks_run_one_after_the_other(tmp_path: Path):
    lines: list[str] = []
    for block in of("python"):
        lines += [""] * (block.line - 1 - len(lines)) + block.text.splitlines()
    script = tmp_path / "readme.py"  # its lines have the numbers they have in README.md
    script.write_text("\n".join(lines) + "\n", encoding="utf-8")
    environment = {**os.environ, "MPLBACKEND": "agg", "PYTHONWARNINGS": "error"}
    subprocess.run([sys.executable, script.name], cwd=tmp_path, env=environment, check=True)
    for name in re.findall(r'"([\w.]+\.(?:h5|png))"', script.read_text(encoding="utf-8")):
        assert (tmp_path / name).stat().st_size > 0, name


@pytest.mark.parametrize("block", of("yaml"), ids=lambda block: block.name)
def test_yaml_blocks_validate_unless_an_error_is_shown(block: Block, folder: Path, capsys: pytest.CaptureFixture[str]):
    message = dict(refusals()).get(block)
    code = main(["validate", block.name])
    if message is None:
        assert code == 0
        assert "warning" not in capsys.readouterr().err
    else:
        assert code == 2
        assert capsys.readouterr().err == message


@pytest.mark.timeout(600)
def test_shell_lines_run_in_their_order(folder: Path):
    lines = [shlex.split(line, comments=True) for block in of("sh") for line in block.text.splitlines()]
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for program, *arguments in filter(None, lines):
        if program == "make":
            assert set(arguments) <= set(targets)
            continue
        assert program == "pdeml"
        assert main(arguments) == 0, arguments
    assert (folder / "runs" / "fisher" / "summary.json").exists()
    assert (folder / "fine.h5").exists()


def test_the_run_directory_holds_what_the_table_says(folder: Path):
    listed = re.search(r"A run directory holds\n\n(.*?)\n\n", README.read_text(encoding="utf-8"), re.DOTALL)
    names = re.findall(r"`([\w.]+)/?`", "\n".join(line.split("|")[1] for line in listed[1].splitlines()))
    assert main(["train", "heat", "--set", "solver.steps=1", "--quiet"]) == 0
    assert {path.name for path in (folder / "runs" / "heat").iterdir()} == set(names)


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (ROOT / target).exists(), target


@pytest.mark.parametrize("name", ["accuracy", "darcy", "flow", "jets", "orders", "stream"])
def test_tables_have_their_markers_once(name: str):
    text = README.read_text(encoding="utf-8")
    assert [text.count(f"<!-- {name}:{end} -->") for end in ("begin", "end")] == [1, 1]
    assert text.index(f"<!-- {name}:begin -->") < text.index(f"<!-- {name}:end -->")
