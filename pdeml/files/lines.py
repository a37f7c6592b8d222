"""Files of one JSON mapping a line, as running programs append them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

__all__ = ["read_json_lines"]


def read_json_lines(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read the mappings up to the first line that is none: a killed program leaves a partial last line."""
    rows = []
    for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(row, dict):
            break
        rows.append(row)
    return rows
