"""Parts never overlap, have the sizes asked for, and leave the rest alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdeml.data import split_numbers
from pdeml.errors import InputError

counts = st.integers(0, 40) | st.floats(0.01, 0.33)


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(["test", "train", "validation"], counts)), st.integers(120, 200)
)
def test_parts_are_disjoint_and_as_large_as_asked(parts: dict, samples: int) -> None:
    found = split_numbers(parts, samples)
    assert set(found) == set(parts)
    for name, size in parts.items():
        assert abs(len(found[name]) - (size * samples if isinstance(size, float) else size)) <= 0.5
    together = np.concatenate([np.zeros(0, np.int64), *found.values()])
    np.testing.assert_array_equal(together, np.arange(len(together)))


@pytest.mark.parametrize("samples", [1, 2, 3, 5, 10, 11])
def test_fractions_of_the_whole_are_all_samples_however_they_round(samples: int) -> None:
    found = split_numbers({"train": 0.5, "validation": 0.25, "test": 0.25}, samples)
    together = np.concatenate(list(found.values()))
    np.testing.assert_array_equal(together, np.arange(len(together)))
    assert abs(len(together) - samples) <= 1


@pytest.mark.parametrize(
    "parts, message",
    [
        ({"train": 8, "test": 3}, r"train 8, test 3\) add up to 11, but there are 10"),
        ({"train": 1.5}, "train: a part is a count of samples or a fraction below 1, got 1.5"),
        ({"train": -1}, "got -1"),
        ({"train": True}, "got True"),
        ({"tset": 1}, "did you mean 'test'"),
    ],
)
def test_wrong_parts_are_refused(parts: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        split_numbers(parts, 10)
