"""Choosing where to compute."""

from __future__ import annotations

import torch

from pdeml.errors import InputError

__all__ = ["choose_device"]


def choose_device(wanted: str) -> tuple[str, tuple[str, ...]]:
    """Return the device for ``auto``, ``cpu``, ``cuda`` or ``cuda:N``, and notes for the report.

    Raises:
        InputError: the device is unknown, or not on this machine.
    """
    if wanted == "auto":
        return ("cuda", ()) if torch.cuda.is_available() else ("cpu", ())
    if wanted == "cpu":
        return "cpu", ()
    kind, _, number = wanted.partition(":")
    if kind != "cuda" or (number and not number.isdigit()):
        raise InputError(f"{wanted!r} is not a device; allowed: auto, cpu, cuda, cuda:N", ("device",))
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(number or 0) >= found:
        raise InputError(
            f"{wanted!r} is not on this machine: {found} CUDA devices found; use 'cpu' or 'auto'", ("device",)
        )
    return wanted, ()
