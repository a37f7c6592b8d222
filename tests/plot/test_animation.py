"""Animations have a frame a moment, move, and leave nothing behind when they fail."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from matplotlib.animation import FFMpegWriter
from PIL import Image

from pdeml.errors import InputError
from pdeml.field import Field
from pdeml.plot import animate_grid

X, Y, Z, T = (np.linspace(0, 1, n) for n in (12, 10, 4, 5))


@pytest.mark.parametrize("names", ["xt", "xyt", "xyzt"])
@pytest.mark.parametrize("reference", [False, True])
def test_every_moment_is_a_frame(names: str, reference: bool, tmp_path: Path) -> None:
    axes = {name: {"x": X, "y": Y, "z": Z, "t": T}[name] for name in names}
    field = Field.on_grid(axes, lambda p: {"u": np.sin(p[:, 0] * 5 + 9 * p[:, -1])}, time="t")
    if reference:
        field = field.with_reference(field)
    assert field.plot(tmp_path / "a.gif") is None
    with Image.open(tmp_path / "a.gif") as picture:
        assert picture.format == "GIF"
        assert picture.n_frames == len(T)
        frames = []
        for k in range(picture.n_frames):
            picture.seek(k)
            frames.append(np.asarray(picture.convert("RGB")).astype(int))
    assert all(np.abs(a - b).sum() > 1000 for a, b in itertools.pairwise(frames))
    assert (frames[0][:2] == 255).all(), "the background is white"
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]


def test_long_series_are_thinned(tmp_path: Path) -> None:
    t = np.linspace(0, 1, 500)
    count = animate_grid(tmp_path / "a.gif", {"t": t, "x": X}, {"u": np.sin(t[:, None] + X)}, time="t")
    assert count == 60


def test_what_does_not_move_is_refused(tmp_path: Path) -> None:
    for field in (
        Field(("x",), {"x": X}, {"u": X}),
        Field(("t", "x"), {"t": T[:1], "x": X}, {"u": X[None]}, time="t"),
        Field(("t",), {"t": T}, {"u": T}, time="t"),
        Field.at_points(np.c_[X, X], ["x", "t"], {"u": X}, time="t"),
    ):
        with pytest.raises(InputError, match=r"save a \.png instead"):
            field.plot(tmp_path / "a.gif")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", interrupt)
    with pytest.raises(KeyboardInterrupt):
        animate_grid(tmp_path / "a.gif", {"t": T, "x": X}, {"u": np.zeros((5, 12))}, time="t")
    assert list(tmp_path.iterdir()) == []


def test_mp4_needs_ffmpeg(tmp_path: Path) -> None:
    arguments = ({"t": T, "x": X}, {"u": np.zeros((5, 12))})
    if FFMpegWriter.isAvailable():
        animate_grid(tmp_path / "a.mp4", *arguments, time="t")
        assert (tmp_path / "a.mp4").read_bytes()[4:8] == b"ftyp"
    else:
        with pytest.raises(InputError, match="ffmpeg"):
            animate_grid(tmp_path / "a.mp4", *arguments, time="t")
