"""In which keys two specs differ, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pdeml.spec import SpecError, parse_spec, to_plain

__all__ = ["spec_changes"]

_ABSENT = object()
_LONGEST = 60


def spec_changes(was: str, now: str) -> dict[str, tuple[str, str]]:
    """Return what two specs say under the keys in which they differ.

    Args:
        was: a spec as YAML, perhaps of an older version or written by somebody else.
        now: a valid spec.

    Returns:
        key, such as ``problem.inputs.a.tau`` -> what the two say, ``not given`` included; of a spec that cannot be
        read ``spec`` alone.
    """
    try:
        old = _plain(was)
    except SpecError:
        return {"spec": ("one that cannot be read", "this one")}
    return {path: (_shown(one), _shown(other)) for path, one, other in _different(old, _plain(now))}


def _plain(text: str) -> dict[str, Any]:
    spec = parse_spec(text).spec
    return {"seed": spec.seed, **to_plain(spec)}


def _different(one: Any, other: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in {**one, **other}:
            inner = f"{path}.{key}" if path else str(key)
            yield from _different(one.get(key, _ABSENT), other.get(key, _ABSENT), inner)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (first, second) in enumerate(zip(one, other, strict=True)):
            yield from _different(first, second, f"{path}[{number}]")
    elif one is _ABSENT or other is _ABSENT or one != other:
        yield path, one, other


def _shown(value: Any) -> str:
    text = "not given" if value is _ABSENT else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
