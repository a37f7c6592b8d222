"""Tables of measurements between markers in README.md: what stands between them is generated, never typed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["markdown", "replace_between"]


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table: the first column is aligned left, all others right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, rule, *rows])


def replace_between(path: Path, name: str, text: str) -> bool:
    """Put ``text`` between ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->``; everything else stays as it is.

    Returns: whether the file has the markers, once each and in this order; if not, it is left alone.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    content = path.read_text(encoding="utf-8") if path.exists() else ""
    if content.count(begin) != 1 or content.count(end) != 1 or content.index(begin) > content.index(end):
        return False
    before, after = content.split(begin)[0], content.split(end)[1]
    updated = f"{before}{begin}\n{text}\n{end}{after}"
    if updated != content:
        path.write_text(updated, encoding="utf-8")
    return True
