"""From text to a bounded Python syntax tree: everything that can be refused before a name is looked at."""

from __future__ import annotations

import ast
import keyword
import re
import unicodedata

from pdeml.errors import ExpressionError

__all__ = ["MAX_DEPTH", "MAX_LENGTH", "read_tree", "shown"]

MAX_LENGTH = 10_000
MAX_DEPTH = 64
_ALLOWED = re.compile(r"[A-Za-z0-9_+\-*/^().,\[\]<>=!\s]")
_NUMBER = re.compile(r"(?<![A-Za-z0-9_.])(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LOOK_ALIKES = {"−": "-", "–": "-", "—": "-", "×": "*", "·": "*", "⋅": "*", "÷": "/", "²": "^2", "³": "^3", "π": "pi"}
_LOOK_ALIKES |= {"≤": "<=", "≥": ">=", "≠": "!=", "∂": "d(u, x)", "∇": "grad", "Δ": "laplacian", "√": "sqrt", "{": "("}
_KEPT = frozenset(("and", "or", "not"))


def shown(text: str) -> str:
    """The formula as quoted in messages: one line, at most 80 characters."""
    line = " ".join(text.split()) if text.isprintable() or "\n" in text else text
    return repr(line if len(line) <= 80 else line[:77] + "...")


def read_tree(text: str) -> ast.expr:
    """Parse one formula into a syntax tree of bounded depth; ``^`` is read as ``**``.

    Raises: ExpressionError: too long, too deep, a character or a syntax that the language does not have.
    """
    _check_characters(text)
    plain = re.sub(r"\s", " ", text)
    if not plain.strip():
        raise ExpressionError("the formula is empty; write an expression such as 'u_t - u_xx'")
    _check_brackets(plain)
    _check_numbers(plain)
    python, origin = _to_python(plain)
    try:
        tree = ast.parse(python, mode="eval").body
    except SyntaxError as error:
        raise _syntax_error(text, origin, error) from None
    except (RecursionError, MemoryError, ValueError):
        raise ExpressionError(f"{shown(text)} is nested too deeply; at most {MAX_DEPTH} levels are read") from None
    _check_depth(tree, text)
    return tree


def _check_characters(text: str) -> None:
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"a formula of {len(text)} characters is too long; at most {MAX_LENGTH} are read")
    for position, char in enumerate(text, start=1):
        if not _ALLOWED.match(char) or (char.isspace() and not char.isascii()):
            raise ExpressionError(
                f"the character {_describe(char)} at position {position} of {shown(text)} is not allowed"
            )
    if "__" in text:
        raise ExpressionError(f"a double underscore is not allowed in the formula {shown(text)}")


def _describe(char: str) -> str:
    if char.isascii():
        return repr(char) + (" (use '(')" if char == "{" else "")
    hint = _LOOK_ALIKES.get(char) or unicodedata.normalize("NFKC", char)
    use = f"; use {hint!r}" if hint.isascii() and hint.isprintable() and hint.strip() else "; formulas are plain ASCII"
    return f"{char!r} ({unicodedata.name(char, 'unnamed')}{use})"


def _check_brackets(text: str) -> None:
    closing = {"(": ")", "[": "]"}
    stack: list[tuple[str, int]] = []
    for position, char in enumerate(text, start=1):
        if char in closing:
            stack.append((closing[char], position))
            if len(stack) > MAX_DEPTH:
                raise ExpressionError(f"{shown(text)} is nested too deeply; at most {MAX_DEPTH} brackets may be open")
        elif char in ")]" and (not stack or stack.pop()[0] != char):
            raise ExpressionError(
                f"{char!r} at position {position} of {shown(text)} closes nothing; check the brackets"
            )
    if stack:
        raise ExpressionError(f"the bracket at position {stack[-1][1]} of {shown(text)} is never closed")


def _check_numbers(text: str) -> None:
    for match in _NUMBER.finditer(text):
        rest = _WORD.match(text, match.end())
        if rest:
            given, number = match.group() + rest.group(), match.group()
            raise ExpressionError(
                f"{given!r} at position {match.start() + 1} of {shown(text)} is neither a number nor a name; "
                f"write '{number}*{rest.group().lstrip('_') or 'u'}' for a product"
            )


def _to_python(text: str) -> tuple[str, list[int]]:
    """Return text Python reads as meant, and for each of its characters the position in the original."""
    pieces: list[tuple[str, int]] = []
    words = {match.start(): match.group() for match in _WORD.finditer(text)}
    for position, char in enumerate(text, start=1):
        word = words.get(position - 1, "")
        if char == "^":
            pieces += [("*", position), ("*", position)]
        elif keyword.iskeyword(word) and word not in _KEPT:
            # 'lambda' may be declared: Python reads a bold first letter as a plain name and normalises it back
            pieces.append(
                (unicodedata.lookup(f"MATHEMATICAL BOLD {'CAPITAL' if char.isupper() else 'SMALL'} {char}"), position)
            )
        else:
            pieces.append((char, position))
    lead = len(text) - len(text.lstrip())
    pieces = pieces[lead:]
    return "".join(char for char, _ in pieces), [position for _, position in pieces]


def _syntax_error(text: str, origin: list[int], error: SyntaxError) -> ExpressionError:
    if error.msg and "nested" in error.msg:
        return ExpressionError(f"{shown(text)} is nested too deeply; at most {MAX_DEPTH} levels are read")
    if error.msg and error.msg.startswith("Exceeds the limit"):
        return ExpressionError(f"a number in {shown(text)} has too many digits")
    offset = min(max((error.offset or 1) - 1, 0), len(origin) - 1)
    position = origin[offset]
    rest = text[position - 1 :].strip()
    where = f"at {rest[:20]!r}, position {position}" if rest else "at its end"
    if re.search(r"(?<![<>=!])=(?!=)", text):
        return ExpressionError(f"{shown(text)} has '=' where an expression is expected, {where}; compare with '=='")
    return ExpressionError(f"cannot read the formula {shown(text)}: invalid syntax {where}")


def _check_depth(tree: ast.expr, text: str) -> None:
    """Refuse deep trees; a left-leaning chain of binary operators (a long sum) counts once."""
    stack: list[tuple[ast.AST, int]] = [(tree, 1)]
    while stack:
        node, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise ExpressionError(f"{shown(text)} is nested too deeply; at most {MAX_DEPTH} levels are read")
        for child in ast.iter_child_nodes(node):
            spine = isinstance(node, ast.BinOp) and child is node.left and isinstance(child, ast.BinOp)
            stack.append((child, depth if spine else depth + 1))
