"""YAML problem specs: read with positions, checked for shape, written back; nothing is built here."""

from __future__ import annotations

from .base import OpenNode, SpecNode
from .document import Document, Source, load_spec, parse_spec
from .dump import dump_spec, to_plain, write_yaml
from .errors import SpecError
from .models import DataSpec, ExportSpec, GenerateSpec, ReferenceSpec, SolverSpec, Spec, SplitSpec
from .options import Options
from .overrides import apply_overrides
from .problem import (
    ConditionSpec,
    CoordinateSpec,
    DomainSpec,
    EquationSpec,
    InputSpec,
    ParameterSpec,
    ProblemSpec,
    UnknownSpec,
)
from .schema import json_schema
from .starter import starter
from .validate import make_spec

__all__ = [
    "ConditionSpec",
    "CoordinateSpec",
    "DataSpec",
    "Document",
    "DomainSpec",
    "EquationSpec",
    "ExportSpec",
    "GenerateSpec",
    "InputSpec",
    "OpenNode",
    "Options",
    "ParameterSpec",
    "ProblemSpec",
    "ReferenceSpec",
    "SolverSpec",
    "Source",
    "Spec",
    "SpecError",
    "SpecNode",
    "SplitSpec",
    "UnknownSpec",
    "apply_overrides",
    "dump_spec",
    "json_schema",
    "load_spec",
    "make_spec",
    "parse_spec",
    "starter",
    "to_plain",
    "write_yaml",
]
