"""What a kill, a crash or a full disk leaves: a valid file with all finished samples, at every single system call."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from pdeml.data import Schema, Writer, open_source, validate
from pdeml.errors import RunError

from .making import ATTRS, LARGE, expected, mixed_schema, sample

xarray = pytest.importorskip("xarray")
pytest.importorskip("h5netcdf")

SAMPLES = 3


class Disk:
    """Records what is done to a file, so that it can be shown as a killed process would have left it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.calls: list[tuple[int, bytes | None]] = []
        self.pwrite, self.ftruncate = os.pwrite, os.ftruncate
        monkeypatch.setattr(os, "pwrite", self._write)
        monkeypatch.setattr(os, "ftruncate", self._truncate)

    def _write(self, file: int, data: memoryview, offset: int) -> int:
        self.calls.append((offset, bytes(data)))
        return self.pwrite(file, data, offset)

    def _truncate(self, file: int, size: int) -> None:
        self.calls.append((size, None))
        self.ftruncate(file, size)

    def states(self, start: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield (calls done, content) after each call, and with the last one done in part.

        The system writes numbers of eight bytes as a whole, longer data possibly up to the end of any page.
        """
        content = bytearray(start)
        yield 0, bytes(content)
        for number, (at, data) in enumerate(self.calls, 1):
            if data is None:
                content = content[:at].ljust(at, b"\0")
            else:
                content = content.ljust(at + len(data), b"\0")
                for end in [*range(4096, min(len(data), 3 * 4096), 4096), len(data)] if len(data) > 8 else [len(data)]:
                    content[at : at + end] = data[:end]
                    yield number - (end < len(data)), bytes(content)
                    continue
            yield number, bytes(content)


@pytest.mark.parametrize("gzip", [0, 1])
def test_a_file_is_valid_after_every_system_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gzip: int) -> None:
    schema = mixed_schema(gzip)
    writer = Writer(tmp_path / "a.h5", schema, SAMPLES, ATTRS)
    start = writer.part.read_bytes()
    disk = Disk(monkeypatch)
    finished = []
    for number in range(SAMPLES):
        writer.append(sample(schema, number))
        finished.append(len(disk.calls))
    writer.finish({"train": [0, 1], "test": [2]})
    monkeypatch.undo()
    final = {name: expected(schema, name, range(SAMPLES)) for name in schema.arrays}
    seen = set()
    for count, (calls, content) in enumerate(disk.states(start)):
        part = tmp_path / "killed.h5.part"
        part.write_bytes(content)
        with h5py.File(part) as file:
            lengths = {name: len(file[name]) for name in schema.arrays}
            for name, length in lengths.items():
                np.testing.assert_array_equal(file[name][...], final[name][:length])
        least = sum(calls >= end for end in finished)
        assert least <= min(lengths.values()) <= max(lengths.values()) <= least + 1
        with open_source(part) as source:
            assert least <= source.length <= min(lengths.values())
            assert not source.complete
        seen.add(least)
        if count % 25 == 0:
            check_resumed(part, schema, final)
    assert seen == set(range(SAMPLES + 1))


def check_resumed(part: Path, schema: Schema, final: dict[str, np.ndarray]) -> None:
    with open_source(part) as source, xarray.open_dataset(part, engine="h5netcdf") as data:
        for name, values in final.items():
            np.testing.assert_array_equal(data[name][: source.length], values[: source.length])
    with Writer(part.with_suffix(""), schema, SAMPLES, ATTRS, resume=True) as writer:
        for number in range(writer.done, SAMPLES):
            writer.append(sample(schema, number))
        writer.finish()
    assert validate(writer.path, data=True) == []
    with open_source(writer.path) as source:
        for name, values in final.items():
            np.testing.assert_array_equal(source.read(name, slice(None)), values)
    writer.path.unlink()


KILLED = """
import sys
sys.path.insert(0, {folder!r})
from pathlib import Path
from making import ATTRS, mixed_schema, sample
from pdeml.data import Writer
schema = mixed_schema()
with Writer(Path({path!r}), schema, 2000, ATTRS, resume=True) as writer:
    for number in range(writer.done, 2000):
        writer.append(sample(schema, number))
        print(number + 1, flush=True)
"""


def test_a_killed_process_loses_no_finished_sample(tmp_path: Path) -> None:
    path, schema = tmp_path / "a.h5", mixed_schema()
    part = path.with_name("a.h5.part")
    rng = np.random.default_rng(0)
    said = 0
    for _ in range(2):
        code = KILLED.format(folder=str(Path(__file__).parent), path=str(path))
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            first = int(process.stdout.readline())
            assert first == said + 1, "resumed after the last finished sample"
            time.sleep(rng.uniform(0.05, 0.3))
            process.send_signal(signal.SIGKILL)
            lines = process.stdout.read().split()
        said = max([first, *map(int, lines)])
        with h5py.File(part) as file:
            done = len(file["sample"])
            assert said <= done <= said + 1
            for name in schema.arrays:
                np.testing.assert_array_equal(file[name][:done], expected(schema, name, range(done)))
        assert validate(part, data=True) == []
        said = done


def write_all(writer: Writer, schema: Schema) -> None:
    for number in range(writer.done, writer.samples):
        writer.append(sample(schema, number))


LIMITED = """
import resource, sys
sys.path.insert(0, {folder!r})
from pathlib import Path
from making import ATTRS, mixed_schema, sample
from pdeml.data import Writer
from pdeml.errors import RunError
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
schema = mixed_schema()
writer = Writer(Path({path!r}), schema, 20, ATTRS)
try:
    for number in range(20):
        writer.append(sample(schema, number))
except RunError as error:
    print(writer.done, error)
"""


@pytest.mark.parametrize("limit", [1_000_000, 1_500_001, 2_345_678])
def test_a_full_disk_keeps_what_is_finished(tmp_path: Path, limit: int) -> None:
    path, schema = tmp_path / "a.h5", mixed_schema()
    code = LIMITED.format(folder=str(Path(__file__).parent), path=str(path), limit=limit)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    count, message = done.stdout.split(maxsplit=1)
    assert "the file is too large" in message
    assert f"its {count} finished samples are kept" in message
    assert int(count) >= 1
    part = path.with_name("a.h5.part")
    assert part.stat().st_size <= limit
    with h5py.File(part) as file:
        assert len(file["big"]) == int(count)
        np.testing.assert_array_equal(file["big"][...], expected(schema, "big", range(int(count))))
    with Writer(path, schema, 20, ATTRS, resume=True) as writer:
        assert writer.done == int(count)
        for number in range(writer.done, 20):
            writer.append(sample(schema, number))
        writer.finish()
    assert validate(path, data=True) == []


def test_no_space_for_the_description_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limit[1]))
    try:
        with pytest.raises(RunError, match="the file is too large"):
            Writer(tmp_path / "a.h5", mixed_schema(), 20, ATTRS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs the superuser")
@pytest.mark.parametrize("gzip", [0, 1])
def test_a_disk_that_is_really_full(tmp_path: Path, gzip: int) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    options = ["-t", "tmpfs", "-o", "size=3m", "tmpfs", str(mount)]
    if subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
        pytest.skip("no small disk can be mounted here")
    schema = mixed_schema(gzip)
    try:
        with Writer(mount / "a.h5", schema, 20, ATTRS) as writer:
            with pytest.raises(RunError, match=r"the disk is full; its \d finished samples are kept"):
                write_all(writer, schema)
            done = writer.done
        assert done >= 5
        subprocess.run(["mount", "-o", "remount,size=40m", str(mount)], check=True)
        with Writer(mount / "a.h5", schema, 20, ATTRS, resume=True) as writer:
            assert writer.done == done
            write_all(writer, schema)
            writer.finish()
        assert validate(writer.path, data=True) == []
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_no_room_to_compress_keeps_the_samples(tmp_path: Path) -> None:
    schema = mixed_schema(1)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Writer(tmp_path / "a.h5", schema, 8, ATTRS) as writer:
        for number in range(8):
            writer.append(sample(schema, number))
        resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, limit[1]))
        try:
            with pytest.raises(RunError, match=r"the file is too large; all samples are kept in 'a\.h5\.part'"):
                writer.finish()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5.part"]
    with Writer(tmp_path / "a.h5", schema, 8, ATTRS, resume=True) as writer:
        assert writer.done == 8
        writer.finish()
    assert validate(writer.path, data=True) == []


def test_samples_are_as_large_as_the_tests_assume() -> None:
    assert np.prod(LARGE) * 8 >= 256 * 1024
