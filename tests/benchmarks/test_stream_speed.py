"""The benchmark of streaming measures what it says; its figures are not judged here."""

from __future__ import annotations

from pathlib import Path

import bench_stream
import pytest
from records import read


def test_a_small_run_gives_all_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_stream, "FOLDER", tmp_path)
    assert bench_stream.main(["--size", "0.04", "--rounds", "1", "--folder", str(tmp_path)]) in (0, 1)
    (row,) = read(tmp_path / "stream.csv", bench_stream.Timed)
    assert row.gib == pytest.approx(0.04, abs=1e-3)
    assert min(row.write_rate, row.h5py_rate, row.stream_rate) > 0
    assert row.ratio == pytest.approx(row.stream_rate / row.h5py_rate, rel=1e-6)
    assert 0 <= row.waiting <= 1
    assert [path.name for path in tmp_path.iterdir()] == ["stream.csv"]


def test_it_refuses_to_fill_the_disk(tmp_path: Path) -> None:
    assert bench_stream.main(["--size", "1e6", "--folder", str(tmp_path), "--no-record"]) == 2
    assert list(tmp_path.iterdir()) == []
