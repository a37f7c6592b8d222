"""YAML 1.2 text -> tree of nodes, by rules of our own: nothing but text, numbers, true/false, null, lists, mappings.

ruamel.yaml only splits the text into events; tags, duplicate keys, merge keys, deep nesting and alias bombs are
refused here, before anything is built.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml import events as ev
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from .advice import flow_advice, say_yaml_error, unbalanced
from .errors import SpecError, show
from .nodes import Node, Scalar

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_NODES", "read_tree", "resolve_scalar"]

MAX_BYTES = 2**20
MAX_DEPTH = 32
MAX_NODES = 20_000
MAX_DIGITS = 60
MAX_KEY = 200

_CONTROL = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x84\\x86-\\x9f\\ud800-\\udfff\\ufffe\\uffff]")
_CONTROL_IN_VALUE = re.compile(_CONTROL.pattern[:-1] + "\\r\\x85\\ufeff\\u2028\\u2029]")
_INT = re.compile(r"[-+]?[0-9]+\Z")
_BASED = re.compile(r"0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z")
_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_TEXT_TAG = "tag:yaml.org,2002:str"


def resolve_scalar(text: str) -> Scalar:
    """Read an unquoted scalar by the core schema of YAML 1.2, so that ``on`` is a word and ``1e-3`` a number.

    Raises:
        ValueError: if it stands for infinity or not-a-number, or is too long a number.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _NOT_FINITE.match(text):
        raise ValueError(f"{text!r} is not a finite number")
    if _INT.match(text) or _BASED.match(text):
        if len(text) > MAX_DIGITS:
            raise ValueError(f"a number of {len(text)} digits is too long; at most {MAX_DIGITS}")
        return int(text, 10) if _INT.match(text) else int(text, 0)
    if _FLOAT.match(text):
        number = float(text)
        if number in (float("inf"), float("-inf")):
            raise ValueError(f"{show(text)} is too large for a number")
        return number
    return text


def read_tree(text: str, file: str, origin: str | None = None) -> Node:
    """Read one YAML document.

    Args:
        text: the YAML text.
        file: how errors name it.
        origin: what errors name instead of file and line.

    Raises:
        SpecError: for anything that is not one plain document.
    """
    return _Reader(text, file, origin).document()


