"""What README says of the joint objective is what was measured."""

from __future__ import annotations

from pathlib import Path

import bench_gp

ROOT = Path(__file__).parents[2]


def test_readme_says_what_the_last_line_of_the_largest_grid_says():
    last = bench_gp.newest()[-1]
    text = bench_gp.readme_text(bench_gp.newest())
    assert f"{last.n} x {last.n} points" in text
    assert f"takes {last.seconds:.2f} s and {last.megabytes / 1000:.1f} GB" in text
    assert f"<!-- joint:begin -->\n{text}\n<!-- joint:end -->" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "Nothing has been measured" in bench_gp.readme_text([])
