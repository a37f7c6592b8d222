"""What to tell a user whose YAML cannot be read: the remedy, not the parser's state."""

from __future__ import annotations

from ruamel.yaml.error import MarkedYAMLError

from .errors import show

__all__ = ["flow_advice", "say_yaml_error", "unbalanced"]

_PAIRS = {")": "(", "]": "[", "}": "{"}
_LONGEST = 80


def unbalanced(text: str) -> str:
    """Say which bracket of a text has no partner: ``"unclosed '('"``, ``"')' without '('"``, or nothing."""
    open_brackets: list[str] = []
    for char in text:
        if char in "([{":
            open_brackets.append(char)
        elif char in ")]}" and (not open_brackets or open_brackets.pop() != _PAIRS[char]):
            return f"{char!r} without {_PAIRS[char]!r}"
    return f"unclosed {open_brackets[-1]!r}" if open_brackets else ""


def flow_advice(source: str, index: int, text: str) -> str:
    """The message for a formula that a comma cut in two inside ``{...}`` or ``[...]``.

    Args:
        source: the whole text.
        index: where the cut piece begins in it.
        text: the cut piece.
    """
    whole = _until_balanced(source[index : index + _LONGEST])
    example = f': "{whole}"' if whole else ""
    return (
        f"{show(text)} has unbalanced brackets ({unbalanced(text)}); inside {{...}} or [...] a comma ends the value, "
        f"so a formula with a comma must be quoted{example}"
    )


def _until_balanced(text: str) -> str:
    """The shortest beginning of ``text``, past a comma, whose brackets balance; empty if there is none."""
    if "\n" in text:
        text = text[: text.index("\n")]
    for end, char in enumerate(text, 1):
        if char == ")" and not unbalanced(text[:end]) and '"' not in text[:end]:
            rest = text[end:]
            stop = next((i for i, c in enumerate(rest) if c in ",}]#"), len(rest))
            longer = text[: end + stop].rstrip()
            return text[:end] if unbalanced(longer) else longer
    return ""


def say_yaml_error(error: MarkedYAMLError, source: str) -> tuple[int | None, str]:
    """Line (from 1) and message for an error of the YAML scanner or parser."""
    mark = error.problem_mark or error.context_mark
    line = None if mark is None else mark.line + 1
    problem = (error.problem or error.context or "is not YAML").strip().splitlines()[0]
    if error.context_mark is not None and problem.startswith(("found unexpected end", "found unexpected document")):
        line = error.context_mark.line + 1
    if (error.context or "").startswith("while scanning a tag"):
        return line, "a tag ('!...') is not allowed; a spec holds plain values only"
    for start, advice in _ADVICE:
        if problem.startswith(start):
            return line, advice
    if problem.startswith("found character"):
        char = problem.removeprefix("found character ")[1:2]
        return line, f"a value cannot begin with {char!r}; quote the text"
    if problem.startswith(("expected ',' or", "expected <block end>")):
        begun = "" if error.context_mark is None else f" that begins on line {error.context_mark.line + 1}"
        if problem.startswith("expected ','"):
            where = "'[...]'" if "]" in problem[:18] else "'{...}'"
            return line, f"the {where}{begun} is not closed, or holds a formula with brackets that must be quoted"
        return line, f"the indentation does not fit the block{begun}"
    return line, f"is not valid YAML: {problem}"


_ADVICE = (
    ("found character '\\t'", "a tab is not allowed here; indent with spaces"),
    ("found a tab", "a tab is not allowed here; indent with spaces"),
    (
        "mapping values are not allowed here",
        "a second ': ' in one line, or wrong indentation; quote a text that holds ': '",
    ),
    ("sequence entries are not allowed here", "a list entry ('- ') cannot begin here; put it on a line of its own"),
    ("mapping keys are not allowed here", "'? ' cannot stand here; quote the text"),
    ("could not find expected ':'", "a key without ':', or a text over several lines that must be quoted"),
    ("found unexpected end of stream", "a quote is opened and never closed"),
    ("found unexpected document separator", "a quote is opened and never closed"),
    ("expected '<document start>'", "text after the end of the spec; one file holds one spec"),
    ("expected the node content", "a value is missing here, or begins with a bracket or a comma; quote a formula"),
    ("found unknown escape character", "unknown escape in double quotes; write the text in single quotes"),
)
