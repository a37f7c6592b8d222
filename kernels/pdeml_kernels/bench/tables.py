"""Markdown tables between markers: what stands between them is generated, never typed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["README", "markdown", "replace_between"]

README = Path(__file__).resolve().parents[2] / "README.md"
"""Of the folder of kernels, in a checkout."""


def markdown(header: Sequence[str], lines: Sequence[Sequence[str]], left: int = 2) -> str:
    """Return a Markdown table: the first ``left`` columns are aligned left, all others right."""
    rule = [*["---"] * left, *["---:"] * (len(header) - left)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, rule, *lines])


def replace_between(path: Path, name: str, text: str) -> None:
    """Put ``text`` between ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->``; everything else stays as it is.

    Raises:
        ValueError: the file does not have the markers, once each and in this order.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    content = path.read_text(encoding="utf-8")
    if content.count(begin) != 1 or content.count(end) != 1 or content.index(begin) > content.index(end):
        raise ValueError(f"{path} does not have the markers {begin} and {end} once each and in this order")
    before, after = content.split(begin)[0], content.split(end)[1]
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
