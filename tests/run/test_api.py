"""``pm.solve`` and ``pm.load``."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import pdeml as pm
from pdeml.errors import FileFormatError, InputError
from pdeml.run import train_spec
from pdeml.train import CollocationTask

TINY = {"width": 4, "depth": 1, "points": 32, "steps": 3}


@pytest.fixture(scope="module")
def problem() -> pm.Problem:
    conditions = [pm.Initial(u="sin(pi*x)"), pm.Dirichlet(u=0)]
    return pm.Problem(
        coordinates={"x": (0, 1), "t": (0, 1)}, time="t", unknowns="u", equations="u_t = u_xx", conditions=conditions
    )


def test_a_name_with_options_and_a_solver_are_the_same(problem):
    fields = [pm.solve(problem, *given).on_grid(x=5, t=4) for given in [(pm.PINN(**TINY),)]]
    fields.append(pm.solve(problem, "pinn", **TINY).on_grid(x=5, t=4))
    assert fields[0].equals(fields[1])


def test_auto_says_what_it_chose(problem):
    solution = pm.solve(problem, **TINY)
    assert "auto chose 'pinn'" in solution.report()
    assert not any("auto" in note for note in pm.solve(problem, "pinn", **TINY).record.notes)


@pytest.mark.parametrize(
    "arguments, options, message",
    [
        (("pin",), {}, r"allowed: auto, pinn.*; did you mean 'pinn'"),
        (("pinn",), {"widht": 3}, "did you mean 'width'"),
        ((pm.PINN(),), {"width": 3}, "into the solver itself"),
        ((3,), {}, "a name or a solver"),
        (("pinn", [1.0]), {}, "observations"),
    ],
)
def test_wrong_solvers_are_refused(problem, arguments, options, message):
    with pytest.raises(InputError, match=message):
        pm.solve(problem, *arguments, **options)


@pytest.fixture
def ctrl_c(monkeypatch) -> Callable[..., None]:
    """Press Ctrl-C within these steps of a fit."""

    def press(*steps: int) -> None:
        advance = CollocationTask.advance

        def advanced(self, state):
            if state.step + 1 in steps:
                signal.raise_signal(signal.SIGINT)
            return advance(self, state)

        monkeypatch.setattr(CollocationTask, "advance", advanced)

    return press


@pytest.fixture
def own_handler():
    """The handler of Python itself: a job in the background of a shell starts with interrupts ignored."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.mark.usefixtures("own_handler")
def test_an_interrupt_leaves_what_was_found(problem, ctrl_c):
    shorter = pm.PINN(**{**TINY, "steps": 2}).fit(problem)
    ctrl_c(2)
    with pytest.raises(KeyboardInterrupt, match=r"interrupted by SIGINT at step 2; .*'solution'") as caught:
        pm.solve(problem, **TINY)
    assert isinstance(caught.value, pm.errors.Interrupted)
    solution = caught.value.solution
    assert solution.record.steps == 2
    assert not solution.record.converged
    assert "auto chose 'pinn'" in solution.report()
    assert solution.on_grid(x=5, t=4).equals(shorter.on_grid(x=5, t=4))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("own_handler")
def test_a_second_interrupt_stops_at_once(problem, monkeypatch):
    def impatient(self, state):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("it went on")

    monkeypatch.setattr(CollocationTask, "advance", impatient)
    with pytest.raises(KeyboardInterrupt) as caught:
        pm.solve(problem, "pinn", **TINY)
    assert not isinstance(caught.value, pm.errors.Interrupted)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_handlers_of_interrupts_are_left_alone(problem, ctrl_c):
    ctrl_c(2)
    seen: list[int] = []
    former = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        solution = pm.solve(problem, "pinn", **TINY)
    finally:
        signal.signal(signal.SIGINT, former)
    assert seen == [signal.SIGINT]
    assert solution.record.steps == TINY["steps"]


def test_threads_solve_too(problem):
    with ThreadPoolExecutor(1) as pool:
        solution = pool.submit(pm.solve, problem, "pinn", **TINY).result()
    assert solution.record.steps == TINY["steps"]


def test_something_must_be_given():
    with pytest.raises(InputError, match="a problem, data, or both"):
        pm.solve()
    with pytest.raises(InputError, match="from_yaml"):
        pm.solve("burgers.yaml")


def test_load_in_a_fresh_process_gives_equal_values(problem, tmp_path):
    solution = pm.solve(problem, "pinn", seed=4, **TINY)
    solution.save(tmp_path / "saved")
    solution.on_grid(x=5, t=4).to_hdf5(tmp_path / "a.h5")
    code = "import pdeml as pm; pm.load('saved').on_grid(x=5, t=4).to_hdf5('b.h5')"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert pm.Field.from_hdf5(tmp_path / "a.h5").equals(pm.Field.from_hdf5(tmp_path / "b.h5"))


def test_a_loaded_solution_reports_the_same(problem, tmp_path):
    solution = pm.solve(problem, "pinn", **TINY)
    solution.save(tmp_path)
    assert pm.load(tmp_path).report() == solution.report()


def test_load_of_a_run_directory_has_its_errors(spec):
    result = train_spec(spec(), "run")
    loaded = pm.load("run")
    assert loaded.errors == dict(result.solution.errors)
    assert loaded.verdict == result.solution.verdict
    grid = {"x": 6, "t": 5}
    np.testing.assert_array_equal(loaded.on_grid(**grid)["u"], result.solution.on_grid(**grid)["u"])


def test_load_of_an_unfinished_run_takes_its_checkpoint(spec):
    train_spec(spec(), "run")
    Path("run/summary.json").unlink()
    assert "unfinished" in pm.load("run").verdict


@pytest.mark.parametrize(
    "file, content",
    [
        ("summary.json", "{}"),
        ("summary.json", "[]"),
        ("summary.json", "{"),
        ("spec.yaml", "a: ["),
        ("checkpoint/state.safetensors", "x"),
    ],
)
def test_damaged_folders_are_refused_in_one_line(spec, file, content):
    train_spec(spec(), "run")
    Path("run", file).write_text(content)
    with pytest.raises(InputError, match=Path(file).name) as caught:
        pm.load("run")
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_other_options_is_refused(spec):
    train_spec(spec(), "run")
    text = Path("run/spec.yaml").read_text()
    Path("run/spec.yaml").write_text(text.replace("width: 4", "width: 5"))
    with pytest.raises(FileFormatError, match="does not belong"):
        pm.load("run")


def test_load_of_nothing_names_the_nearest(spec):
    train_spec(spec(), "runs/small")
    with pytest.raises(InputError, match="did you mean 'runs/small'"):
        pm.load("runs/smal")
    with pytest.raises(InputError, match="did you mean 'runs/small'"):
        pm.load("small")
    with pytest.raises(InputError, match="is a file"):
        pm.load("small.yaml")
    with pytest.raises(InputError, match="no run"):
        pm.load(".")
