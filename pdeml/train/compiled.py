"""Compiling an operator in place, where a compiler is at hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch._dynamo.exc import TorchDynamoException

from pdeml.nn.operator import Operator

__all__ = ["compile_operator", "uncompiled"]


def compile_operator(operator: Operator, probe: Callable[[], Any], backend: Any = "inductor") -> str | None:
    """Compile an operator in place: names of weights stay. Where that fails it goes on uncompiled.

    Args:
        operator: whose ``forward`` is compiled.
        probe: does with it what a training step does.
        backend: of `torch.compile`.

    Returns: a note if it failed.
    """
    operator.compile(dynamic=False, backend=backend)
    try:
        probe()
    except TorchDynamoException as error:
        operator._compiled_call_impl = None
        reason = " ".join(str(error).split("\n\n")[0].split())
        return f"not compiled: {reason:.200}"
    return None


def uncompiled() -> Any:
    """Return a context in which compiled operators run as they are written: for batches of other sizes."""
    return torch.compiler.set_stance("force_eager")
