"""Fused GPU kernels for pdeml: imports without triton and without a GPU, and needs nothing of pdeml."""

from __future__ import annotations

import os
from importlib.util import find_spec

__all__ = ["available"]


def available() -> tuple[str, ...]:
    """Say which backends can run a kernel on this machine, fastest first.

    Returns:
        Some of ``"triton"`` (triton is installed and torch sees a CUDA device), ``"interpreter"`` (triton is
        installed and ``TRITON_INTERPRET=1``: the kernels run on the CPU, slowly, for tests) and ``"torch"``
        (torch is installed: the plain twin of a kernel runs anywhere). Nothing is compiled to find out.
    """
    if find_spec("torch") is None:
        return ()
    if find_spec("triton") is None:
        return ("torch",)
    # Triton reads the variable when it is imported and then interprets every kernel, GPU or not.
    if os.environ.get("TRITON_INTERPRET", "0").lower() in {"1", "true", "yes", "on"}:
        return ("interpreter", "torch")
    import torch

    return ("triton", "torch") if torch.cuda.is_available() else ("torch",)
