"""The errors of the table of operators are those that the solutions themselves tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from operators import mean_error

from pdeml.data.operator import OperatorData
from pdeml.solvers.fno import FNO


@pytest.mark.parametrize("options", [{}, {"history": 2}, {"history": 1, "window": 2}])
def test_the_mean_error_is_that_of_the_solution(options: dict[str, Any], tmp_path: Path):
    rng, x, t = np.random.default_rng(0), np.arange(16) / 16, np.linspace(0, 1, 6)
    phase = rng.random((8, 1, 1))
    waves, first = np.sin(2 * np.pi * (x - t[:, None] + phase)), np.sin(2 * np.pi * (x + phase[..., 0]))
    np.savez(tmp_path / "waves.npz", u=waves, a=first, x=x, t=t)
    data = OperatorData(
        tmp_path / "waves.npz",
        train=4,
        test=4,
        inputs={"a": "a"},
        outputs={"u": "u"},
        coordinates={"t": "t", "x": "x"},
        periodic=["x"],
    )
    solution = FNO(epochs=1, width=4, depth=1, modes=4, device="cpu", **options).fit(data=data)
    told = solution.scores["test"]["outputs"]["u"]["relative_l2"]["mean"]
    assert mean_error(solution, data.part("test"), "relative_l2") == pytest.approx(told, rel=1e-5)
