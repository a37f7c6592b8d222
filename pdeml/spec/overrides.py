"""``--set solver.width=64``: changes to a spec from outside its file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from ..errors import InputError, format_path, one_of
from .document import Document, Source, document_of
from .errors import SpecError, show
from .nodes import Node, Path
from .reader import read_tree

__all__ = ["apply_overrides", "parse_path"]

_PART = re.compile(r"([^\[\].=\s]+)((?:\[[0-9]{1,6}\])*)\Z")
_CLOSED = (("problem", "parameters"), ("problem", "unknowns"), ("problem", "coordinates"), ("problem", "inputs"))


def parse_path(text: str) -> Path:
    """Read ``problem.conditions[1].on`` as ``("problem", "conditions", 1, "on")``.

    Raises:
        InputError: if it is not a path.
    """
    path: list[str | int] = []
    for piece in text.split("."):
        match = _PART.match(piece)
        if match is None:
            raise InputError(f"{show(text)} is not a path such as solver.width or problem.conditions[1].on")
        path.append(match[1])
        path.extend(int(index) for index in re.findall(r"[0-9]+", match[2]))
    return tuple(path)


def apply_overrides(document: Document, overrides: Iterable[str], origin: str | None = None) -> Document:
    """Set values by path, in order, and check the result.

    Args:
        document: the spec.
        overrides: ``PATH=VALUE`` each; VALUE is YAML (``64``, ``[0, 1]``, ``{learn: 0.1}``, a formula).
        origin: what errors name, where the user wrote something else, such as ``--samples 2``; default: ``--set`` and
            the override.

    Returns:
        A new document; errors about a value that was set name the override in place of file and line.

    Raises:
        SpecError: ``--set PATH=VALUE: message``.
    """
    root = document.source.root
    for override in overrides:
        root = _apply(root, override, origin or f"--set {override}")
    return document_of(Source(document.source.file, document.source.text, root))


def _apply(root: Node, override: str, origin: str) -> Node:
    left, equals, right = override.partition("=")
    if not equals:
        raise SpecError("needs PATH=VALUE, such as solver.width=64", origin=origin)
    try:
        path = parse_path(left.strip())
        value = Node(None, 1) if not right.strip() else read_tree(right.strip(), origin, origin)
        return _set(root, path, _from(value, origin), origin, ())
    except SpecError:
        raise
    except InputError as error:
        raise SpecError(error.message, origin=origin) from None


def _from(node: Node, origin: str) -> Node:
    return replace(node, origin=origin)


def _set(node: Node, path: Path, value: Node, origin: str, done: Path) -> Node:
    """The tree with ``value`` at ``path``; mappings on the way are made where missing."""
    if not path:
        return value
    part, rest = path[0], path[1:]
    if isinstance(part, int):
        return _set_index(node, part, rest, value, origin, done)
    if done == ("solver",) and isinstance(node.value, str):
        node = Node({"kind": node}, node.line, {"kind": node.line}, node.origin)
    if not isinstance(node.value, dict):
        raise InputError(f"{_name(done)} is {show(node.plain())} here and has no key {part!r}; set it as a whole")
    if done in _CLOSED and part not in node.value:
        raise InputError(one_of(part, node.value, f"one of {_name(done)}"))
    child = node.value.get(part, Node({}, node.line, origin=origin))
    child = _set(child, rest, value, origin, (*done, part))
    lines = {**node.key_lines, part: node.key_lines.get(part, node.line)}
    return replace(node, value={**node.value, part: child}, key_lines=lines)


def _set_index(node: Node, index: int, rest: Path, value: Node, origin: str, done: Path) -> Node:
    if not isinstance(node.value, tuple):
        raise InputError(f"{_name(done)} is {show(node.plain())} here, not a list")
    if index >= len(node.value):
        raise InputError(f"{_name(done)} has {len(node.value)} entries, counted from 0; there is no [{index}]")
    children = list(node.value)
    children[index] = _set(children[index], rest, value, origin, (*done, index))
    return replace(node, value=tuple(children))


def _name(path: Path) -> str:
    return format_path(path) or "the spec"
