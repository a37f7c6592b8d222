"""What is DeepONet's own: it starts from the best linear operator, takes known values exactly, and needs samples."""

import numpy as np
import pytest
import torch

from pdeml.errors import InputError
from pdeml.problem import Problem
from pdeml.solvers.deeponet import DeepONet

from .operator_subjects import line_data, march_data

ANTIDERIVATIVE = {
    "coordinates": {"x": (0, 1)},
    "unknowns": ["u"],
    "inputs": {"a": {"field": "grf", "over": ["x"], "kernel": "rbf", "length": 0.2}},
    "equations": ["u_x = a"],
    "conditions": [{"on": {"x": 0}, "value": {"u": 0}}],
}


def _errors(solution) -> float:
    return solution.scores["test"]["outputs"]["u"]["relative_l2"]["mean"]


@pytest.mark.parametrize("options, bound", [({"trunk": "pod"}, 1e-5), ({}, 1e-3), ({"branch": "cnn"}, 1e-3)])
def test_a_linear_operator_needs_no_epochs(options: dict, bound: float, tmp_path):
    solution = DeepONet(epochs=1, width=8, depth=1, basis=8, **options).fit(None, line_data(tmp_path, samples=48))
    assert _errors(solution.scored()) < bound


def test_what_is_given_holds_exactly(tmp_path):
    """The value at x = 0 comes from the problem, travels in the signature, and holds with and without training."""
    problem = Problem(**ANTIDERIVATIVE)
    solver = DeepONet(epochs=1, width=8, depth=1, basis=4, linear=False)
    solution = solver.fit(problem, line_data(tmp_path))
    assert solution.signature.lift
    member, x = solution.members[0], torch.linspace(0, 1, 16)
    found = member({"a": torch.randn(5, 16)}, {"x": x})
    assert float(found.detach()[..., 0].abs().max()) == 0.0
    free = DeepONet(epochs=1, width=8, depth=1, basis=4, exact_conditions=False).fit(problem, line_data(tmp_path))
    assert not free.signature.lift


def test_windows_of_a_linear_evolution_are_chained_without_loss(tmp_path):
    """Decaying waves follow from their first frame alone: 4 coefficients, linear in the start."""
    data = march_data(tmp_path, samples=40)
    solver = DeepONet(trunk="pod", epochs=1, width=8, depth=1, basis=8, history=1, window=2)
    assert _errors(solver.fit(None, data).scored()) < 1e-4


def test_modes_need_samples():
    problem = Problem(**ANTIDERIVATIVE)
    with pytest.raises(InputError, match="modes are those of solutions"):
        DeepONet(trunk="pod", physics=1.0).fit(problem)


@pytest.mark.parametrize("sensors", [5, {"a": [[0.0], [0.3], [0.77]]}], ids=["count", "places"])
def test_sensors_are_where_they_are_asked_for(sensors, tmp_path):
    solution = DeepONet(epochs=1, width=8, depth=1, basis=4, sensors=sensors).fit(None, line_data(tmp_path))
    member = solution.members[0]
    assert member.sensors.count == (5 if sensors == 5 else 3)
    x = np.linspace(0, 1, 200)
    grid = {"x": torch.from_numpy(x).float()}
    (seen,) = member.sensors({"a": torch.from_numpy(np.sin(3 * x))[None].float()}, grid)
    places = np.linspace(0, 1, 5) if sensors == 5 else np.array([0.0, 0.3, 0.77])
    quantity = solution.signature.inputs[0]
    np.testing.assert_allclose(seen[0, 0] * quantity.std + quantity.mean, np.sin(3 * places), atol=1e-5)


def test_without_samples_branch_and_trunk_are_trained_and_with_them_the_branch_alone(tmp_path):
    """Equal counts before training, after it, and in what is restored: options and signature say which they are."""
    options = {"epochs": 1, "width": 8, "depth": 1, "basis": 4}
    drawn = DeepONet(**options, batch_size=4, physics_points=8).fit(Problem(**ANTIDERIVATIVE), {"samples": 4})
    fitted = DeepONet(**options).fit(None, line_data(tmp_path))
    for solution, trained in ((drawn, True), (fitted, False)):
        member = solution.members[0]
        assert member.trunk.theta.requires_grad == trained
        assert member.trunk.network.width == (8 if trained else 512)
        branch = sum(p.numel() for p in member.branch.parameters())
        assert solution.record.parameters == branch + trained * member.trunk.theta.numel()
    assert DeepONet(**options).preview(None, line_data(tmp_path)).parameters == fitted.record.parameters
