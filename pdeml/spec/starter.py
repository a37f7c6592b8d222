"""The commented spec that `pdeml init NAME` writes."""

from __future__ import annotations

import re

from ..errors import InputError
from .dump import quote_text
from .errors import show
from .models import RUN_NAME

__all__ = ["starter"]


def starter(name: str) -> str:
    """A commented spec of a small heat problem, ready to run.

    Args:
        name: letters, digits, ``-`` and ``_``; it becomes the folder of the run.

    Raises:
        InputError: if the name is anything else.
    """
    if not isinstance(name, str) or not re.fullmatch(RUN_NAME, name):
        raise InputError(f"{show(name)} is not a name: letters, digits, '-' and '_' only, at most 100 of them")
    head = f"name: {quote_text(name)}"
    return _STARTER.replace("name: NAME", head.ljust(26), 1).replace("NAME", name)


_STARTER = """\
# A spec says what is solved, how, and what comes out.
#   pdeml validate FILE   check it and say what would be solved
#   pdeml train FILE      solve it

name: NAME # the run goes to runs/NAME; letters, digits, - and _
seed: 0                    # every random choice follows from it

problem:
  # Coordinates with their ranges. Any number may be a constant expression, such as 2*pi.
  coordinates:
    x: [0, 1]
    t: [0, 1]
  time: t                  # which of them is time; leave it out for a steady problem
  unknowns: [u]
  parameters:
    alpha: 0.1             # {range: [0.05, 0.2]} is for recipes, which draw it; solvers need a number so far

  # u_t, u_xx are derivatives; so are d(u, x, 2), laplacian(u), grad(u), div(v).
  equations:
    - u_t = alpha*u_xx

  # on: initial, final, boundary, boundary.left, or a mapping such as {x: 0, where: "t > 0.5"}.
  # Then one of value, rate (time derivative), flux (outward normal derivative), equation.
  # A formula with a comma must be quoted: "min(x, 1)".
  conditions:
    - on: initial
      value: {u: sin(pi*x)}
    - on: boundary
      value: {u: 0}

# Optional: what the solution is compared with. Also {named: ...}, {file: ...}.
reference:
  exact:
    u: exp(-alpha*pi**2*t)*sin(pi*x)

# Observations, which are checked but used by no solver yet (the path is relative to this file):
# data: {file: observations.h5, unknowns: [u], noise: 1%}

solver:
  kind: pinn               # every option has a default that works

export:
  grid: {x: 101, t: 101}   # fields.h5 and fields.png in the run's folder
"""
