"""Sample i follows from seed and i alone; parameters are uniform; domains follow their parameters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pdeml.errors import InputError
from pdeml.problem import Problem
from pdeml.reference.generation import Recipe, draw_case
from pdeml.reference.generation.drawing import draw_parameters, stream
from pdeml.reference.generation.varying import VaryingProblem

from .generating import DECAY, HOLE

POINTS = np.random.default_rng(0).uniform(size=(6, 2))


def values(case, name: str = "a") -> bytes:
    function = case.inputs[name]
    return function.at(POINTS[:, : len(function.over)]).tobytes()


@settings(max_examples=8)
@given(st.permutations(range(5)))
def test_samples_do_not_depend_on_the_order(order: list[int]):
    problem = Problem.from_yaml(DECAY)
    expected = [draw_case(problem, 1, k) for k in range(5)]
    for k in order:
        case = draw_case(problem, 1, k)
        assert case.parameters == expected[k].parameters
        assert values(case) == values(expected[k])


def test_samples_and_seeds_differ():
    problem = Problem.from_yaml(DECAY)
    cases = [draw_case(problem, seed, index) for seed in (0, 1, 2**62) for index in range(4)]
    assert len({values(case) for case in cases}) == len(cases)
    assert len({case.parameters["nu"] for case in cases}) == len(cases)


def test_an_input_does_not_depend_on_the_others():
    """Each name has a stream of its own: dropping or adding another one changes nothing."""
    whole = Problem.from_yaml(DECAY)
    fewer = Problem.from_yaml(
        DECAY.replace("    f: {field: series, over: [t], terms: 4}\n", "").replace(" + f\n", "\n")
    )
    assert values(draw_case(whole, 4, 2)) == values(draw_case(fewer, 4, 2))
    assert draw_case(whole, 4, 2).parameters == draw_case(fewer, 4, 2).parameters


def test_streams_of_names_are_independent():
    drawn = np.array([[stream(0, k, name).standard_normal() for name in ("input a", "input b")] for k in range(2000)])
    assert stats.kstest(drawn.ravel(), "norm").pvalue > 1e-4
    assert abs(np.corrcoef(drawn.T)[0, 1]) * np.sqrt(2000) < stats.norm.ppf(1 - 5e-5)
    following = np.corrcoef(drawn[:-1, 0], drawn[1:, 0])[0, 1]
    assert abs(following) * np.sqrt(2000) < stats.norm.ppf(1 - 5e-5)


def test_parameters_are_uniform_in_their_ranges():
    problem = Problem.from_yaml(DECAY)
    drawn = np.array([draw_parameters(problem, 0, k)["nu"] for k in range(400)])
    assert stats.kstest((drawn - 0.1) / 0.9, "uniform").pvalue > 1e-4


def test_maps_use_the_parameters_of_their_sample():
    text = DECAY.replace("exp(k*g)", "nu + 0*g")
    for k in range(3):
        case = draw_case(Problem.from_yaml(text), 0, k)
        assert np.allclose(case.inputs["a"].at(POINTS), case.parameters["nu"], rtol=1e-15)


def test_domains_follow_their_parameters():
    recipe = Recipe.parse(HOLE)
    assert recipe.varying.named == {"r", "w"}
    assert recipe.varying.varying_axes() == ("x",)
    assert recipe.varying.middle.domain.bounds[0].tolist() == [0, 1.4]
    radii = set()
    for k in range(4):
        case = recipe.case(k)
        r = case.parameters["r"]
        radii.add(r)
        assert case.problem.domain.bounds[0] == pytest.approx([0, 2 * r + 1])
        assert case.problem.domain.space.measure == pytest.approx(2 * r + 1 - np.pi * r**2, rel=1e-3)
    assert len(radii) == 4


def test_names_of_pieces_are_no_numbers():
    """A piece may be called like a parameter."""
    varying = VaryingProblem.read(
        {
            "domain": {"space": {"disk": {"center": [0, 0], "radius": 2, "name": "r"}}},
            "unknowns": ["u"],
            "parameters": {"r": {"range": [1, 2]}},
            "equations": ["laplacian(u) = r"],
            "conditions": [{"on": "boundary.r", "value": {"u": 0}}],
        },
        "disk",
    )
    assert not varying.varies
    assert "r" in varying.middle.domain.pieces


@pytest.mark.parametrize(
    "old, new, text",
    [
        ("radius: r", "radius: log(-r)", "no finite number"),
        ("radius: r", "radius: -r", "radius"),
        ("radius: r", "radius: q*r", "'q'"),
        ("w: 1", "w: {eigen: 1}", "a data set needs a value or a range, not 'eigen'"),
    ],
)
def test_impossible_domains_are_named(old: str, new: str, text: str):
    with pytest.raises(InputError) as caught:
        Recipe.parse(HOLE.replace(old, new))
    assert text in str(caught.value)
