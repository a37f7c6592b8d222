"""Small files that several tests of operator data read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from .making import SAMPLES, SPLIT, small_schema, write, write_drift


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def split(folder: Path) -> Path:
    return write(folder / "split.h5", small_schema(), SAMPLES, SPLIT)


@pytest.fixture(scope="module")
def drift(folder: Path) -> Path:
    return write_drift(folder / "drift.h5", np.arange(10) / 10, 12)
