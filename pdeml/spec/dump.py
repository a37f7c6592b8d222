"""Spec -> YAML that loads to an equal spec."""

from __future__ import annotations

import re
from typing import Any

from .base import SpecNode
from .models import Spec
from .problem import UnknownSpec
from .reader import resolve_scalar

__all__ = ["dump_spec", "quote_text", "to_plain", "write_yaml"]

_BLOCK_LISTS = ("equations", "conditions")
_LINE = 100
_PLAIN_START = re.compile(r"[A-Za-z0-9(./+_]|-(?=[^\s-])")
_PLAIN_BODY = re.compile(r"[ -~\u00a1-\u024f\u0370-\u03ff]+\Z")
_MISREAD = re.compile(
    r"[-+]?[0-9][0-9_:.,-]*\Z|[-+]?[0-9_]*\.[0-9_]*([eE][-+]?[0-9]+)?\Z|(?i:true|false|null)\Z|\.\.\."
)


def dump_spec(spec: Spec) -> str:
    """Write a spec as block-style YAML 1.2: only keys that were set, in the order of the contract.

    Returns:
        Text for which ``parse_spec(text).spec == spec``.
    """
    return write_yaml(to_plain(spec))


def to_plain(value: Any) -> Any:
    """Plain values of a spec, in the short forms that a user would write."""
    if isinstance(value, SpecNode):
        plain = {key: to_plain(getattr(value, key)) for key in value.given}
        plain.update((key, to_plain(child)) for key, child in (value.model_extra or {}).items())
        if (
            value.written_short
            and value.short is not None
            and list(plain) == [value.short]
            and not isinstance(plain[value.short], dict)
        ):
            return plain[value.short]
        if isinstance(value, Spec) and len(value.data) == 1:
            plain["data"] = plain["data"][0]
        if isinstance(value, UnknownSpec) and plain == {"complex": True}:
            return "complex"
        return plain
    if isinstance(value, dict):
        plain = {key: to_plain(child) for key, child in value.items()}
        if value and all(isinstance(child, UnknownSpec) and not child.given for child in value.values()):
            return list(value)
        return plain
    if isinstance(value, (tuple, list)):
        return [to_plain(child) for child in value]
    return value


def write_yaml(value: dict[str, Any]) -> str:
    """Write plain values (text, numbers, true/false, null, lists, mappings) as YAML 1.2."""
    return "\n".join(_mapping(value, "")) + "\n" if value else "{}\n"


def _mapping(value: dict[str, Any], indent: str) -> list[str]:
    lines: list[str] = []
    for key, child in value.items():
        head = f"{indent}{quote_text(key)}:"
        lines.extend(_entry(head, child, indent + "  ", key))
    return lines


def _entry(head: str, value: Any, indent: str, key: str = "") -> list[str]:
    if isinstance(value, dict) and value:
        return [head, *_mapping(value, indent)]
    if isinstance(value, list) and value:
        inline = None if key in _BLOCK_LISTS else _inline(value)
        if inline is not None and len(head) + len(inline) < _LINE:
            return [f"{head} {inline}"]
        return [head, *_sequence(value, indent)]
    return [f"{head} {_scalar(value)}"]


def _sequence(value: list[Any], indent: str) -> list[str]:
    lines: list[str] = []
    for child in value:
        if isinstance(child, dict) and child:
            inner = _mapping(child, indent + "  ")
            lines.append(f"{indent}- {inner[0].lstrip()}")
            lines.extend(inner[1:])
        else:
            lines.extend(_entry(f"{indent}-", child, indent + "  "))
    return lines


def _inline(value: list[Any]) -> str | None:
    """``[a, b]`` for lists of scalars, or of such lists; None where a mapping stands inside."""
    parts: list[str] = []
    for child in value:
        if isinstance(child, dict):
            return None
        part = _inline(child) if isinstance(child, list) else _scalar(child, flow=True)
        if part is None:
            return None
        parts.append(part)
    return f"[{', '.join(parts)}]"


def _scalar(value: Any, flow: bool = False) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return quote_text(value, flow)
        case int():
            return repr(int(value))
        case float():
            return repr(float(value))
    return "{}" if isinstance(value, dict) else "[]"


def quote_text(text: str, flow: bool = False) -> str:
    """The text as a YAML scalar: as it is, or quoted where YAML would read something else."""
    return text if _is_plain(text, flow) else _quoted(text)


def _is_plain(text: str, flow: bool) -> bool:
    if not _PLAIN_BODY.match(text) or not _PLAIN_START.match(text) or text != text.strip():
        return False
    if ": " in text or " #" in text or text.endswith(":") or _MISREAD.match(text):
        return False
    if flow and any(char in ",[]{}()\"'#:?" for char in text):
        return False
    try:
        return isinstance(resolve_scalar(text), str)
    except ValueError:
        return False


def _quoted(text: str) -> str:
    if _PLAIN_BODY.match(text) and "'" not in text:
        return f'"{text}"' if "\\" not in text and '"' not in text else f"'{text}'"
    return '"' + "".join(_escaped(char) for char in text) + '"'


def _escaped(char: str) -> str:
    code = ord(char)
    if char in '"\\':
        return "\\" + char
    if char.isprintable() and code < 0xFFFE:
        return char
    if char == "\n":
        return "\\n"
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
