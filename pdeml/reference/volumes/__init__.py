"""Shock-capturing solver of hyperbolic conservation laws in one and two space dimensions."""

from __future__ import annotations

from pdeml.reference.volumes.method import FiniteVolumes

__all__ = ["FiniteVolumes"]
