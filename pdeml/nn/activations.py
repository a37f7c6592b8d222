"""The activation functions that networks may have, by name."""

from __future__ import annotations

from pdeml.errors import InputError, one_of
from pdeml.lower.jets import Derivatives
from pdeml_kernels.activations import ACTIVATIONS

__all__ = ["ACTIVATIONS", "activation"]


def activation(name: str) -> Derivatives:
    """Return the activation called ``name``.

    Raises:
        InputError: no activation is called so.
    """
    if name not in ACTIVATIONS:
        raise InputError(one_of(name, ACTIVATIONS, "an activation"), ("activation",))
    return ACTIVATIONS[name]
