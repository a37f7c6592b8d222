"""Damaged runs and hostile or unreadable files are refused: exit code 2, one clear message, nothing left behind."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from pdeml.field import Field

from .bad_specs import EXACT, GOOD
from .conftest import refused, untouched


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "state-truncated": (lambda run: truncate(run / "checkpoint/state.safetensors"), "state.safetensors"),
    "state-empty": (lambda run: (run / "checkpoint/state.safetensors").write_bytes(b""), "state.safetensors"),
    "state-garbage": (lambda run: (run / "checkpoint/state.safetensors").write_bytes(b"x" * 999), "state.safetensors"),
    "state-huge-header": (
        lambda run: (run / "checkpoint/state.safetensors").write_bytes(b"\xff" * 7 + b"\x7f{}"),
        "state.safetensors",
    ),
    "state-missing": (lambda run: (run / "checkpoint/state.safetensors").unlink(), "state.safetensors"),
    "state-of-another-problem": (lambda run: rewrite(run / "spec.yaml", "width: 4", "width: 5"), "does not belong"),
    "spec-removed": (lambda run: (run / "spec.yaml").unlink(), "spec.yaml"),
    "spec-garbage": (lambda run: (run / "spec.yaml").write_bytes(bytes(99)), "spec.yaml"),
    "spec-hostile": (
        lambda run: rewrite(run / "spec.yaml", "alpha*u_xx", "__import__('os').system('touch pwned')"),
        "__import__",
    ),
    "summary-garbage": (lambda run: (run / "summary.json").write_text("{garbage"), "summary.json"),
    "summary-a-list": (lambda run: (run / "summary.json").write_text("[]"), "summary.json"),
    "summary-empty": (lambda run: (run / "summary.json").write_text("{}"), "summary.json"),
    "summary-of-wrong-types": (
        lambda run: rewrite(run / "summary.json", '"errors": {', '"errors": {"u": 3, "v": '),
        "summary.json",
    ),
    "summary-nested": (lambda run: (run / "summary.json").write_text("[" * 100000), "summary.json"),
}


@pytest.mark.parametrize("command", ["predict", "evaluate"])
@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_runs_are_refused(cli, good, tmp_path, name, command):
    damage, message = DAMAGES[name]
    damage(good)
    with untouched(tmp_path):
        refused(cli(command, good), message)


@pytest.mark.parametrize("name", ["state-truncated", "state-garbage", "state-huge-header", "spec-garbage"])
def test_damaged_runs_are_not_resumed(cli, good, tmp_path, name):
    damage, message = DAMAGES[name]
    (good / "summary.json").unlink()
    damage(good)
    with untouched(tmp_path):
        refused(cli("train", "good.yaml", "--resume"), message)


def test_a_checkpoint_of_another_problem_is_not_resumed(cli, good, tmp_path):
    (good / "summary.json").unlink()
    other = ["--out", "runs/other", "--set", "solver.width=5", "--quiet"]
    assert cli("train", "good.yaml", *other).code == 0
    (good / "checkpoint/state.safetensors").write_bytes(Path("runs/other/checkpoint/state.safetensors").read_bytes())
    with untouched(tmp_path):
        refused(cli("train", "good.yaml", "--resume"), "runs/good", "does not belong")


def spoil(path: Path, change: Callable[[h5py.File], object]) -> None:
    with h5py.File(path, "r+") as file:
        change(file)


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "f8")
    layout[:] = h5py.VirtualSource("/etc/passwd", "u", (4,))
    file.create_virtual_dataset("v", layout)


def references(file: h5py.File) -> None:
    file.create_dataset("refs", data=[file["u"].ref], dtype=h5py.ref_dtype).make_scale("refs")


def nan_coordinates(file: h5py.File) -> None:
    file["x"][...] = np.nan


HOSTILE: dict[str, tuple[Callable[[h5py.File], object], str]] = {
    "external-link": (lambda f: f.__setitem__("leak", h5py.ExternalLink("/etc/passwd", "/u")), "external link"),
    "external-link-deep": (lambda f: f.__setitem__("a/b/leak", h5py.ExternalLink("o.h5", "/u")), "external link"),
    "soft-link-outside": (
        lambda f: [f.__setitem__("door", h5py.ExternalLink("o.h5", "/")), f.__setitem__("w", h5py.SoftLink("/door/u"))],
        "external link",
    ),
    "soft-link-dangling": (lambda f: f.__setitem__("leak", h5py.SoftLink("/none")), "leads nowhere"),
    "external-storage": (
        lambda f: f.create_dataset("leak", (4,), "f8", external=[("/etc/passwd", 0, 32)]),
        "another file",
    ),
    "virtual": (virtual, "virtual data set"),
    "no-format": (lambda f: f.attrs.__delitem__("pdeml_format"), ""),
}
READ_ONLY = {
    "enormous": (lambda f: f.create_dataset("big", (2**50,), "f8", chunks=(1024,)).make_scale("big"), "memory"),
    "references": (references, "references"),
    "wrong-format": (lambda f: f.attrs.__setitem__("pdeml_format", "field/99"), "field/99"),
    "format-is-a-number": (lambda f: f.attrs.__setitem__("pdeml_format", 7), ""),
    "no-unknowns": (lambda f: [f.__delitem__(name) for name in ("u", "u_reference", "u_error")], "no unknown"),
    "nan-coordinates": (nan_coordinates, "x"),
}


def used(cli: Callable, command: str) -> object:
    """Give ``h.h5`` to a command, or to a spec as its reference."""
    match command:
        case "evaluate" | "predict":
            return cli(command, "runs/good", "--data", "h.h5")
        case "reference":
            return cli("train", "good.yaml", "--out", "new", "--set", "reference={file: h.h5}")
        case _:
            return cli(command, "h.h5")


@pytest.mark.parametrize("command", ["inspect", "plot", "evaluate", "predict", "reference"])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_hdf5_files_are_refused(cli, good, tmp_path, name, command):
    change, message = HOSTILE[name]
    Path("h.h5").write_bytes((good / "fields.h5").read_bytes())
    Path("o.h5").write_bytes((good / "fields.h5").read_bytes())
    spoil(Path("h.h5"), change)
    with untouched(tmp_path):
        refused(used(cli, command), "h.h5", message)


@pytest.mark.parametrize("command", ["plot", "evaluate", "predict", "reference"])
@pytest.mark.parametrize("name", READ_ONLY)
def test_hdf5_files_that_cannot_be_read_are_refused(cli, good, tmp_path, name, command):
    change, message = READ_ONLY[name]
    Path("h.h5").write_bytes((good / "fields.h5").read_bytes())
    spoil(Path("h.h5"), change)
    with untouched(tmp_path):
        refused(used(cli, command), "h.h5", message)


@pytest.mark.parametrize("name", READ_ONLY)
def test_inspect_says_what_it_can_of_such_files(cli, good, name):
    Path("h.h5").write_bytes((good / "fields.h5").read_bytes())
    spoil(Path("h.h5"), READ_ONLY[name][0])
    found = cli("inspect", "h.h5")
    assert found.code in (0, 2)
    assert "internal" not in found.err


@pytest.mark.parametrize("command", ["inspect", "plot", "evaluate", "predict", "reference"])
@pytest.mark.parametrize("content", ["truncated", "half", "empty", "garbage", "header", "folder"])
def test_files_that_are_no_hdf5_are_refused(cli, good, tmp_path, content, command):
    whole = (good / "fields.h5").read_bytes()
    contents = {"truncated": whole[:-100], "half": whole[: len(whole) // 2], "empty": b"", "garbage": b"x" * 5000}
    if content == "folder":
        Path("h.h5").mkdir()
    else:
        Path("h.h5").write_bytes(contents.get(content, whole[:8] + bytes(400)))
    with untouched(tmp_path):
        refused(used(cli, command), "h.h5")


def test_a_reference_over_other_coordinates_or_too_small_a_range_is_refused(cli, good, tmp_path):
    x, t = np.linspace(0, 0.5, 9), np.linspace(0, 1, 7)
    Field(("t", "x"), {"t": t, "x": x}, {"u": np.zeros((7, 9))}).to_hdf5("small.h5")
    Field(("t", "y"), {"t": t, "y": x}, {"u": np.zeros((7, 9))}).to_hdf5("other.h5")
    Field(("t", "x"), {"t": t, "x": x}, {"w": np.zeros((7, 9))}).to_hdf5("names.h5")
    for file, says in [
        ("small", "covers x from 0 to 0.5"),
        ("other", "a grid over x, t"),
        ("names", "none of the unknowns u"),
    ]:
        Path("bad.yaml").write_text(GOOD.replace(f"exact: {{u: {EXACT}}}", f"file: {file}.h5"))
        with untouched(tmp_path):
            refused(cli("train", "bad.yaml", "--out", "new"), "bad.yaml:12: reference", says)


@pytest.mark.parametrize("mode", ["spec", "out", "run"])
def test_what_must_not_be_read_or_written_is_told(cli, finished, monkeypatch, mode):
    """As another user than root, who may do everything."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become another user")
    arguments = ["evaluate", "runs/good"] if mode == "run" else ["train", "good.yaml", "--out", "new", "--quiet"]
    with tempfile.TemporaryDirectory() as name:
        shutil.copytree(finished, name, dirs_exist_ok=True)
        monkeypatch.chdir(name)
        for path in (Path(), *Path().rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        locked = {"spec": Path("good.yaml"), "run": Path("runs/good/checkpoint")}.get(mode)
        if locked is not None:
            locked.chmod(0)
        os.seteuid(65534)
        try:
            found = cli(*arguments)
        finally:
            os.seteuid(0)
        monkeypatch.undo()
    assert found.code == (1 if mode == "out" else 2)
    assert "ermission" in found.err
    assert found.err.count("\n") == 1
