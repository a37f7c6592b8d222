"""The tree of a YAML text: plain values that know the line they were written on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Node", "Path", "Place", "Plain", "Scalar", "node_of", "trace"]

Scalar = str | int | float | bool | None
Plain = Scalar | list["Plain"] | dict[str, "Plain"]
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a spec.

    Args:
        value: a scalar, a tuple of nodes or a mapping name -> node.
        line: where the value begins, counted from 1.
        key_lines: of a mapping, the line of each key.
        origin: what to name instead of file and line, for values that came from elsewhere (``--set seed=1``).
        flow: written in flow style, ``[...]`` or ``{...}``.
        height: levels below and including this one.
        size: number of nodes below and including this one, aliases counted in full.
    """

    value: Scalar | tuple[Node, ...] | dict[str, Node]
    line: int
    key_lines: dict[str, int] = field(default_factory=dict)
    origin: str | None = None
    flow: bool = False
    height: int = 1
    size: int = 1

    @property
    def is_scalar(self) -> bool:
        """True for text, numbers, true/false and null."""
        return not isinstance(self.value, (tuple, dict))

    def plain(self) -> Plain:
        """The value as Python's own lists and dictionaries, without positions."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, tuple):
            return [child.plain() for child in self.value]
        return self.value


def node_of(value: Plain, line: int = 1, origin: str | None = None) -> Node:
    """Make a tree from plain values, all on one line."""
    if isinstance(value, Mapping):
        children = {str(key): node_of(child, line, origin) for key, child in value.items()}
        return Node(children, line, dict.fromkeys(children, line), origin)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return Node(tuple(node_of(child, line, origin) for child in value), line, origin=origin)
    return Node(value, line, origin=origin)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path leads: the path as the text has it, its line, and its origin if that is not the file."""

    path: Path
    line: int
    origin: str | None


def trace(root: Node, path: Path, at_key: bool = False) -> Place:
    """Follow a path as far as the text goes.

    A path may be finer than the text, since many entries have a short form (``nu: 0.1`` for ``nu: {value: 0.1}``,
    ``unknowns: [u]`` for ``unknowns: {u: {}}``): the nearest written parent is then meant.

    Args:
        root: the tree.
        path: keys and list indices from the root.
        at_key: point at the last key rather than at its value.
    """
    node, line, origin, shown = root, root.line, root.origin, []
    for depth, part in enumerate(path):
        found = _step(node, part)
        if found is None:
            if isinstance(node.value, dict) and isinstance(part, int):
                continue  # one entry written without its list
            if isinstance(node.value, tuple) and isinstance(part, str):
                continue  # a list written in place of a mapping, [0, 1] for {range: [0, 1]}
            if isinstance(node.value, dict):
                shown.extend(path[depth:])
            break
        key, child = found
        keyed = node.key_lines.get(key, child.line) if isinstance(key, str) else child.line
        line = keyed if at_key or not child.is_scalar else child.line
        node, origin = child, child.origin or origin
        shown.append(key)
    return Place(tuple(shown), line, origin)


def _step(node: Node, part: str | int) -> tuple[str | int, Node] | None:
    """The child that ``part`` names: a key, an index, or a name standing in a list of names."""
    if isinstance(node.value, dict):
        if part == "unit" and part not in node.value:
            part = "units"
        return (part, node.value[part]) if isinstance(part, str) and part in node.value else None
    if isinstance(node.value, tuple):
        if isinstance(part, int):
            return (part, node.value[part]) if 0 <= part < len(node.value) else None
        return next(((i, child) for i, child in enumerate(node.value) if child.value == part), None)
    return None
