"""What is the Fourier operators' own: their modes, padding, ranks, and what they refuse."""

import pytest

from pdeml.data.signature import Axis, Quantity, Signature
from pdeml.errors import InputError
from pdeml.solvers.fno import FNO, TFNO

SIGNATURE = Signature(
    (Quantity("a", ("y", "x")),),
    (Quantity("u", ("y", "x")),),
    (Axis("y", 0, 1, 17), Axis("x", 0, 1, 16, periodic=True)),
)


@pytest.mark.parametrize("given, modes", [(None, [8, 5]), (6, [6, 4]), ([4, 6], [4, 4])])
def test_modes_are_one_number_or_one_for_each_axis(given, modes):
    network = FNO(width=4, depth=1, modes=given).operator(SIGNATURE).network
    assert network.layers[0].conv.n_modes == modes


def test_only_axes_that_are_not_periodic_are_padded():
    assert FNO(width=4, depth=1, padding=0.25).operator(SIGNATURE).network.padding == (0.25, 0.0)


@pytest.mark.parametrize("factorization", ["tucker", "cp", "tt"])
def test_the_rank_is_a_fraction_of_the_weights(factorization):
    full = FNO(width=24, depth=2).operator(SIGNATURE).parameter_count
    weights = 2 * 24 * 24 * 8 * 5 * 2
    fewer = TFNO(width=24, depth=2, factorization=factorization, rank=0.2).operator(SIGNATURE).parameter_count
    assert fewer - (full - weights) == pytest.approx(0.2 * weights, rel=0.1)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"modes": 18}, "18 modes along 'y' need at least 18 points, the samples have 17"),
        ({"modes": [8, 17]}, "17 modes along 'x' need at least 17 points, the samples have 16: lower the modes"),
        ({"modes": [8, 8, 8]}, "gives 3 numbers for the 2 axes y, x"),
    ],
)
def test_modes_that_do_not_fit_are_refused(options, words):
    with pytest.raises(InputError, match=words) as caught:
        FNO(**options).operator(SIGNATURE)
    assert caught.value.path == ("modes",)


@pytest.mark.parametrize(
    "options", [{"modes": 0}, {"modes": []}, {"modes": "8"}, {"padding": -1}, {"rank": 0.0}, {"ranks": 1}]
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(InputError):
        TFNO(**options)
