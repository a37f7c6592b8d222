"""Which arrays of a file an operator is given and asked for: as the user says, and as the file says for the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pdeml.data.mask import MASK
from pdeml.data.places import take_places
from pdeml.data.portions import Files
from pdeml.data.source import ArrayInfo, Source, open_source
from pdeml.errors import InputError

__all__ = ["chosen_arrays", "whole_names"]


def whole_names(
    file: Files,
    inputs: Mapping[str, str] | None,
    outputs: Mapping[str, str] | None,
    coordinates: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Complete the user's names for `open_source`: who names outputs alone keeps the file's inputs, and the reverse.

    The mask of a geometry always stays. In files that do not name their arrays nothing can be completed.

    Args:
        file: the data set.
        inputs: our name -> the file's, with or without a place; None: those of the file.
        outputs: the same.
        coordinates: as of `open_source`.
    """
    names = {"inputs": inputs, "outputs": outputs, "coordinates": coordinates}
    if inputs is None and outputs is None:
        return names
    try:
        with open_source(file, coordinates=coordinates) as source:
            arrays = dict(source.arrays)
    except InputError:
        return names  # with the user's names it may be read; if not, that says why
    plain = {key: take_places(group, key) for key, group in (("inputs", inputs), ("outputs", outputs))}
    theirs = {name for group, _ in plain.values() for name in (group or {}).values()}
    if not theirs <= set(arrays):
        return names
    whole = {ours for group, placed in plain.values() for ours in (group or {}) if ours not in placed}
    taken = {name for group, _ in plain.values() for ours, name in (group or {}).items() if ours in whole}
    for key, role in (("inputs", "input"), ("outputs", "output")):
        if names[key] is None:
            rest = (name for name, info in arrays.items() if info.role == role)
            names[key] = {name: name for name in rest if name not in taken and name != MASK}
    if MASK in arrays and MASK not in taken:
        names["inputs"] = {**names["inputs"], MASK: MASK}
    return names


def chosen_arrays(source: Source) -> dict[str, list[ArrayInfo]]:
    """Return the arrays that are given (``inputs``, numbers among them) and asked for (``outputs``).

    Raises:
        InputError: there are no outputs, or they are not functions on one grid.
    """
    found = [info for name, info in source.arrays.items() if name != MASK]
    given = [info for info in found if info.role != "output"]
    asked = [info for info in found if info.role == "output"]
    if not asked:
        held = ", ".join(info.name for info in found) or "nothing"
        raise InputError(f"{source.path} holds no outputs ({held}); name them, as outputs: {{u: NAME}}", ("outputs",))
    first = asked[0]
    for info in asked:
        if info.dims != first.dims:
            listed = ", ".join(f"{info.name}({', '.join(info.dims)})" for info in asked)
            raise InputError(
                f"{source.path}: the outputs {listed} have different dimensions; choose those that agree, as outputs: "
                f"{{{first.name}: {first.name}}}, or one place, as {{{info.name}: {info.name}(t=last)}}",
                ("outputs",),
            )
    if not first.dims:
        raise InputError(
            f"{source.path}: {first.name!r} is one number a sample; an operator gives functions", ("outputs",)
        )
    sizes: dict[str, tuple[int, str]] = {}
    for info in (*asked, *given):
        _refuse_coordinate(source, info, (*asked, *given))
        for dim, size in zip(info.dims, info.shape, strict=True):
            other, name = sizes.setdefault(dim, (size, info.name))
            if other != size:
                key = "outputs" if info.role == "output" else "inputs"
                raise InputError(
                    f"{source.path}: {info.name!r} has {size} points along {dim}, {name!r} has {other}",
                    (key, info.name),
                )
    return {"inputs": given, "outputs": asked}


def _refuse_coordinate(source: Source, info: ArrayInfo, used: Sequence[ArrayInfo]) -> None:
    """Refuse an array that has the name of a coordinate of the arrays that are used."""
    dims = dict.fromkeys(dim for other in used for dim in other.dims)
    if info.name in dims:
        key, other = ("outputs", "u") if info.role == "output" else ("inputs", "a")
        raise InputError(
            f"{source.path}: {info.name!r} is the name of a coordinate, too ({', '.join(dims)}); name the array "
            f"otherwise, as {key}: {{{other}: {info.name}}}",
            (key,),
        )
