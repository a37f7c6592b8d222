"""From the `reference:` of a spec to a reference."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pdeml.errors import InputError, one_of, under
from pdeml.problem import Problem
from pdeml.reference.base import Reference
from pdeml.reference.computed import ComputedReference
from pdeml.reference.exact import ExactReference
from pdeml.reference.file import FileReference
from pdeml.reference.named import named_reference
from pdeml.spec import ReferenceSpec, to_plain

__all__ = ["make_reference"]

KINDS = ("exact", "named", "file")
"""What stands alone; ``solver`` has options beside it."""


def make_reference(
    spec: ReferenceSpec | Mapping[str, Any] | None, problem: Problem, folder: str | os.PathLike[str] = "."
) -> Reference | None:
    """Build what a spec says under ``reference``.

    Args:
        spec: ``{exact: {u: …}}``, ``{named: cole-hopf}``, ``{file: ref.h5}`` or ``{solver: auto}``; None for none.
        problem: what is solved.
        folder: what a relative path is relative to.
    Raises:
        InputError: with the path below ``reference``: an unknown kind or name, a formula that is not allowed, a file
            that does not fit, a solver that does not exist or refuses the problem.
    """
    if spec is None:
        return None
    if not isinstance(spec, ReferenceSpec | Mapping):
        raise InputError(f"a reference is a mapping such as {{named: cole-hopf}}, got {spec!r}")
    given = dict(to_plain(spec)) if isinstance(spec, ReferenceSpec) else dict(spec)
    if "solver" in given:
        return ComputedReference.read(given, problem)
    if len(given) != 1:
        raise InputError(
            f"a reference has exactly one of {', '.join(KINDS)}; got {', '.join(map(str, given)) or 'none'}"
        )
    ((kind, value),) = given.items()
    if kind not in KINDS:
        raise InputError(one_of(str(kind), (*KINDS, "solver"), "a kind of reference"), (str(kind),))
    with under(kind):
        if kind == "exact":
            return ExactReference.read(value, problem)
        if kind == "named":
            return named_reference(str(value), problem)
        return FileReference.read(Path(folder) / str(value), problem)
