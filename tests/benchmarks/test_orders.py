"""The orders that README.md shows are measured by code that works, and the tables are made of what was measured."""

from __future__ import annotations

from dataclasses import replace

import bench_orders
import data_tables
import pytest
from order_cases import CASES

BY_NAME = {case.name: case for case in CASES}


@pytest.mark.parametrize("name", ["ETDRK4, time", "Heun and Crank-Nicolson, time", "Chebyshev, space"])
def test_a_measured_order_is_that_of_theory(name: str):
    sizes, errors, _, _, good = bench_orders.measure(BY_NAME[name])
    assert good
    assert errors == sorted(errors, reverse=True)
    assert len(sizes) == len(BY_NAME[name].grids)


def test_a_wrong_order_is_noticed():
    case = BY_NAME["ETDRK4, time"]
    assert not bench_orders.measure(replace(case, theory=2.0))[-1]


def test_tables_say_what_is_missing(tmp_path):
    page = tmp_path / "README.md"
    marks = [f"<!-- {name}:{end} -->" for name in ("flow", "stream", "darcy") for end in ("begin", "end")]
    page.write_text("\n".join(marks), encoding="utf-8")
    assert data_tables.main(page, tmp_path) == 0
    assert page.read_text(encoding="utf-8").count("Nothing has been measured yet") == 3
