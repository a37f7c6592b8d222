"""Three equations as data: what a network carries for them, the program of their residuals, and their formulas.

Burgers' equation, Kuramoto's and Sivashinsky's, and the incompressible equations of Navier and Stokes in the plane, all
on [-1, 1] in each coordinate. Chains and programs are what pdeml lowers these equations to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from torch import Tensor

from pdeml_kernels.jets import Chain, ChainTerm
from pdeml_kernels.programs import Program
from pdeml_kernels.residual import ResidualProgram

__all__ = ["BURGERS", "EQUATIONS", "KURAMOTO_SIVASHINSKY", "NAVIER_STOKES", "Derivative", "Equation"]

Derivative = tuple[int, tuple[int, ...]]
"""A derivative ∂^α of an unknown, by the number of the unknown and α."""


class Equation(NamedTuple):
    """An equation, or a system.

    Its residuals are given twice: by a program of channels of jets, and by a formula of single derivatives.
    """

    name: str
    coordinates: int
    unknowns: int
    slopes: tuple[tuple[float, ...], ...]
    """Of the coordinates, for each channel but the first: Σ c_α ∂^α x of the sum of derivatives it carries."""
    chain: Chain
    program: ResidualProgram
    wanted: tuple[Derivative, ...]
    """What the formula takes."""
    formula: Callable[[Mapping[Derivative, Tensor]], tuple[Tensor, ...]]
    order: int


VISCOSITY = 0.01 / math.pi


def _burgers(d: Mapping[Derivative, Tensor]) -> tuple[Tensor, ...]:
    """u_t + u u_x = ν u_xx, ν = 0.01 / π, of (x, t)."""
    return (d[0, (0, 1)] + d[0, (0, 0)] * d[0, (1, 0)] - VISCOSITY * d[0, (2, 0)],)


BURGERS = Equation(
    name="Burgers",
    coordinates=2,
    unknowns=1,
    # u, u_x, u_t − ν u_xx
    slopes=((1.0, 0.0), (0.0, 1.0)),
    chain=((), (ChainTerm(-VISCOSITY, (1, 1)),)),
    program=ResidualProgram(
        columns=0,
        learned=0,
        slots=((0, 0), (1, 0), (2, 0)),
        residual=Program(3, (), (("mul", 0, 1), ("add", 2, 3)), (4,)),
        partials=Program(3, (1.0,), (), (1, 0, 3)),
        partial_of=((0, 0), (0, 1), (0, 2)),
    ),
    wanted=((0, (0, 0)), (0, (1, 0)), (0, (0, 1)), (0, (2, 0))),
    formula=_burgers,
    order=2,
)


def _kuramoto_sivashinsky(d: Mapping[Derivative, Tensor]) -> tuple[Tensor, ...]:
    """u_t + u u_x + u_xx + u_xxxx = 0, of (x, t)."""
    return (d[0, (0, 1)] + d[0, (0, 0)] * d[0, (1, 0)] + d[0, (2, 0)] + d[0, (4, 0)],)


KURAMOTO_SIVASHINSKY = Equation(
    name="Kuramoto-Sivashinsky",
    coordinates=2,
    unknowns=1,
    # u, u_x, u_xx, u_xxx, u_t + u_xxxx
    slopes=((1.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 1.0)),
    chain=(
        (),
        (ChainTerm(1.0, (1, 1)),),
        (ChainTerm(3.0, (1, 2)), ChainTerm(1.0, (1, 1, 1))),
        (
            ChainTerm(4.0, (1, 3)),
            ChainTerm(3.0, (2, 2)),
            ChainTerm(6.0, (1, 1, 2)),
            ChainTerm(1.0, (1, 1, 1, 1)),
        ),
    ),
    program=ResidualProgram(
        columns=0,
        learned=0,
        slots=((0, 0), (1, 0), (2, 0), (4, 0)),
        residual=Program(4, (), (("mul", 0, 1), ("add", 2, 3), ("add", 4, 5)), (6,)),
        partials=Program(4, (1.0,), (), (1, 0, 4, 4)),
        partial_of=((0, 0), (0, 1), (0, 2), (0, 3)),
    ),
    wanted=((0, (0, 0)), (0, (1, 0)), (0, (0, 1)), (0, (2, 0)), (0, (4, 0))),
    formula=_kuramoto_sivashinsky,
    order=4,
)


def _navier_stokes(d: Mapping[Derivative, Tensor]) -> tuple[Tensor, ...]:
    """w_t + u w_x + v w_y + ∇p = ν Δw for w = (u, v), u_x + v_y = 0, ν = 0.01, of (x, y, t)."""
    u, v = d[0, (0, 0, 0)], d[1, (0, 0, 0)]
    momentum = (
        d[w, (0, 0, 1)]
        + u * d[w, (1, 0, 0)]
        + v * d[w, (0, 1, 0)]
        + d[2, along]
        - 0.01 * (d[w, (2, 0, 0)] + d[w, (0, 2, 0)])
        for w, along in ((0, (1, 0, 0)), (1, (0, 1, 0)))
    )
    return (*momentum, d[0, (1, 0, 0)] + d[1, (0, 1, 0)])


_VELOCITY = ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (2, 0, 0), (0, 2, 0))

NAVIER_STOKES = Equation(
    name="Navier-Stokes 2-D",
    coordinates=3,
    unknowns=3,
    # w, w_x, w_y, w_t − ν Δw
    slopes=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    chain=((), (), (ChainTerm(-0.01, (2, 2)), ChainTerm(-0.01, (1, 1)))),
    program=ResidualProgram(
        columns=0,
        learned=0,
        # p_x, p_y; u, u_x, u_y, u_t − ν Δu; v, v_x, v_y, v_t − ν Δv
        slots=((1, 2), (2, 2), (0, 0), (1, 0), (2, 0), (3, 0), (0, 1), (1, 1), (2, 1), (3, 1)),
        residual=Program(
            10,
            (),
            (
                ("mul", 2, 3),
                ("mul", 4, 6),
                ("add", 0, 5),
                ("add", 10, 11),
                ("add", 12, 13),
                ("mul", 2, 7),
                ("mul", 6, 8),
                ("add", 1, 9),
                ("add", 15, 16),
                ("add", 17, 18),
                ("add", 3, 8),
            ),
            (14, 19, 20),
        ),
        partials=Program(10, (1.0,), (), (10, 3, 2, 6, 10, 4, 10, 7, 8, 2, 6, 10, 10, 10)),
        partial_of=(
            *((0, slot) for slot in (0, 2, 3, 4, 5, 6)),
            *((1, slot) for slot in (1, 2, 6, 7, 8, 9)),
            *((2, slot) for slot in (3, 8)),
        ),
    ),
    wanted=(
        *((unknown, index) for unknown in (0, 1) for index in _VELOCITY),
        (2, (1, 0, 0)),
        (2, (0, 1, 0)),
    ),
    formula=_navier_stokes,
    order=2,
)

EQUATIONS = (BURGERS, NAVIER_STOKES, KURAMOTO_SIVASHINSKY)
