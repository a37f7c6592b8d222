"""Outside the geometry values are missing by design, inside they are an error; no batch carries NaN unasked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pdeml.data import ArrayInfo, Coordinate, Dataset, Frames, Schema, Stream, Writer, validate
from pdeml.data.mask import first_hole, holes
from pdeml.errors import FileFormatError, InputError

SAMPLES = 5
SCHEMA = Schema(
    {
        "a": ArrayInfo("a", ("y", "x"), (4, 6), np.float64, "input"),
        "u": ArrayInfo("u", ("t", "y", "x"), (3, 4, 6), np.float64, "output"),
        "nu": ArrayInfo("nu", (), (), np.float64, "parameter"),
        "mask": ArrayInfo("mask", ("y", "x"), (4, 6), np.int8, "input"),
    },
    {"x": Coordinate(np.arange(6.0)), "y": Coordinate(np.arange(4.0)), "t": Coordinate(np.arange(3.0))},
)


def made(number: int) -> dict[str, np.ndarray]:
    """Return a sample with a hole of its own: its input is known everywhere, its output is not."""
    rng = np.random.default_rng(number)
    mask = np.ones((4, 6), np.int8)
    mask[1:3, number % 4 : number % 4 + 2] = 0
    u = np.where(mask, rng.standard_normal((3, 4, 6)) + 9, np.nan)
    return {"a": rng.standard_normal((4, 6)), "u": u, "nu": np.array(0.5), "mask": mask}


def write(path: Path, inside: bool = False) -> Path:
    """Write a data set; with a value missing inside the geometry of sample 3, if asked for."""
    with Writer(path, SCHEMA, SAMPLES, {}) as writer:
        for number in range(SAMPLES):
            sample = made(number)
            if inside and number == 3:
                sample["u"][2, 0, 0] = np.nan
            writer.append(sample)
        writer.finish()
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "a.h5")


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "a.h5", inside=True)


@pytest.mark.parametrize("fill", [0.0, -7, None])
@pytest.mark.parametrize("normalise", [False, True])
def test_values_outside_are_filled_and_those_inside_are_untouched(path: Path, fill: float | None, normalise: bool):
    dataset = Dataset(path, normalise=normalise, fill=fill, dtype=torch.float64)
    for number in range(SAMPLES):
        item, sample = dataset[number], made(number)
        inside = np.broadcast_to(sample["mask"] != 0, (3, 4, 6))
        u = dataset.denormalise("u", item["u"]).numpy()
        np.testing.assert_allclose(u[inside], sample["u"][inside], rtol=1e-14)
        np.testing.assert_array_equal(item["u"].numpy()[~inside], np.nan if fill is None else fill)
        np.testing.assert_array_equal(item["mask"], sample["mask"])
        np.testing.assert_allclose(dataset.denormalise("a", item["a"]), sample["a"], rtol=1e-13, atol=1e-13)


def test_the_mask_comes_with_what_it_is_about(path: Path):
    assert Dataset(path, arrays=["u"]).arrays == ("u", "mask")
    assert Dataset(path, arrays=["nu"]).arrays == ("nu",)
    for batch in Stream(Dataset([path, path], arrays=["u"], normalise=True), 4):
        outside = (batch["mask"] == 0)[:, None].expand_as(batch["u"])
        assert outside.any()
        assert (batch["u"][outside] == 0).all()
        assert batch["u"].isfinite().all()


def test_windows_and_frames_take_their_part_of_the_mask(path: Path):
    window = {"x": slice(1, None, 2), "t": slice(1, None), "y": slice(0, 3)}
    dataset = Dataset(path, window=window, frames=Frames(1, 1), dtype=None)
    for number in range(SAMPLES):
        item, sample = dataset[number], made(number)
        np.testing.assert_array_equal(item["mask"], sample["mask"][:3, 1::2])
        both = np.nan_to_num(sample["u"][1:, :3, 1::2], nan=0.0)
        np.testing.assert_array_equal(torch.cat([item["u"], item["u_next"]]), both)


def test_what_is_missing_inside_is_an_error_that_names_the_sample(broken: Path):
    with pytest.raises(FileFormatError, match="array 'u', sample 3: holds NaN or infinite values inside the geometry"):
        list(Stream(Dataset(broken), 2))
    assert len(list(Stream(Dataset(broken, [0, 1, 2, 4]), 2))) == 2
    u = Dataset(broken, allow_nan=True)[3]["u"]
    assert u.isnan().nonzero().tolist() == [[2, 0, 0]], "what is outside is filled all the same"


def test_the_validator_looks_inside(path: Path, broken: Path):
    assert validate(path, data=True) == []
    assert validate(broken, data=True) == ["array 'u', sample 3: holds values that are not finite"]


@pytest.mark.parametrize("fill", [np.nan, np.inf, "0"])
def test_a_fill_that_is_no_number_is_refused(path: Path, fill: object):
    with pytest.raises(InputError, match="fill must be a finite number"):
        Dataset(path, fill=fill)


@given(
    hnp.arrays(np.float64, (4, 3, 2), elements=st.sampled_from([0.0, 1e308, -1e308, np.nan, np.inf])),
    hnp.arrays(bool, (4, 1, 2)),
)
def test_the_first_hole_is_the_first_sample_with_one(values: np.ndarray, inside: np.ndarray):
    bad = [
        n for n in range(4) for i in range(3) for j in range(2) if not np.isfinite(values[n, i, j]) and inside[n, 0, j]
    ]
    assert first_hole(holes(values), inside) == (bad[0] if bad else None)
