"""The data of operators: parts, names, grids and statistics; what is wrong is refused, with its place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pdeml.data import ArrayInfo, Schema
from pdeml.data.operator import OperatorData
from pdeml.data.portions import divided
from pdeml.data.signature import Axis
from pdeml.errors import FileFormatError, InputError
from pdeml.problem import Problem

from .making import DRIFT, SAMPLES, SPLIT, expected, small_schema, write, write_drift

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="module")
def plain(folder: Path) -> Path:
    return write(folder / "plain.h5", small_schema(), SAMPLES)


class Holding:
    """A source of some samples, of which some are named parts."""

    path = Path("some.h5")

    def __init__(self, length: int, split: dict[str, np.ndarray]):
        self.length, self.split = length, split


sizes = st.integers(1, 30) | st.floats(0.02, 0.4)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("train", "validation", "test"), sizes)), st.integers(60, 99))
def test_parts_of_a_file_without_parts_are_disjoint_and_the_training_part_takes_the_rest(asked: dict, n: int) -> None:
    try:
        parts = divided(Holding(n, {}), asked)
    except InputError:
        # Nothing is left; shares are rounded to whole samples.
        assert sum(size if isinstance(size, int) else size * n + 1 for size in asked.values()) >= n
        return
    together = np.concatenate(list(parts.values()))
    assert len(np.unique(together)) == len(together)
    for name, size in asked.items():
        assert abs(len(parts[name]) - (size if isinstance(size, int) else size * n)) <= 1
    if "train" not in asked:
        assert sorted(together) == list(range(n))


@given(st.permutations(range(40)), st.dictionaries(st.sampled_from(("train", "validation", "test")), st.integers(1, 9)))
def test_parts_of_a_file_with_parts_are_the_first_of_its_own(order: list[int], asked: dict[str, int]) -> None:
    own = {"train": np.sort(order[:20]), "validation": np.sort(order[20:30]), "test": np.sort(order[30:])}
    parts = divided(Holding(40, own), asked)
    for name, numbers in own.items():
        np.testing.assert_array_equal(parts[name], numbers[: asked.get(name)])


def test_a_part_that_the_file_does_not_name_is_cut_from_the_end_of_its_training_part(folder: Path) -> None:
    file = Holding(9, {"train": np.array([8, 6, 4, 2, 0]), "test": np.array([1, 3])})
    parts = divided(file, {"validation": 2})
    assert {name: numbers.tolist() for name, numbers in parts.items()} == {
        "train": [8, 6, 4],
        "validation": [2, 0],
        "test": [1, 3],
    }
    assert divided(file, {"validation": 2, "train": 1})["train"].tolist() == [8]
    with pytest.raises(InputError, match="4 samples are asked for; there are 3 in the part 'train'") as caught:
        divided(file, {"validation": 2, "train": 4})
    assert caught.value.path == ("train",)
    with pytest.raises(InputError, match="names no part 'validation', and there are 5 to train on") as caught:
        divided(file, {"validation": 5})
    assert caught.value.path == ("validation",)
    assert "validation" not in divided(file, {"train": 5})


def test_the_parts_of_the_file_count_unless_others_are_asked_for(split: Path, plain: Path) -> None:
    data = OperatorData(split, train=5)
    assert [data.numbers(name).tolist() for name in SPLIT] == [[2, 3, 4, 5, 6], [16, 17, 18, 19], [20, 21, 22]]
    assert [len(OperatorData(plain).numbers(name)) for name in SPLIT] == [19, 2, 2]
    other = OperatorData(plain, test=str(split))
    assert len(other.numbers("train")) == SAMPLES
    assert len(other.numbers("test")) == SAMPLES
    assert other.part("validation") is None
    batch = next(iter(other.part("test").batches(0, 4, shuffle=False)))
    np.testing.assert_array_equal(batch["u"], expected(small_schema(), "u", range(4)))


def link(kind: str, path: Path) -> str:
    found = path.with_name(f"{kind}.h5")
    if not found.exists():
        (os.link if kind == "hard" else os.symlink)(path, found)
    return str(found)


@pytest.mark.parametrize(
    "options, path, message",
    [
        ({"train": 20, "test": 4}, ("test",), "train 20, test 4.*add up to 24, but there are 23"),
        ({"train": 1.5}, ("train",), "a fraction below 1"),
        ({"train": 0}, ("train",), "no samples are left"),
        ({"train": 22, "test": 0.01}, ("test",), "no samples are left for it; .* holds 23"),
        ({"test": "plain"}, ("test",), "same data as .* give a number of samples"),
        ({"test": "hard"}, ("test",), "same data"),
        ({"test": "soft"}, ("test",), "same data"),
        ({"validation": "split", "test": "split"}, ("test",), "same data"),
        ({"test": "drift"}, ("test",), "not on the grid of the training samples|has no array"),
        ({"test": "none.h5"}, ("test",), "no such file"),
        ({"inputs": {"a": "b"}}, ("inputs", "a"), "'b' is not an array .* allowed: a, u, nu, mask"),
        ({"outputs": {"v": "uu"}}, ("outputs", "v"), "did you mean 'u'"),
        ({"outputs": {"u": "u(s=first)"}}, ("outputs", "u"), "'s' is not a dimension of 'u'; allowed: t, x"),
        ({"outputs": {"u": "u(t=0.5)"}}, ("outputs", "u"), "no point at t=0.5; it has 4 from 0 to 3"),
        ({"outputs": {"u": "u(t=end)"}}, ("outputs", "u"), "a number, first or last"),
        ({"outputs": {"u": "u(t=)"}}, ("outputs", "u"), "write a place as"),
        ({"outputs": {"u": "u(t=0, x=0)"}}, ("outputs",), "one number a sample"),
        ({"outputs": {"u": "u", "a": "a"}}, ("outputs",), r"u\(t, x\), a\(x\) have different dimensions"),
        ({"outputs": {"x": "u"}}, ("outputs",), r"'x' is the name of a coordinate, too .*, as outputs: {u: x}"),
        ({"inputs": {"t": "a"}}, ("inputs",), r"'t' is the name of a coordinate, too .*, as inputs: {a: t}"),
        ({"coordinates": {"y": (0, 1)}}, ("coordinates", "y"), "'y' is not a coordinate"),
        ({"periodic": ["z"]}, ("periodic", 0), "'z' is not a coordinate of the data"),
    ],
)
def test_wrong_data_are_refused_with_their_place(
    plain: Path, split: Path, drift: Path, options: dict[str, Any], path: tuple, message: str
) -> None:
    files = {"plain": str(plain), "split": str(split), "drift": str(drift)}
    for kind in ("hard", "soft"):
        files[kind] = link(kind, plain)
    given_ = {key: files.get(value, value) if isinstance(value, str) else value for key, value in options.items()}
    with pytest.raises(InputError, match=message) as caught:
        OperatorData(plain, **given_)
    assert caught.value.path == path


def test_names_under_which_arrays_are_shown_may_be_given(folder: Path) -> None:
    values = torch.arange(60.0).reshape(10, 6)
    torch.save({"x": values, "y": values + 1}, folder / "shown.pt")
    shown = OperatorData(folder / "shown.pt")
    assert [info.name for info in (*shown.arrays["inputs"], *shown.arrays["outputs"])] == ["a", "u"]
    chosen = OperatorData(folder / "shown.pt", inputs={"a": "a"})
    batch = next(iter(chosen.part("train").batches(0, 3, shuffle=False)))
    np.testing.assert_array_equal(batch["u"], batch["a"] + 1)


def test_values_that_are_not_finite_are_told_unless_they_lie_outside(folder: Path, split: Path) -> None:
    OperatorData(split).check_finite()  # NaN outside its mask
    a = np.ones((10, 6))
    a[9, 2] = np.inf
    np.savez(folder / "holes.npz", a=a, u=np.ones((10, 6)))
    named = {"inputs": {"a": "a"}, "outputs": {"u": "u"}}
    for part, sizes in (("test", {}), ("train", {"train": 10})):
        with pytest.raises(InputError, match=rf"'a' of sample 9, in the {part} part, holds NaN") as caught:
            OperatorData(folder / "holes.npz", **named, **sizes).check_finite()
        assert caught.value.path == ("file",)


def test_without_inputs_there_is_nothing_to_map(folder: Path) -> None:
    schema = Schema({"u": ArrayInfo("u", ("t", "x"), (4, 9), np.float32, "output")})
    data = OperatorData(write(folder / "outputs.h5", schema, 9))
    with pytest.raises(InputError, match=r"holds no inputs; name them, .*u\(t=first\)") as caught:
        data.signature()
    assert caught.value.path == ("inputs",)
    assert data.signature((1, 1)).inputs == ()
    chosen = OperatorData(folder / "outputs.h5", inputs={"first": "u(t=first)"})
    batch = next(iter(chosen.part("train").batches(0, 3, shuffle=False)))
    np.testing.assert_array_equal(batch["first"], batch["u"][:, 0])


def test_places_take_one_value_and_other_names_stay(split: Path) -> None:
    data = OperatorData(split, outputs={"end": "u(t=last)"})
    signature = data.signature()
    assert [(q.name, q.dims, q.unit) for q in signature.inputs] == [("a", ("x",), "m"), ("nu", (), "1")]
    assert [(q.name, q.dims, q.unit) for q in signature.outputs] == [("end", ("x",), "K")]
    assert signature.masked
    batch = next(iter(data.part("test").batches(0, 3, shuffle=False)))
    whole = expected(small_schema(), "u", [20, 21, 22])
    np.testing.assert_array_equal(batch["end"], whole[:, -1])
    values = expected(small_schema(), "u", SPLIT["train"])[:, -1]
    assert data.statistics["end"] == pytest.approx((values.mean(), values.std()), rel=1e-12)
    assert data.part("test", most=2).samples == 2
    middle = OperatorData(split, outputs={"end": "u(t=2.0)"}).part("test")
    np.testing.assert_array_equal(next(iter(middle.batches(0, 3, shuffle=False)))["end"], whole[:, 2])


def test_statistics_are_those_of_the_training_part(split: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []
    real = OperatorData._measured
    monkeypatch.setattr(OperatorData, "_measured", lambda *given: measured.append(given[1].name) or real(*given))
    for options, numbers in (({}, SPLIT["train"]), ({"train": 5}, range(2, 7))):
        data = OperatorData(split, **options)
        for name in ("a", "u", "nu"):
            values = expected(small_schema(), name, numbers).astype(np.float64)
            assert data.statistics[name] == pytest.approx((values.mean(), values.std()), rel=1e-9)
    assert measured == ["a", "nu", "u"], "what the file stores is of its own training part, and is not measured again"


def test_coordinates_and_units_of_the_file_and_of_its_problem(drift: Path, split: Path) -> None:
    data = OperatorData(drift)
    assert data.problem.periodic == ("x",)
    assert data.notes == ()
    axes = data.signature().axes
    assert {axis.name: axis for axis in axes} == {
        "x": Axis("x", 0.0, 1.0, 10, True, "m"),
        "t": Axis("t", 0.0, 3.0, 7, False, "s"),
    }
    assert not any(axis.periodic for axis in OperatorData(drift, periodic=()).signature().axes)
    assert OperatorData(split).problem is None, "its spec has no problem"
    assert OperatorData(split).signature().axis("x") == Axis("x", 0.0, 1.0, 9, False, "m")


def test_a_point_at_the_end_of_a_period_is_left_out(folder: Path, drift: Path) -> None:
    path = write_drift(folder / "closed.h5", np.linspace(0, 1, 11), 5)
    data = OperatorData(path)
    assert data.signature().axis("x") == Axis("x", 0.0, 1.0, 10, True, "m")
    batch = next(iter(data.part("train").batches(0, 2, shuffle=False)))
    assert batch["u"].shape == (2, 7, 10)
    assert len(batch.coordinates["x"]) == 10
    path = write_drift(folder / "half.h5", np.linspace(0, 0.5, 11), 5)
    with pytest.raises(InputError, match=r"period 1, but its 11 points run from 0 to 0\.5"):
        OperatorData(path)


def test_a_stored_end_of_a_period_that_nothing_tells_of_is_noticed(folder: Path) -> None:
    names = {"inputs": {"a": "a"}, "outputs": {"u": "u"}, "coordinates": {"x": (0, 1)}, "periodic": ["x"]}
    phases = np.random.default_rng(0).random((6, 1))
    for size, closed in ((9, True), (8, False)):
        waves = np.sin(2 * np.pi * (np.arange(size) / 8 + phases))
        np.savez(folder / "ring.npz", a=waves, u=np.cos(waves))
        notes = OperatorData(folder / "ring.npz", **names).notes
        assert [note for note in notes if "its first one again" in note] == list(notes)
        assert bool(notes) == closed


def test_a_problem_that_cannot_be_read_is_told(folder: Path) -> None:
    path = write_drift(folder / "old.h5", np.arange(10) / 10, 4, DRIFT.replace("unknowns", "unnowns"))
    data = OperatorData(path)
    assert data.problem is None
    assert len(data.notes) == 1
    assert "cannot be read, and is not used" in data.notes[0]
    assert "unnowns" in data.notes[0]


def test_a_user_s_range_of_a_period_has_no_point_at_its_end(folder: Path) -> None:
    path = folder / "bare.npz"
    rng = np.random.default_rng(0)
    np.savez(path, a=rng.normal(size=(6, 8)), u=rng.normal(size=(6, 8)))
    names = {"inputs": {"a": "a"}, "outputs": {"u": "u"}}
    assert OperatorData(path, **names).notes == (
        "the file has no values of x: from 0 to 1, unless 'coordinates' says otherwise",
    )
    assert OperatorData(path, **names).signature().axes == (Axis("x", 0.0, 1.0, 8),)
    data = OperatorData(path, **names, coordinates={"x": (0, 4)}, periodic=["x"])
    assert data.signature().axes == (Axis("x", 0.0, 4.0, 8, True),)
    assert data.notes == ()
    np.testing.assert_allclose(data.points["x"], np.arange(8) / 2)
    problem = Problem(coordinates={"x": (-1, 1)}, unknowns="u", equations="u_xx = u", conditions=[{"periodic": "x"}])
    told = OperatorData(path, **names).told(problem)
    assert told.signature().axes == (Axis("x", -1.0, 1.0, 8, True),)
    assert told.notes == ()


def test_integers_and_truths_become_floats_and_numbers_are_numbers(folder: Path) -> None:
    path = folder / "kinds.npz"
    np.savez(path, k=np.arange(40).reshape(5, 8), b=np.arange(40).reshape(5, 8) % 3 == 0, u=np.ones((5, 8)))
    data = OperatorData(path, inputs={"k": "k", "b": "b"}, outputs={"u": "u"}, train=5)
    batch = next(iter(data.part("train").batches(0, 5)))
    assert {name: tensor.dtype for name, tensor in batch.items()} == {
        "k": torch.float32,
        "b": torch.float32,
        "u": torch.float64,
    }
    assert data.statistics["u"] == (1.0, 1.0), "constant arrays are only shifted"
    np.savez(path, a=np.arange(333.0).reshape(37, 9), u=np.full((37, 9), 300.1))
    rounded = OperatorData(path, inputs={"a": "a"}, outputs={"u": "u"}, train=37).statistics["u"]
    assert rounded == (pytest.approx(300.1), 1.0), "rounding is no spread"


def test_nan_inside_is_an_error_that_names_the_sample(folder: Path) -> None:
    from pdeml.data import Writer

    schema = Schema(
        {
            "a": ArrayInfo("a", ("x",), (4,), np.float32, "input"),
            "u": ArrayInfo("u", ("x",), (4,), np.float32, "output"),
            "mask": ArrayInfo("mask", ("x",), (4,), np.int8, "input"),
        }
    )
    with Writer(folder / "holes.h5", schema, 4, {"title": "t", "spec": "", "seed": 0}) as writer:
        for number in range(4):
            u, mask = np.ones(4, np.float32), np.ones(4, np.int8)
            u[0], mask[0] = np.nan, 0
            u[1] = np.nan if number == 3 else 1
            writer.append({"a": np.ones(4, np.float32), "u": u, "mask": mask})
        writer.finish()
    data = OperatorData(folder / "holes.h5", train=3, test=1)
    batch = next(iter(data.part("train").batches(0, 3)))
    assert data.signature().masked
    assert batch["mask"].dtype == torch.float32
    assert batch["u"].tolist() == [[0, 1, 1, 1]] * 3
    assert batch["mask"].tolist() == [[0, 1, 1, 1]] * 3
    with pytest.raises(FileFormatError, match="'u', sample 3: holds NaN or infinite values inside the geometry"):
        next(iter(data.part("test").batches(0, 1)))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data are not here")
def test_files_of_neuraloperator() -> None:
    folder = SHARED / "darcy"
    data = OperatorData(
        folder / "darcy_train_16.pt",
        validation=100,
        test=str(folder / "darcy_test_16.pt"),
        coordinates={"x": (0, 0.9375), "y": (0, 0.9375)},
    )
    assert [len(data.numbers(name)) for name in SPLIT] == [900, 100, 50]
    signature = data.signature()
    assert signature.inputs[0].dims == signature.outputs[0].dims == ("y", "x")
    np.testing.assert_allclose(data.points["x"], np.arange(16) / 16)
    batch = next(iter(data.part("test").batches(0, 50, shuffle=False)))
    stored = torch.load(folder / "darcy_test_16.pt", weights_only=True)
    assert torch.equal(batch["u"], stored["y"].transpose(1, 2))
    assert torch.equal(batch["a"], stored["x"].mT.float())
    with pytest.raises(InputError, match=r"not on the grid of the training samples, 32 points of y.*pdeml evaluate"):
        OperatorData(folder / "darcy_train_16.pt", test=str(folder / "darcy_test_32.pt"))
