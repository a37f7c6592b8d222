"""Shapes, boolean operations, domain x time: where a problem lives, as points, normals and signed distance."""

from pdeml.geometry.base import Geometry
from pdeml.geometry.boolean import Difference, Intersection, Union
from pdeml.geometry.box import Box, Interval, Rectangle, side_names
from pdeml.geometry.disk import Disk
from pdeml.geometry.domain import Domain
from pdeml.geometry.piece import Piece
from pdeml.geometry.polygon import Polygon
from pdeml.geometry.region import Mask, Region
from pdeml.geometry.spec import from_spec

__all__ = [
    "Box",
    "Difference",
    "Disk",
    "Domain",
    "Geometry",
    "Intersection",
    "Interval",
    "Mask",
    "Piece",
    "Polygon",
    "Rectangle",
    "Region",
    "Union",
    "from_spec",
    "side_names",
]
