"""The data of an operator from what a user gives, and what of it a problem beside them does not know."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pdeml.data.operator import OperatorData
from pdeml.data.signature import Signature
from pdeml.errors import InputError, one_of
from pdeml.problem import Problem
from pdeml.train.drawn import DrawnData

__all__ = ["as_data", "strangers"]


def strangers(problem: Problem | None, signature: Signature, physics: bool) -> tuple[str, ...]:
    """Say which functions of the samples the problem given beside them does not know; refuse to use its equation."""
    if problem is None:
        return ()
    unknowns = problem.unknowns if signature.march is not None else ()
    declared = dict.fromkeys([*problem.inputs, *problem.parameters, *unknowns])
    told = [
        (f"input {quantity.name!r}", ", ".join(declared) or "none")
        for quantity in signature.inputs
        if quantity.name not in declared
    ]
    told += [
        (f"unknown {quantity.name!r}", ", ".join(problem.unknowns))
        for quantity in signature.outputs
        if quantity.name not in problem.unknowns
    ]
    if not told:
        return ()
    if physics:
        raise InputError(
            f"the problem, whose equation is asked for, has no {told[0][0]}; it has {told[0][1]}", ("physics",)
        )
    listed = "; ".join(f"no {what} (it has {known})" for what, known in told)
    return (f"the problem has {listed}: of it only the coordinates are used, such as which of them are periodic",)


def as_data(data: Any, problem: Problem | None, kind: str, seed: int = 0) -> OperatorData | DrawnData:
    """Return the data of an operator from what a user gives: samples, or functions drawn from a problem's inputs.

    Raises:
        InputError: it is nothing of the kind.
    """
    if isinstance(data, OperatorData | DrawnData):
        return data
    if isinstance(data, str | os.PathLike):
        return OperatorData(data)
    if isinstance(data, Mapping):
        taken = [own.name for own in fields(OperatorData if "file" in data else DrawnData) if own.init]
        for name in data:
            if name not in taken:
                raise InputError(one_of(str(name), taken, "an argument of the data"), ("data", str(name)))
    if isinstance(data, Mapping) and "file" in data:
        return OperatorData(**data)
    if data is not None and not isinstance(data, Mapping):
        message = f"must be an OperatorData, a mapping of its arguments, or a file, got {data!r:.80}"
        raise InputError(message, ("data",))
    if problem is None:
        raise InputError(
            f"{kind!r} learns from samples: give data, such as data: {{file: darcy.h5}}, or a problem with inputs that "
            "have a distribution",
            ("data",),
        )
    return DrawnData(problem, **{"seed": seed, **(data or {})})
