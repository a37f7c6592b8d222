"""Problem: what is solved, as frozen data; conditions, manufactured solutions and the shipped library."""

from __future__ import annotations

from pdeml.problem import library
from pdeml.problem.conditions import AbstractCondition, Condition, Dirichlet, Final, Initial, Neumann, Periodic
from pdeml.problem.constraints import Constraint
from pdeml.problem.counting import Count, counts
from pdeml.problem.describe import kind_of, summary
from pdeml.problem.manufactured import manufactured, read_exact, residual_of
from pdeml.problem.parameters import Coordinate, Input, Parameter, Unknown
from pdeml.problem.problem import Problem
from pdeml.problem.statements import ConditionStatement, Place
from pdeml.problem.yaml import from_document, from_spec, from_yaml, to_yaml

__all__ = [
    "AbstractCondition",
    "Condition",
    "ConditionStatement",
    "Constraint",
    "Coordinate",
    "Count",
    "Dirichlet",
    "Final",
    "Initial",
    "Input",
    "Neumann",
    "Parameter",
    "Periodic",
    "Place",
    "Problem",
    "Unknown",
    "counts",
    "from_document",
    "from_spec",
    "from_yaml",
    "kind_of",
    "library",
    "manufactured",
    "read_exact",
    "residual_of",
    "summary",
    "to_yaml",
]
