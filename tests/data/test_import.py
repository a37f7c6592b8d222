"""Reading and writing data sets does not load torch; `Dataset` does."""

from __future__ import annotations

import subprocess
import sys

import pytest

import pdeml.data


def test_only_tensors_need_torch() -> None:
    names = ", ".join(sorted(set(pdeml.data.__all__) - {"Dataset", "Frames", "OperatorData", "Stream"}))
    code = f"import sys; from pdeml.data import {names}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_public_names_are_there() -> None:
    for name in pdeml.data.__all__:
        assert getattr(pdeml.data, name) is not None
    assert dir(pdeml.data) == sorted(pdeml.data.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Datset'"):
        _ = pdeml.data.Datset
