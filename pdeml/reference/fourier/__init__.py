"""Fourier pseudo-spectral solvers for periodic problems."""

from __future__ import annotations

from pdeml.reference.fourier.method import ETDRK4, IMEX, RK4CN, Fourier
from pdeml.reference.fourier.solved import FourierSolved

__all__ = ["ETDRK4", "IMEX", "RK4CN", "Fourier", "FourierSolved"]
