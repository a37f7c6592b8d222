"""What every solver of one known problem refuses, before anything is computed."""

from __future__ import annotations

from typing import Any

from pdeml.errors import InputError
from pdeml.problem import Problem
from pdeml.problem.checks import reasons_for_data

__all__ = ["refuse_unknowns", "refuse_what_is_open"]


def refuse_unknowns(kind: str, problem: Problem | None, data: Any) -> None:
    """Refuse observations and parameters to be found.

    Args:
        kind: of the solver, for the messages.
        problem: equations, domain and conditions.
        data: observations.

    Raises:
        InputError: with the path of what is not known.
    """
    if problem is None:
        raise InputError(f"{kind!r} needs a problem")
    if data is not None:
        raise InputError(f"{kind!r} does not use observations yet", ("data",))
    for name, parameter in problem.parameters.items():
        if parameter.kind != "value":
            raise InputError(
                f"{kind!r} solves with known parameters; {parameter.kind!r} is not supported yet: "
                f"give {name!r} a number",
                ("parameters", name),
            )


def refuse_what_is_open(kind: str, problem: Problem | None, data: Any) -> None:
    """Refuse observations, and problems with something left to find besides the unknowns; see `refuse_unknowns`."""
    refuse_unknowns(kind, problem, data)
    assert problem is not None
    for name in problem.inputs:
        message = f"{kind!r} takes no input functions: write a formula in the equation in place of {name!r}"
        raise InputError(message, ("inputs", name))
    if not problem.forms:
        raise InputError(f"{kind!r} needs at least one equation", ("equations",))
    for reason in reasons_for_data(problem):
        raise InputError(f"{kind!r} does not use observations yet, and they are needed: {reason}")