class _Reader:
    """One pass over the events of a text."""

    def __init__(self, text: str, file: str, origin: str | None):
        self.text, self.file, self.origin = text, file, origin
        self.anchors: dict[str, Node | None] = {}
        self.nodes = 0
        self.events = self._events()

    def _events(self) -> Iterator[Any]:
        yield from YAML(typ="safe", pure=True).parse(self.text)

    def fail(self, message: str, line: int | None, path: tuple[str | int, ...] = ()) -> SpecError:
        return SpecError(message, path, file=self.file, line=line, origin=self.origin)

    def document(self) -> Node:
        if found := _CONTROL.search(self.text):
            line = self.text.count("\n", 0, found.start()) + 1
            raise self.fail(f"the control character {found[0]!r} is not allowed in a text file", line)
        try:
            return self._document()
        except MarkedYAMLError as error:
            line, message = say_yaml_error(error, self.text)
            raise self.fail(message, line) from None
        except SpecError:
            raise
        except (YAMLError, ValueError, LookupError, AttributeError, AssertionError, RecursionError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
            raise self.fail(f"is not YAML that can be read: {reason}", None) from None

    def _document(self) -> Node:
        next(self.events)
        start = next(self.events)
        if isinstance(start, ev.StreamEndEvent):
            what = "has no value" if self.origin else "the file is empty; `pdeml init NAME` writes a spec to start from"
            raise self.fail(what, None)
        root = self.node(next(self.events), 1, False, ())
        next(self.events)
        more = next(self.events)
        if not isinstance(more, ev.StreamEndEvent):
            raise self.fail("a second document begins here ('---'); one file holds one spec", more.start_mark.line + 1)
        return root

    def node(self, event: ev.Event, depth: int, flow: bool, path: tuple[str | int, ...]) -> Node:
        line = event.start_mark.line + 1
        if depth > MAX_DEPTH:
            raise self.fail(f"nested too deeply; at most {MAX_DEPTH} levels", line)
        if isinstance(event, ev.AliasEvent):
            return self.alias(event, depth, line)
        tag = event.ctag
        if tag is not None and str(tag) not in ("!", _TEXT_TAG):
            raise self.fail(f"the tag {show(_tag_text(str(tag)))} is not allowed; a spec holds plain values only", line)
        self.count(1, line)
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        if isinstance(event, ev.ScalarEvent):
            node = Node(self.scalar(event, flow, line, path), line, origin=self.origin)
        elif isinstance(event, ev.SequenceStartEvent):
            node = self.sequence(event, depth, line, path)
        else:
            node = self.mapping(event, depth, line, path)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def count(self, size: int, line: int) -> None:
        self.nodes += size
        if self.nodes > MAX_NODES:
            raise self.fail(f"too many values, aliases counted in full; at most {MAX_NODES}", line)

    def alias(self, event: ev.AliasEvent, depth: int, line: int) -> Node:
        name = event.anchor
        if name not in self.anchors:
            raise self.fail(
                f"'*{name}' refers to nothing ('*' begins a YAML alias); quote the text if it is a formula", line
            )
        node = self.anchors[name]
        if node is None:
            raise self.fail(f"'*{name}' refers to itself", line)
        if depth + node.height > MAX_DEPTH + 1:
            raise self.fail(f"nested too deeply; at most {MAX_DEPTH} levels", line)
        self.count(node.size, line)
        return node

    def sequence(self, event: ev.SequenceStartEvent, depth: int, line: int, path: tuple[str | int, ...]) -> Node:
        children: list[Node] = []
        flow = bool(event.flow_style)
        while not isinstance(item := next(self.events), ev.SequenceEndEvent):
            children.append(self.node(item, depth + 1, flow, (*path, len(children))))
        return self.collect(tuple(children), children, line, {}, flow)

    def mapping(self, event: ev.MappingStartEvent, depth: int, line: int, path: tuple[str | int, ...]) -> Node:
        children: dict[str, Node] = {}
        key_lines: dict[str, int] = {}
        flow = bool(event.flow_style)
        while not isinstance(item := next(self.events), ev.MappingEndEvent):
            key = self.key(item, flow, path)
            key_line = item.start_mark.line + 1
            if key in children:
                first = key_lines[key]
                raise self.fail(f"the key {show(key)} stands twice (first on line {first})", key_line, path)
            key_lines[key] = key_line
            child = self.node(next(self.events), depth + 1, flow, (*path, key))
            children[key] = replace(child, line=key_line) if child.value is None else child
        return self.collect(children, list(children.values()), line, key_lines, flow)

    def collect(self, value, children: list[Node], line: int, key_lines: dict[str, int], flow: bool) -> Node:
        return Node(
            value,
            line,
            key_lines,
            self.origin,
            flow,
            1 + max((child.height for child in children), default=0),
            1 + sum(child.size for child in children),
        )

    def key(self, event: ev.Event, flow: bool, path: tuple[str | int, ...]) -> str:
        line = event.start_mark.line + 1
        if not isinstance(event, ev.ScalarEvent):
            raise self.fail("a key must be a word; a formula that begins with a bracket must be quoted", line, path)
        if event.ctag is not None or event.anchor is not None:
            raise self.fail(f"tags and anchors are not allowed on the key {show(event.value)}", line, path)
        if event.value == "<<" and event.style is None:
            raise self.fail("merge keys ('<<') are not part of YAML 1.2; write the keys out", line, path)
        key = self.scalar(event, flow, line, path)
        if key is None or key == "":
            raise self.fail("a key is missing before ':'", line, path)
        if isinstance(key, str) and len(key) > MAX_KEY:
            raise self.fail(f"the key {show(key)} is too long; at most {MAX_KEY} letters", line, path)
        if not isinstance(key, str):
            raise self.fail(f"the key {show(key)} is not a word; keys are names", line, path)
        return key

    def scalar(self, event: ev.ScalarEvent, flow: bool, line: int, path: tuple[str | int, ...]) -> Scalar:
        text = event.value
        if _CONTROL_IN_VALUE.search(text):
            raise self.fail(f"control characters are not allowed in text: {show(text)}", line, path)
        if event.style is not None or event.ctag is not None:
            return text
        if flow and unbalanced(text):
            raise self.fail(flow_advice(self.text, event.start_mark.index, text), line, path)
        try:
            return resolve_scalar(text)
        except ValueError as error:
            raise self.fail(str(error), line, path) from None


def _tag_text(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")
