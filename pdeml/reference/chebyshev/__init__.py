"""Chebyshev collocation for problems in one coordinate, and in one space coordinate and time."""

from pdeml.reference.chebyshev.method import Chebyshev

__all__ = ["Chebyshev"]
