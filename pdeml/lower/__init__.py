"""From equations to residual systems: jets, plans, statements, blocks."""

from pdeml.lower.functionals import Functionals, indices_of, linearised
from pdeml.lower.jets import Derivatives, Jet, compose, linear
from pdeml.lower.known import KnownFunctions
from pdeml.lower.multi_index import Combination, Index, JetSpec
from pdeml.lower.plan import MAX_ORDER, ResidualPlan, make_residual_plan
from pdeml.lower.residual import Ansatz, Block, Prepared, ResidualSystem, Tape
from pdeml.lower.scales import Scales, estimate_scales, residual_scale
from pdeml.lower.statements import Statement, make_block, statements

__all__ = [
    "MAX_ORDER",
    "Ansatz",
    "Block",
    "Combination",
    "Derivatives",
    "Functionals",
    "Index",
    "Jet",
    "JetSpec",
    "KnownFunctions",
    "Prepared",
    "ResidualPlan",
    "ResidualSystem",
    "Scales",
    "Statement",
    "Tape",
    "compose",
    "estimate_scales",
    "indices_of",
    "linear",
    "linearised",
    "make_block",
    "make_residual_plan",
    "residual_scale",
    "statements",
]
