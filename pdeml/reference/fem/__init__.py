"""Finite elements: weak forms of second-order problems, assembled on meshes, and a fast path on rectangles."""

from pdeml.reference.fem.method import FEM

__all__ = ["FEM"]
