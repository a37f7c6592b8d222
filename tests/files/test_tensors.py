"""What goes into a tensor file comes out of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pdeml.errors import FileFormatError, InputError
from pdeml.files import load_tensors, save_tensors, tensor_shapes

TYPES = st.sampled_from(["f8", "f4", "f2", "i8", "i4", "u1", "?", "c8", "c16", ">f8"])
ARRAYS = TYPES.flatmap(
    lambda kind: hnp.arrays(np.dtype(kind), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
)
NAMES = st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__" and name.isprintable())
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(NAMES, ARRAYS, max_size=3),
    st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=4), JSON, max_size=3),
)
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, arrays: dict, meta: dict) -> None:
    path = tmp_path_factory.mktemp("tensors") / "a.safetensors"
    save_tensors(path, arrays, meta)
    found, found_meta = load_tensors(path)
    assert found_meta == meta
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found[name], array)
    assert tensor_shapes(path) == ({name: array.shape for name, array in arrays.items()}, meta)
    assert list(path.parent.iterdir()) == [path]


def test_torch_tensors_are_taken(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    half = torch.tensor([1.5, 2.5], dtype=torch.bfloat16)
    tensors = {"w": torch.arange(6.0).reshape(2, 3).T.requires_grad_(), "c": torch.tensor([1 + 2j]).conj(), "h": half}
    save_tensors(tmp_path / "a", tensors)
    found, _ = load_tensors(tmp_path / "a")
    np.testing.assert_array_equal(found["w"], [[0, 3], [1, 4], [2, 5]])
    np.testing.assert_array_equal(found["c"], np.array([1 - 2j], np.complex64))
    np.testing.assert_array_equal(found["h"], np.array([1.5, 2.5], np.float32))


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([object()]), np.array(["2020"], "M8[D]")])
def test_other_types_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    with pytest.raises(InputError, match="array 'a' has type"):
        save_tensors(tmp_path / "a", {"a": array})


def test_metadata_must_be_json(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be JSON"):
        save_tensors(tmp_path / "a", {}, {"a": object()})


def test_every_truncation_and_garbage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    save_tensors(path, {"a": np.arange(5.0)}, {"b": 1})
    whole = path.read_bytes()
    for content in [whole[:length] for length in range(len(whole))] + [b"\x80\x04pickle", b"\xff" * 64, whole + b"x"]:
        path.write_bytes(content)
        with pytest.raises(FileFormatError) as caught:
            load_tensors(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_torch_is_not_imported(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np; from pdeml.files import *; save_tensors('a', {'a': np.ones(2)}); load_tensors('a');"
        "assert not {'torch', 'matplotlib', 'xarray', 'sympy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
