"""The options of a PINN do what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pdeml as pm
from pdeml.errors import DivergenceError, InputError
from pdeml.solvers import PINN
from pdeml.train import Callback, Event

from .subjects import KNOWN

HEAT = KNOWN["heat"].problem
QUICK = {"width": 5, "depth": 1, "points": 60, "condition_points": 16}


class Losses(Callback):
    def __init__(self) -> None:
        self.values: list[float] = []
        self.fresh: list[float] = []

    def on_step(self, event: Event) -> None:
        self.values.append(event.metrics["loss"])
        if "residual" in event.metrics:
            self.fresh.append(event.metrics["residual"])


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "adam", "steps": 300, "learning_rate": 0.02},
        {"optimizer": "lbfgs", "steps": 60, "resample": 30},
        {"optimizer": "gauss_newton", "steps": 20},
        {"optimizer": "adam", "steps": 300, "learning_rate": 0.02, "precision": "float32"},
        {"optimizer": "auto", "precision": "float32", "steps": 300, "learning_rate": 0.02},
        *({"activation": name, "steps": 25} for name in ("tanh", "sin", "gelu", "silu")),
        *({"sampler": name, "steps": 20} for name in ("halton", "latin", "uniform", "grid")),
        {"adaptive": False, "steps": 20},
        {"exact_conditions": False, "steps": 40},
    ],
    ids=str,
)
def test_every_option_reduces_the_residual(options: dict):
    losses = Losses()
    solution = PINN(**{**QUICK, **options}).fit(HEAT(), callbacks=[losses])
    assert solution.record.residuals["equation"] < 0.2 * losses.values[0]
    assert losses.values[-1] < 0.2 * losses.values[0]
    assert solution.record.precision == options.get("precision", "float64")
    assert solution.theta.dtype == getattr(torch, solution.record.precision)


@pytest.mark.parametrize("options", [{"exact_conditions": True}, {"exact_conditions": False}], ids=str)
def test_exact_conditions_hold_before_the_first_step(options: dict):
    solution = PINN(**QUICK, steps=1, **options).fit(HEAT())
    x = np.linspace(0, 1, 21)
    start = solution.at(np.column_stack([x, 0 * x])).values["u"]
    gap = np.abs(start - np.sin(np.pi * x)).max()
    assert (gap < 1e-13) == options["exact_conditions"]
    assert bool(solution.record.exact) == options["exact_conditions"]


def test_a_tolerance_is_kept():
    solution = PINN(**QUICK, tolerance=0.01, steps=200).fit(HEAT())
    assert solution.record.converged
    assert solution.record.steps < 200
    assert "tolerance" in solution.verdict


def test_time_stops_it_and_says_so():
    solution = PINN(**QUICK, max_seconds=1e-6).fit(HEAT())
    assert solution.record.steps == 1
    assert "stopped by time, not reproducible" in solution.report()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": "many"}, "width: must be a whole number, got 'many'"),
        ({"width": 0}, "width: must be at least 1, got 0"),
        ({"width": 10**6}, "width: must be at most 4096"),
        ({"depth": True}, "depth: must be a whole number, got True"),
        ({"learning_rate": -1.0}, "learning_rate: must be greater than 0"),
        ({"learning_rate": float("nan")}, "learning_rate: must be"),
        ({"learning_rate": float("inf")}, "learning_rate: must be a finite number"),
        ({"adaptive": "yes"}, "adaptive: must be true or false, got 'yes'"),
        ({"activation": "relu"}, r"activation: 'relu' is not allowed; allowed: .*'tanh'"),
        ({"optimizer": 3}, "optimizer: 3 is not allowed; allowed"),
        ({"sampler": "sobl"}, "sampler: 'sobl' is not allowed; allowed: .*; did you mean 'sobol'"),
        ({"device": 1}, "device: must be a word, got 1"),
        ({"steps": 0}, "steps: must be at least 1"),
        ({"tolerance": 0}, "tolerance: must be greater than 0"),
        ({"witdh": 3}, "did you mean 'width'"),
    ],
)
def test_faults_of_options_are_readable(options: dict, message: str):
    with pytest.raises(InputError, match=message):
        PINN(**options)


@pytest.mark.parametrize("given", [5, np.int64(5)])
def test_numbers_of_numpy_are_numbers(given: int):
    assert PINN(width=given, learning_rate=np.float64(0.1), tolerance=1).width == 5


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cuda:99", "cpu:0"])
def test_a_device_that_is_not_there_is_refused(device: str):
    with pytest.raises(InputError, match=device) as caught:
        PINN(device=device).preview(HEAT())
    assert caught.value.path == ("device",)


def test_gauss_newton_refuses_single_precision():
    with pytest.raises(InputError, match="float64") as caught:
        PINN(optimizer="gauss_newton", precision="float32").preview(HEAT())
    assert caught.value.path == ("precision",)


def test_large_networks_get_first_order_optimisers():
    assert [name for name, _ in PINN(width=16).preview(HEAT()).optimisers] == ["gauss_newton"]
    assert [name for name, _ in PINN(width=80, steps=30).preview(HEAT()).optimisers] == ["adam", "lbfgs"]
    assert PINN(width=80, steps=31).preview(HEAT()).steps == 31


def test_a_preview_says_what_fit_does():
    solver = PINN(**QUICK, steps=3)
    preview, solution = solver.preview(HEAT()), solver.fit(HEAT())
    assert preview.parameters == solution.record.parameters
    assert preview.exact == solution.record.exact
    assert set(preview.points) == set(solution.record.residuals)
    assert preview.points["equation"] == 60


def test_divergence_keeps_the_best_state():
    """A root of the solution that becomes imaginary while training."""
    problem = pm.Problem(
        coordinates={"x": (0, 1)},
        unknowns={"u": {"scale": 1.0}},
        equations="u_x = -20*sqrt(u)",
        conditions=[pm.Dirichlet(u=1, on="boundary.left")],
    )
    with pytest.raises(DivergenceError, match="the best state so far is kept") as caught:
        PINN(**QUICK, optimizer="adam", learning_rate=0.3, steps=500).fit(problem)
    solution = caught.value.solution
    assert np.isfinite(solution.theta.numpy()).all()
    assert not solution.record.converged


def test_what_is_not_solved_is_not_called_converged():
    """Flat at a large residual: a network of width 2 cannot follow twenty waves."""
    waves = pm.Problem(
        coordinates={"x": (0, 1)},
        unknowns="u",
        equations="u_xx = -sin(40*pi*x)",
        conditions=[pm.Dirichlet(u=0)],
    )
    solution = pm.solve(waves, "pinn", width=2, depth=1, tolerance=10.0)
    assert solution.verdict.startswith("not solved: the residual of equation")
    assert not solution.record.converged


def test_each_equation_of_a_system_has_its_residual():
    pair = pm.Problem(
        coordinates={"t": (0, 1)},
        time="t",
        unknowns="u v",
        equations=["u_t = v", "v_t = -u"],
        conditions=[pm.Initial(u=1, v=0)],
    )
    assert set(pm.solve(pair, "pinn", **QUICK, steps=3).record.residuals) == {"equation 1", "equation 2"}


@pytest.mark.parametrize(
    ("derivative", "options", "compiled"),
    [
        ("u_xxx", {"steps": 20_000}, True),
        ("u_xxx", {"steps": 20_000, "kernels": "torch"}, False),
        ("u_xxx", {"steps": 200}, False),
        ("u_xx", {"steps": 20_000}, False),  # width 20: nothing to be gained
        ("u_xx", {"steps": 20_000, "width": 64}, True),
    ],
)
def test_activations_are_compiled_where_that_pays(
    derivative: str, options: dict, compiled: bool, monkeypatch: pytest.MonkeyPatch
):
    """Nothing is compiled by a preview."""
    monkeypatch.setattr("pdeml_kernels.inductor.why_not", lambda: None)
    problem = pm.Problem(
        coordinates={"x": (0, 1), "t": (0, 1)},
        time="t",
        unknowns="u",
        equations=f"u_t + u*u_x = {derivative}",
        conditions=[pm.Initial(u="sin(2*pi*x)"), pm.Dirichlet(u=0)],
    )
    chosen = PINN(optimizer="adam", points=8192, device="cpu", **options)
    assert any("activations compiled" in note for note in chosen.preview(problem).notes) is compiled
