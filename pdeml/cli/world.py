"""Which of several processes of torchrun talks to the user."""

from __future__ import annotations

import os

__all__ = ["is_first"]


def is_first() -> bool:
    """Return whether this process is alone, or the first of those that torchrun started; known without torch."""
    return os.environ.get("RANK", "0") == "0" or os.environ.get("WORLD_SIZE", "1") == "1"
