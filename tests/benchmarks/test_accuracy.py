"""The accuracy table resumes, skips, repeats, judges honestly, and touches nothing between no markers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import accuracy
import meshfree
import numpy as np
import pytest
from accuracy import MeasurementError, Row, main, measure_apart
from accuracy_table import Measured
from measure import OWN, held_out
from records import append, code_state, read

from pdeml.expr import evaluate
from pdeml.problem import Problem, library
from pdeml.spec import load_spec

ROWS = (Row("easy", "heat", bound=1e-3, limit=10.0), Row("free", "wave"))
README = "# Title\n<!-- accuracy:begin -->\nold\n<!-- accuracy:end -->\nrest\n"


class Bench:
    """`accuracy.main` in a folder of its own, with made-up results that are taken one after the other."""

    def __init__(self, folder: Path):
        self.csv, self.readme = folder / "accuracy.csv", folder / "README.md"
        self.readme.write_text(README, encoding="utf-8")
        self.target = dataclasses.replace(accuracy.PINN_TABLE, csv=self.csv, readme=self.readme)
        self.calls: list[tuple[str, int]] = []

    def run(self, arguments: str, results: Iterable[dict[str, Any]] | None = None) -> int:
        queue = None if results is None else iter(results)

        def measure(row: Row, seed: int) -> dict[str, Any]:
            self.calls.append((row.name, seed))
            return result() if queue is None else next(queue)

        return main(arguments.split(), rows=ROWS, measure=measure, target=self.target)

    @property
    def lines(self) -> list[Measured]:
        return read(self.csv, Measured)


def result(error: float = 1e-4, seconds: float = 5.0, floor: float = 1e-15) -> dict[str, Any]:
    return {
        "error": error,
        "floor": floor,
        "seconds": seconds,
        "wall": 2 * seconds,
        "steps": 7,
        "gflops": 50.0,
        "reason": "flat, at last",
    }


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_default_measures_every_row_with_five_seeds_and_again_nothing(bench: Bench):
    assert bench.run("") == 0
    assert bench.calls == [(row, seed) for row in ("easy", "free") for seed in range(5)]
    assert bench.run("") == 0
    assert len(bench.calls) == len(bench.lines) == 10


def test_an_interrupted_run_goes_on_where_it_was(bench: Bench, capsys: pytest.CaptureFixture[str]):
    def interrupted() -> Iterable[dict[str, Any]]:
        yield result()
        raise KeyboardInterrupt

    assert bench.run("--rows easy --seeds 0 1 2", interrupted()) == 130
    assert [line.seed for line in bench.lines] == [0]
    bench.calls.clear()
    assert bench.run("--rows easy --seeds 0 1 2") == 0
    assert bench.calls == [("easy", 1), ("easy", 2)]
    assert "easy seed 0: skipped" in capsys.readouterr().out


def test_a_line_cut_short_by_a_kill_is_measured_again(bench: Bench):
    bench.run("--rows easy --seeds 0 1")
    content = bench.csv.read_bytes()
    bench.csv.write_bytes(content[:-30])
    bench.run("--rows easy --seeds 0 1")
    assert bench.calls == [("easy", 0), ("easy", 1), ("easy", 1)]
    assert [line.seed for line in bench.lines] == [0, 1]


@pytest.mark.parametrize("changed", ["version", "code", "torch", "machine"])
def test_what_was_measured_elsewhere_is_measured_here(bench: Bench, changed: str):
    bench.run("--rows easy --seeds 0")
    (line,) = bench.lines
    bench.csv.unlink()
    append(bench.csv, dataclasses.replace(line, **{changed: "another"}))
    bench.run("--rows easy --seeds 0")
    assert len(bench.calls) == 2


def test_again_measures_again(bench: Bench):
    bench.run("--rows easy --seeds 3")
    bench.run("--rows easy --seeds 3 --again")
    assert bench.calls == [("easy", 3)] * 2


def test_repeats_keep_the_best_time_of_each_seed_and_resume(bench: Bench):
    bench.run("--rows easy --seeds 0 1", [result(seconds=30.0), result(seconds=9.0)])
    code = bench.run("--rows easy --seeds 0 1 --repeat 3", [result(seconds=s) for s in (8.0, 12.0, 25.0, 26.0)])
    assert code == 0
    assert len(bench.lines) == 6
    assert "| 9.0 | 10 |" in bench.readme.read_text(encoding="utf-8")


def test_a_repetition_with_another_error_fails_and_the_worst_stays(bench: Bench, capsys: pytest.CaptureFixture[str]):
    assert bench.run("--rows free --seeds 0 --repeat 2", [result(error=1e-4), result(error=1.1e-4)]) == 1
    assert "free seed 0 is not reproducible: 0.0001, 0.00011" in capsys.readouterr().out
    assert "| free | 1.1e-04 | 1 |" in bench.readme.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "bad, said",
    [
        (result(error=1.01e-3), "1.0e-03 **(missed)**"),
        (result(error=math.inf), "diverged **(missed)**"),
        (result(error=math.nan), "diverged **(missed)**"),
        (result(seconds=10.1), "10.1 **(missed)**"),
    ],
)
def test_one_bad_seed_misses_the_bound(bench: Bench, bad: dict[str, Any], said: str):
    assert bench.run("--rows easy --seeds 0 1 2", [result(), bad, result()]) == 1
    assert said in bench.readme.read_text(encoding="utf-8")


def test_exactly_at_the_bound_passes(bench: Bench):
    assert bench.run("--rows easy --seeds 0", [result(error=1e-3, seconds=10.0)]) == 0


def test_a_row_without_bound_passes_and_says_so(bench: Bench):
    assert bench.run("--rows free --seeds 0", [result(error=0.9, seconds=1e3)]) == 0
    assert "| free | 9.0e-01 | 1 | no bound stated | 1000.0 |" in bench.readme.read_text(encoding="utf-8")


def test_below_the_floor_of_the_reference_no_number_is_claimed(bench: Bench):
    bench.run("--rows easy --seeds 0", [result(error=3e-14, floor=4e-14)])
    assert "| easy | at the floor of the reference, 4e-14 |" in bench.readme.read_text(encoding="utf-8")


def test_a_failed_measurement_is_told_and_the_others_go_on(bench: Bench, capsys: pytest.CaptureFixture[str]):
    def measure(row: Row, seed: int) -> dict[str, Any]:
        if seed == 0:
            raise MeasurementError("out of memory")
        return result()

    code = main(["--seeds", "0", "1"], rows=ROWS[:1], measure=measure, target=bench.target)
    assert code == 1
    assert "easy seed 0: out of memory" in capsys.readouterr().out
    assert [line.seed for line in bench.lines] == [1]


def test_a_bound_that_is_tightened_later_judges_old_lines(bench: Bench):
    bench.run("--rows easy --seeds 0")
    tight = (dataclasses.replace(ROWS[0], bound=1e-5),)
    assert main(["--seeds", "0"], rows=tight, measure=measure_apart, target=bench.target) == 1


def test_the_table_is_generated_and_the_rest_of_the_readme_stays(bench: Bench):
    bench.run("--seeds 0 1", [result(), result(error=2e-4, seconds=6.0), result(), result()])
    written = bench.readme.read_text(encoding="utf-8")
    assert written.startswith("# Title\n<!-- accuracy:begin -->\n| problem |")
    assert written.endswith("<!-- accuracy:end -->\nrest\n")
    assert "| easy | 2.0e-04 | 2 | 1e-03 | 6.0 | 10 | 12.0 |" in written
    assert ", 50 GFLOP/s" in written
    bench.readme.write_text(README, encoding="utf-8")
    assert bench.run("--table") == 0
    assert bench.readme.read_text(encoding="utf-8") == written
    assert len(bench.calls) == 4


def test_of_each_row_the_newest_code_counts(bench: Bench):
    bench.run("--rows easy --seeds 0", [result(error=5e-5)])
    (line,) = bench.lines
    append(bench.csv, dataclasses.replace(line, code="newer", date="2999-01-01 00:00:00", seed=1, error=7e-5))
    bench.run("--table")
    assert "| easy | 7.0e-05 | 1 |" in bench.readme.read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["no markers", "<!-- accuracy:end --> <!-- accuracy:begin -->", README + README])
def test_without_one_pair_of_markers_the_readme_is_left_alone(bench: Bench, text: str):
    bench.readme.write_text(text, encoding="utf-8")
    assert bench.run("--rows easy --seeds 0") == 0
    assert bench.readme.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("wrong", ["--rows burger", "--seeds -1", "--seeds x", "--repeat 0"])
def test_wrong_arguments_are_refused(bench: Bench, wrong: str):
    with pytest.raises(SystemExit, match="2"):
        bench.run(wrong)


def test_a_file_with_other_columns_is_not_appended_to_silently(bench: Bench):
    bench.csv.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(ValueError, match="other columns"):
        bench.run("--rows easy --seeds 0")


def test_code_state_sees_what_a_solver_can_use_and_nothing_else(tmp_path: Path):
    for name in ("pdeml/nn/mlp.py", "pdeml/problem/library/heat.yaml", "pdeml/cli/main.py", "README.md"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1", encoding="utf-8")
    first = code_state(tmp_path)
    for name, same in [("pdeml/cli/main.py", True), ("README.md", True), ("pdeml/nn/mlp.py", False)]:
        (tmp_path / name).write_text("2", encoding="utf-8")
        assert (code_state(tmp_path) == first) is same
    second = code_state(tmp_path)
    (tmp_path / "pdeml/problem/library/heat.yaml").write_text("2", encoding="utf-8")
    assert code_state(tmp_path) != second


def test_rows_are_shipped_problems_with_default_options():
    assert {row.problem for row in accuracy.ROWS} == set(library.names())
    assert all(row.options == {} for row in accuracy.ROWS)


def test_the_problems_of_the_meshfree_table_have_the_sources_of_their_exact_solutions():
    names = {path.stem for path in OWN.glob("*.yaml")}
    assert {row.problem for row in meshfree.ROWS} == names
    for name in names:
        document = load_spec(OWN / f"{name}.yaml")
        problem = Problem.from_yaml(OWN / f"{name}.yaml")
        exact = problem.manufactured(document.spec.reference.exact)
        x = dict(zip(problem.names.coordinates, held_out(problem).T[:, :50], strict=True)) | problem.parameter_values
        wrong = evaluate(problem.forms[0].residual - exact.forms[0].residual, x)
        assert np.abs(wrong).max() <= 1e-12 * max(np.abs(evaluate(problem.forms[0].source, x)).max(), 1), name


def test_held_out_points_fill_the_domain_and_never_change():
    problem = library.load("burgers")
    points = held_out(problem)
    assert points.shape == (10_000, 2)
    assert np.array_equal(points, held_out(problem))
    counts, *_ = np.histogram2d(*points.T, bins=10, range=problem.domain.bounds)
    assert np.abs(counts - 100).max() <= 8  # a Sobol sequence spreads far more evenly than chance, ±30


def test_a_real_measurement_in_its_own_process_repeats_to_the_last_bit(bench: Bench):
    quick = (Row("quick", "heat", bound=1e3, options={"steps": 2, "width": 4, "depth": 1}),)
    arguments = ["--seeds", "0", "--repeat", "2"]
    assert main(arguments, rows=quick, measure=measure_apart, target=bench.target) == 0
    first, second = bench.lines
    assert first.error == second.error
    assert 1e-8 < first.error < 1e3
    assert first.steps == 2
    assert "2 steps" in first.reason
    assert 0 < first.seconds < 60
    assert first.gflops > 0.1


def test_a_process_that_fails_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "measure.py").write_text("import sys\nsys.exit('no memory left')\n", encoding="utf-8")
    monkeypatch.setattr(accuracy, "FOLDER", tmp_path)
    with pytest.raises(MeasurementError, match="status 1:\nno memory left"):
        measure_apart(ROWS[0], 0)


def test_code_that_changes_meanwhile_is_not_recorded_and_ends_the_run(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    def edited() -> Iterable[dict[str, Any]]:
        yield result()
        monkeypatch.setattr(accuracy, "code_state", lambda: "edited")
        yield result()

    assert bench.run("--rows easy --seeds 0 1 2", edited()) == 1
    assert bench.calls == [("easy", 0), ("easy", 1)]
    assert [line.seed for line in bench.lines] == [0]
