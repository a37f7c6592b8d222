"""A file is either absent, or the old one, or complete."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pdeml.errors import InputError, RunError
from pdeml.files import (
    TEMPORARY_SUFFIX,
    atomic_json,
    atomic_text,
    atomic_write,
    file_digest,
    json_digest,
    sweep_temporaries,
)


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_text_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    atomic_text(path, "first")
    atomic_text(path, "zweite: ü\n")
    assert path.read_bytes() == "zweite: ü\n".encode()
    assert names_in(tmp_path) == ["a.txt"]


def test_json_ends_in_a_newline(tmp_path: Path) -> None:
    atomic_json(tmp_path / "a.json", {"b": [1, None]})
    assert (tmp_path / "a.json").read_text() == '{\n  "b": [\n    1,\n    null\n  ]\n}\n'


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
def test_any_exception_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_write(path) as temporary:  # noqa: PT012 (the block is what is tested)
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["a.txt"]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    atomic_text(tmp_path / "a", "x")
    (tmp_path / "b").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_symbolic_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    atomic_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_a_long_name_still_has_room_for_the_temporary(tmp_path: Path) -> None:
    name = "é" * 127
    atomic_text(tmp_path / name, "x")
    assert names_in(tmp_path) == [name]


@pytest.mark.parametrize("where", ["missing/a.txt", ".", "/dev/null"])
def test_wrong_targets_are_the_users_to_mend(tmp_path: Path, where: str) -> None:
    with pytest.raises(InputError, match="cannot write"):
        atomic_text(tmp_path / where, "x")
    assert names_in(tmp_path) == []


CHILD = """
import os, resource, sys
from pdeml.errors import RunError
from pdeml.files import atomic_write, write_netcdf, save_tensors, Variable
import numpy as np
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
data = np.zeros(100_000)
jobs = {
    "text": lambda: _raw(),
    "netcdf": lambda: write_netcdf("a", {"x": Variable(("x",), data), "u": Variable(("x",), data)}, {}),
    "tensors": lambda: save_tensors("a", {"u": data}),
}
def _raw():
    with atomic_write("a") as temporary, temporary.open("wb") as stream:
        stream.write(data.tobytes())
try:
    jobs[sys.argv[1]]()
except RunError as error:
    print(error, flush=True)
    os._exit(5)
"""


@pytest.mark.parametrize("job", ["text", "netcdf", "tensors"])
def test_a_full_disk_is_one_clear_error_and_keeps_the_old_file(tmp_path: Path, job: str) -> None:
    (tmp_path / "a").write_text("old")
    done = subprocess.run([sys.executable, "-c", CHILD, job], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 5, done.stderr
    assert "cannot write" in done.stdout
    assert "too large" in done.stdout
    assert (tmp_path / "a").read_text() == "old"
    assert names_in(tmp_path) == ["a"]


def test_a_killed_process_leaves_a_temporary_that_is_swept(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pdeml.files import atomic_write\n"
        "with atomic_write('a.txt') as temporary:\n"
        "    temporary.write_text('half'); print('ready', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    assert sweep_temporaries(tmp_path) == ()
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    (left,) = names_in(tmp_path)
    assert left.endswith(TEMPORARY_SUFFIX)
    (tmp_path / "mine.txt").write_text("x")
    assert [path.name for path in sweep_temporaries(tmp_path)] == [left]
    assert names_in(tmp_path) == ["mine.txt"]


def test_readers_never_see_a_half_written_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    atomic_text(path, "x" * 100_000)
    code = "from pdeml.files import atomic_text\nfor k in range(200): atomic_text('a.txt', 'xy'[k % 2] * 100_000)"
    child = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    deadline = time.monotonic() + 30
    while child.poll() is None and time.monotonic() < deadline:
        text = path.read_text()
        assert len(text) == 100_000
        assert len(set(text)) == 1
    assert child.wait() == 0


def test_no_permission_is_a_run_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> int:
        raise PermissionError(13, "Permission denied", str(tmp_path / "a"))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(RunError, match="permission denied"):
        atomic_text(tmp_path / "a", "x")


def test_digests_tell_files_and_values_apart(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    assert file_digest(tmp_path / "a") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert json_digest({"a": 1, "b": 2}) == json_digest({"b": 2, "a": 1}) != json_digest({"a": 1, "b": 3})
