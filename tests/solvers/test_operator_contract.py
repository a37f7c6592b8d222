"""What holds for every operator method: grids, samples, weights, symmetry, compilation, training, ensembles."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from pdeml.files import load_tensors, save_tensors
from pdeml.train import Callback, Event, load_state, save_state
from pdeml.train.ensemble import member_weights

from .operator_subjects import (
    OPERATOR_KINDS,
    SEVERAL,
    SIGNATURES,
    SMALL,
    built,
    grid_of,
    inputs_on,
    line_data,
    march_data,
    rolled,
    small,
)

ON_GRIDS = tuple(kind for kind in OPERATOR_KINDS if kind != "deeponet")
EQUIVARIANT = {"fno": 1, "tfno": 1, "mgno": 2}
"""kind -> shifts (in points) along a periodic axis that it commutes with."""

every_kind = pytest.mark.parametrize("kind", OPERATOR_KINDS)
every_case = pytest.mark.parametrize(
    "kind, name",
    [(kind, name) for kind in OPERATOR_KINDS for name in SIGNATURES if kind in ON_GRIDS or name != "solid"],
)


def test_every_method_is_here():
    assert set(SMALL) >= set(OPERATOR_KINDS)


@every_case
def test_one_set_of_weights_serves_every_grid(kind: str, name: str):
    signature = SIGNATURES[name]
    operator = built(kind, signature)
    before = copy.deepcopy(operator.state_dict())
    march = signature.march
    for refine in (1, 2):
        grid = grid_of(signature, refine)
        found = operator(inputs_on(signature, grid), grid)
        n = [len(grid[dim]) for dim in signature.space]
        assert found.shape == (3, len(signature.outputs), *([march.window] if march else []), *n)
        assert torch.isfinite(found).all()
        assert found.std() > 0
    after = operator.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(tensor, before[key]) for key, tensor in after.items())


@every_kind
def test_refined_functions_give_refined_functions(kind: str):
    """G(f on n points) converges, as n grows, at the points that all grids share."""
    operator, found = built(kind, SEVERAL), []
    for refine in (1, 2, 4):
        grid = grid_of(SEVERAL, refine)
        found.append(operator(inputs_on(SEVERAL, grid), grid)[:, :, ::refine, ::refine])
    first, second = ((found[k] - found[2]).norm() / found[2].norm() for k in (0, 1))
    assert second < max(0.6 * first, 1e-9)
    assert second < 0.1


@every_case
def test_samples_know_nothing_of_each_other(kind: str, name: str):
    signature = SIGNATURES[name]
    operator, grid = built(kind, signature), grid_of(signature)
    inputs = inputs_on(signature, grid)
    whole = operator(inputs, grid)
    for k in range(3):
        alone = operator({key: tensor[k : k + 1] for key, tensor in inputs.items()}, grid)
        torch.testing.assert_close(whole[k : k + 1], alone, rtol=1e-10, atol=1e-12)
    assert (whole[0] - whole[1]).norm() > 1e-6 * whole.norm()


@every_case
def test_every_weight_has_a_gradient(kind: str, name: str):
    signature = SIGNATURES[name]
    operator, grid = built(kind, signature), grid_of(signature)
    operator(inputs_on(signature, grid), grid).square().mean().backward()
    for key, p in operator.named_parameters():
        assert not p.requires_grad or (p.grad is not None and p.grad.any()), key


@every_case
def test_weights_and_signature_are_all_there_is(kind: str, name: str, tmp_path):
    signature = SIGNATURES[name]
    operator, grid = built(kind, signature), grid_of(signature)
    state = {key: tensor.numpy() for key, tensor in operator.state_dict().items()}
    save_tensors(tmp_path / "weights.safetensors", state, {"signature": signature.to_plain()})
    weights, meta = load_tensors(tmp_path / "weights.safetensors")
    again = built(kind, type(signature).from_plain(meta["signature"]), seed=1)
    inputs = inputs_on(signature, grid)
    assert not torch.equal(again(inputs, grid), operator(inputs, grid))
    again.load_state_dict({key: torch.from_numpy(array.copy()) for key, array in weights.items()})
    assert torch.equal(again(inputs, grid), operator(inputs, grid))


@every_kind
def test_it_is_one_graph(kind: str):
    operator, grid = built(kind, SEVERAL), grid_of(SEVERAL)
    inputs = inputs_on(SEVERAL, grid)
    torch._dynamo.reset()
    compiled = torch.compile(operator, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(inputs, grid), operator(inputs, grid))


@pytest.mark.parametrize("kind", [kind for kind in OPERATOR_KINDS if kind in EQUIVARIANT])
def test_shifts_along_periodic_axes_commute_with_it(kind: str):
    operator, grid = built(kind, SEVERAL), grid_of(SEVERAL)
    inputs, by = inputs_on(SEVERAL, grid), EQUIVARIANT[kind]
    found = operator(rolled(SEVERAL, inputs, "x", by), grid)
    torch.testing.assert_close(found, operator(inputs, grid).roll(by, 3), rtol=1e-9, atol=1e-11)


def tensors_of(solution) -> dict[str, torch.Tensor]:
    return dict(solution.state.tensors)


class Stop(Callback):
    """Stops after a step."""

    def __init__(self, step: int):
        self.step = step

    def on_step(self, event: Event) -> str | None:
        return "stopped here" if event.state.step == self.step else None


@every_kind
def test_it_learns(kind: str, tmp_path):
    solution = small(kind, epochs=40, batch_size=6, learning_rate=2e-2).fit(data=line_data(tmp_path))
    errors = solution.scores["train"]["outputs"]["u"]
    assert errors["relative_l2"]["mean"] < 0.5 * errors["baseline"]
    assert solution.record.converged


@every_kind
def test_interrupted_it_ends_with_the_same_bits_and_members_are_single_runs(kind: str, tmp_path):
    data = line_data(tmp_path)
    solver = small(kind, epochs=2, batch_size=5, ensemble=2, ema=0.9, patience=5)
    whole = solver.fit(data=data)
    assert whole.record.steps == 2 * 2 * 3
    half = solver.fit(data=data, callbacks=[Stop(8)], score=False)  # within an epoch of the second member
    save_state(tmp_path / kind, half.state)
    rest = solver.fit(data=data, state=load_state(tmp_path / kind), score=False)
    assert rest.state.facts == whole.state.facts
    assert tensors_of(rest).keys() == tensors_of(whole).keys()
    assert all(torch.equal(tensor, tensors_of(whole)[key]) for key, tensor in tensors_of(rest).items())
    alone = small(kind, epochs=2, batch_size=5, ema=0.9, patience=5).fit(data=data, score=False)
    first, second = member_weights(whole.state)
    assert all(torch.equal(tensor, first[key]) for key, tensor in member_weights(alone.state)[0].items())
    assert not all(torch.equal(tensor, first[key]) for key, tensor in second.items())
    field = whole.predict({"a": np.ones((2, 16))})
    assert (field.std["u"] > 0).any()


@every_kind
def test_it_goes_on_in_time(kind: str, tmp_path):
    data = march_data(tmp_path)
    solution = small(kind, epochs=12, batch_size=8, learning_rate=1e-2, history=1, window=2, unroll=2).fit(data=data)
    errors = solution.scores["train"]["outputs"]["u"]
    assert errors["relative_l2"]["mean"] < 0.8 * errors["baseline"]
