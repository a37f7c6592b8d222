"""Incompressible flow in the plane by Taylor-Hood finite elements."""

from pdeml.reference.flow.method import NavierStokes

__all__ = ["NavierStokes"]
