"""The key ``kernels`` of a spec: who takes it, what is told of it, and that it changes results by rounding only."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from pdeml.cli.planned import describe_plan
from pdeml.nn.fno import FourierNetwork, FourierOptions
from pdeml.run import train_spec
from pdeml.run.plan import make_plan
from pdeml.solvers import KINDS, solver_class
from pdeml.solvers.operator import OperatorSolver
from pdeml.spec import Document, SpecError, apply_overrides, load_spec

pytest.importorskip("triton")

from pdeml_kernels import contest, triton_support

SPEC = """\
data: {file: lines.npz, train: 1, validation: 1, test: 1, inputs: {a: a}, outputs: {u: u}, coordinates: {x: [0, 1]}}
solver: {kind: fno, width: 2, depth: 1, modes: 2, epochs: 2, batch_size: 1, learning_rate: 0.01}
precision: float64
"""
HEAT = """\
problem:
  coordinates: {x: [0, 1]}
  unknowns: [u]
  equations: [u_xx = 1]
  conditions: [{on: boundary, value: {u: 0}}]
"""


def sampled(path: str, *n: int) -> None:
    a = np.random.default_rng(0).normal(size=(3, *n))
    np.savez(path, a=a, u=a.cumsum(-1))


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Document]:
    """Read the spec with overrides, in the test's own folder, beside its samples."""
    monkeypatch.chdir(tmp_path)
    Path("lines.yaml").write_text(SPEC)
    Path("heat.yaml").write_text(HEAT)
    sampled("lines.npz", 7)

    def document(*overrides: str, file: str = "lines.yaml") -> Document:
        return apply_overrides(load_spec(file), overrides)

    return document


@pytest.fixture
def no_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_support, "INTERPRETED", False)


@pytest.mark.parametrize("kind", KINDS)
def test_a_solver_takes_triton_or_names_those_that_do(kind, spec):
    file = "lines.yaml" if issubclass(solver_class(kind), OperatorSolver) else "heat.yaml"
    plan = partial(spec, f"solver={{kind: {kind}}}", file=file)
    assert make_plan(plan("kernels=torch")).solver.kind == kind
    if kind in ("pinn", "gp", "fno", "tfno"):
        assert make_plan(plan("kernels=triton")).resolved.kernels == "triton"
        return
    with pytest.raises(SpecError, match=f"kernels.*'{kind}' has no Triton kernels; solvers that have: pinn, gp, fno"):
        make_plan(plan("kernels=triton"))


@pytest.mark.parametrize("file, kind", [("lines.yaml", "fno"), ("heat.yaml", "pinn"), ("heat.yaml", "gp")])
def test_without_a_gpu_triton_is_refused(file, kind, spec, no_interpreter):
    with pytest.raises(SpecError, match="kernels=triton: triton needs a CUDA device, not cpu; give auto or torch"):
        make_plan(spec("kernels=triton", "device=cpu", f"solver={{kind: {kind}}}", file=file))


def test_it_is_refused_before_samples_are_generated(spec, no_interpreter):
    data = "data={recipe: antiderivative, samples: 4, file: never.h5}"
    with pytest.raises(SpecError, match="kernels=triton: triton needs a CUDA device, not cpu"):
        make_plan(spec("kernels=triton", "device=cpu", data))
    assert not Path("never.h5").exists()


def test_auto_takes_a_solver_that_has_the_kernels(spec):
    kinds = {
        kernels: make_plan(spec(f"kernels={kernels}", file="heat.yaml")).solver.kind
        for kernels in ("torch", "auto", "triton")
    }
    assert kinds == {"torch": "random_features", "auto": "random_features", "triton": "pinn"}


def test_two_choices_that_disagree_are_refused(spec):
    with pytest.raises(SpecError, match="is 'torch', but 'triton' at the top of the spec"):
        make_plan(spec("kernels=triton", "solver.kernels=torch"))
    assert make_plan(spec("solver.kernels=torch")).resolved.kernels == "torch"


def test_what_was_chosen_is_told_and_may_change_when_a_run_goes_on(spec):
    plan = make_plan(spec("kernels=triton"))
    assert "    spectral convolution by triton" in describe_plan(plan).splitlines()
    found = train_spec(spec("kernels=triton"), "run")
    summary = json.loads(Path("run/summary.json").read_text())
    assert summary["notes"].count("spectral convolution by triton") == 1
    assert load_spec("run/spec.yaml").spec.kernels == "triton"
    more = train_spec(spec("kernels=torch", "solver.epochs=3"), "run", resume=True)
    assert (found.solution.record.steps, more.solution.record.steps) == (2, 3)
    assert "spectral convolution by torch" in more.solution.record.notes
    assert load_spec("run/spec.yaml").spec.kernels == "torch"


@pytest.mark.parametrize(
    "kind, n, epochs, options",
    [
        ("fno", (7,), 100, {}),
        ("tfno", (2, 3), 2, {"rank": 0.3}),
        ("fno", (2, 3), 2, {"mlp": 0, "depth": 2}),
    ],
)
def test_training_with_kernels_agrees_to_rounding(kind, n, epochs, options, tmp_path):
    path, names = str(tmp_path / "samples.npz"), "yx"[-len(n) :]
    sampled(path, *n)
    data = {"file": path, "train": 1, "validation": 1, "test": 1, "inputs": {"a": "a"}, "outputs": {"u": "u"}}
    data["coordinates"] = {name: [0, 1] for name in names}
    small = {"width": 2, "depth": 1, "modes": 2, "batch_size": 1, "learning_rate": 0.01, "precision": "float64"}
    solver = solver_class(kind)(**{**small, **options}, epochs=epochs)
    found = {
        kernels: solver.model_copy(update={"kernels": kernels}).fit(None, data, score=False)
        for kernels in ("torch", "triton")
    }
    assert found["triton"].record.notes[0] == "spectral convolution by triton"
    begun = solver.operator(found["torch"].members[0].signature).state_dict()
    mine, theirs = (found[kernels].members[0].state_dict() for kernels in ("triton", "torch"))
    for name, weight in theirs.items():
        assert (mine[name] - weight).abs().max() <= 1e-11 * weight.abs().max(), name
        assert not torch.equal(weight, begun[name]), name


def test_a_contest_on_a_gpu_is_told_of_in_one_line(monkeypatch, no_interpreter):
    """With a stand-in for the clock: half the time of the twin."""
    network = FourierNetwork(1, 1, FourierOptions((3,), width=2, depth=2))
    network.use_kernels("auto", torch.device("cuda"))
    assert network.notes == ("spectral convolution by triton or torch, whichever is faster",)
    monkeypatch.setattr(contest, "_times", lambda *_: (20, 10))
    network(torch.randn(2, 1, 8))
    assert network.notes == ("spectral convolution by triton or torch, whichever is faster: triton in 0 of 2 cases",)
