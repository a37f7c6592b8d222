"""CFDBench: folders of cases."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pdeml.data.source import open_source
from pdeml.errors import FileFormatError

from .checks import agrees

CASES = {"bc": (0, 2, 10), "geo": (1,), "prop": (3,)}


def _case(folder: Path, frames: int, **record: float) -> np.ndarray:
    rng = np.random.default_rng(frames)
    folder.mkdir(parents=True)
    values = rng.standard_normal((2, frames, 4, 5))
    np.save(folder / "u.npy", values[0])
    np.save(folder / "v.npy", values[1])
    (folder / "case.json").write_text(json.dumps({"density": 1.0, "viscosity": 0.1, **record}))
    return values


def _flow(root: Path, flow: str = "cavity", **record: float) -> np.ndarray:
    """Write a flow whose cases differ in their number of frames; return (case, 2, shortest, 4, 5) in order."""
    made = []
    for subset, numbers in CASES.items():
        for number in numbers:
            about = {"vel_top": float(number), **record}
            made.append(_case(root / flow / subset / f"case{number:04}", 3 + number % 3, **about))
    return np.stack([values[:, :3] for values in made])


def test_a_flow(tmp_path: Path):
    values = _flow(tmp_path, height=0.5, width=2.0)
    with open_source(tmp_path / "cavity") as source:
        expected = {
            "u": ("t y x", values[:, 0]),
            "v": ("t y x", values[:, 1]),
            "frames": ("", np.array([3, 5, 4, 4, 3])),
            "density": ("", np.ones(5)),
            "viscosity": ("", np.full(5, 0.1)),
            "vel_top": ("", np.array([0.0, 2, 10, 1, 3])),
            "height": ("", np.full(5, 0.5)),
            "width": ("", np.full(5, 2.0)),
        }
        axes = {"x": [0.2, 0.6, 1.0, 1.4, 1.8], "y": [0.0625, 0.1875, 0.3125, 0.4375], "t": np.arange(3) * 0.1}
        agrees(source, expected, axes)
        assert source.attrs["cases"][1:3] == ["bc/case0002", "bc/case0010"]


def test_any_level_may_be_opened(tmp_path: Path):
    values = _flow(tmp_path)
    for folder, cases in (("", range(5)), ("cavity/bc", range(3)), ("cavity/geo/case0001", [3])):
        with open_source(tmp_path / folder) as source:
            assert source.length == len(cases)
            np.testing.assert_array_equal(source.read("u", [0], {"t": slice(0, 3)}), values[[cases[0]], 0])


def test_varying_geometry_is_scaled_and_cylinder_knows_its_ends(tmp_path: Path):
    _case(tmp_path / "cylinder" / "geo" / "case0000", 3, x_min=-1, x_max=3, y_min=0, y_max=1)
    _case(tmp_path / "cylinder" / "geo" / "case0001", 3, x_min=-1, x_max=5, y_min=0, y_max=1)
    with open_source(tmp_path / "cylinder") as source:
        np.testing.assert_array_equal(source.read("width", slice(None)), [4, 6])
        np.testing.assert_allclose(source.coordinates["x"], [0.1, 0.3, 0.5, 0.7, 0.9])
        np.testing.assert_allclose(source.coordinates["t"], [0, 0.001, 0.002])


def _two_flows(root: Path) -> None:
    _flow(root, "tube")


def _damaged_json(root: Path) -> None:
    (root / "cavity/bc/case0002/case.json").write_text('{"density": ')


def _deep_json(root: Path) -> None:
    (root / "cavity/bc/case0002/case.json").write_text("[" * 100_000)


def _list_json(root: Path) -> None:
    (root / "cavity/bc/case0002/case.json").write_text("[1, 2]")


def _other_shape(root: Path) -> None:
    np.save(root / "cavity/bc/case0002/u.npy", np.zeros((3, 4, 6)))


def _objects(root: Path) -> None:
    np.save(root / "cavity/bc/case0002/u.npy", np.array([{"a": 1}]), allow_pickle=True)


def _cut(root: Path) -> None:
    file = root / "cavity/bc/case0002/u.npy"
    file.write_bytes(file.read_bytes()[:-8])


def _link_to_file(root: Path) -> None:
    file = root / "cavity/bc/case0002/u.npy"
    file.unlink()
    file.symlink_to("/etc/hostname")


def _link_to_folder(root: Path) -> None:
    (root / "cavity/bc/case0003").symlink_to(root / "cavity/geo/case0001")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_two_flows, "cavity, tube"),
        (_damaged_json, "not valid JSON"),
        (_deep_json, "not valid JSON"),
        (_list_json, "mapping"),
        (_other_shape, "must both be"),
        (_objects, "Python objects"),
        (_cut, "cut short"),
        (_link_to_file, "symbolic link"),
        (_link_to_folder, "symbolic link"),
    ],
)
def test_refusals(tmp_path: Path, change, said: str):
    _flow(tmp_path)
    change(tmp_path)
    with pytest.raises(FileFormatError, match=said):
        open_source(tmp_path)
