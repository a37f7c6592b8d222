"""Choosing where to compute, and by what."""

from __future__ import annotations

import torch

from pdeml.errors import InputError
from pdeml_kernels.dispatch import wanted

__all__ = ["NO_KERNELS", "check_kernels", "choose_device"]

NO_KERNELS = "has no Triton kernels; solvers that have: pinn, gp, fno, tfno; otherwise give auto or torch"
"""What is told of a solver that is asked for them."""


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


def check_kernels(kernels: str, device: str) -> None:
    """Refuse kernels that cannot run on a device.

    Raises:
        InputError: triton is asked for, and is not installed or needs another device.
    """
    try:
        wanted(kernels, torch.device(device))
    except ValueError as error:
        raise InputError(str(error).removeprefix("kernels: "), ("kernels",)) from None
