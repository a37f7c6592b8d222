"""Tensor products of one-dimensional spaces on boxes: equations collocated on grids and solved axis by axis."""

from pdeml.tensor.ansatz import TensorAnsatz
from pdeml.tensor.axis import AxisBasis
from pdeml.tensor.system import TensorSolved, TensorSystem

__all__ = ["AxisBasis", "TensorAnsatz", "TensorSolved", "TensorSystem"]
