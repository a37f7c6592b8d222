"""Problem: equations, unknowns, parameters, domain and conditions as frozen data."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import sympy

from pdeml.expr import Equation, Names, NormalForm
from pdeml.geometry import Domain
from pdeml.problem import checks, reading
from pdeml.problem.constraints import Constraint, resolve
from pdeml.problem.parameters import Coordinate, Input, Parameter, Unknown
from pdeml.problem.statements import ConditionStatement, read_conditions

if TYPE_CHECKING:
    from pdeml.spec import Spec

__all__ = ["Problem"]


@dataclass(frozen=True, init=False, repr=False)
class Problem:
    """What is solved: equations on a domain, with conditions. Frozen; two problems are equal if they say the same.

    Formulas may be text, numbers or SymPy expressions; all give the same problem.

    Args:
        coordinates: name -> interval ``(lower, upper)``, or ``{"range": …, "scale": …, "unit": …}``; time included.
        domain: in place of ``coordinates``: a geometry, a `Domain`, or ``{"time": …, "space": …}``.
        time: with ``coordinates`` the name of the time; with ``domain`` the mapping ``{"t": (0, 1)}``.
        unknowns: ``"u v"``, a list, or name -> ``"complex"`` | ``{"complex": …, "scale": …, "unit": …}``.
        vectors: name -> names of its components, which are unknowns or inputs.
        parameters: name -> number | constant expression | ``{"learn": …, "bounds": …}`` | ``{"range": …}`` |
            ``{"eigen": …}``.
        inputs: input functions of an operator: name -> ``{"over": …, "field": …, …}``.
        equations: one or a list; each ``"lhs = rhs"``, a SymPy expression or ``{"equation": …, "weight": …}``.
        conditions: one or a list of `Initial`, `Final`, `Dirichlet`, `Neumann`, `Condition`, `Periodic`, or mappings
            as in a spec.
        name: letters, digits, ``-`` and ``_``; not compared.
        data: whether observations come with it; only then may it have no conditions. Not compared.

    Raises:
        InputError: for anything that makes no sense, with the path of what is wrong.
    """

    names: Names
    domain: Domain
    coordinates: Mapping[str, Coordinate]
    unknowns: Mapping[str, Unknown]
    parameters: Mapping[str, Parameter]
    inputs: Mapping[str, Input]
    equations: tuple[Equation, ...]
    weights: tuple[float, ...]
    conditions: tuple[ConditionStatement, ...]
    name: str = field(compare=False)
    has_data: bool = field(compare=False)

    def __init__(
        self,
        *unnamed: Any,
        coordinates: Mapping[str, Any] | None = None,
        domain: Any = None,
        time: Any = None,
        unknowns: Any = None,
        vectors: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
        inputs: Mapping[str, Any] | None = None,
        equations: Any = None,
        conditions: Any = (),
        name: str = "problem",
        data: bool = False,
        **others: Any,
    ):
        reading.refuse_others(unnamed, others)
        place = reading.read_place(coordinates, domain, time)
        declared = reading.read_unknowns(unknowns)
        constants = reading.read_parameters(parameters)
        functions = reading.read_inputs(inputs, place.domain.coordinates)
        names = reading.make_names(place.domain, declared, vectors, constants, functions)
        found, weights = reading.read_equations(equations, names)
        statements, periodic = read_conditions(conditions, names)
        whole = reading.with_periodic(place.domain, periodic)
        values: dict[str, Any] = {
            "names": names,
            "domain": whole,
            "coordinates": MappingProxyType(place.coordinates),
            "unknowns": MappingProxyType(declared),
            "parameters": MappingProxyType(constants),
            "inputs": MappingProxyType(functions),
            "equations": found,
            "weights": weights,
            "conditions": statements,
            "name": reading.read_name(name),
            "has_data": bool(data),
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)
        checks.check(self)

    @property
    def time(self) -> str | None:
        """Name of the time coordinate."""
        return self.names.time

    @property
    def periodic(self) -> tuple[str, ...]:
        """Space coordinates along which everything repeats."""
        return self.domain.periodic

    @cached_property
    def parameter_values(self) -> dict[str, float]:
        """Number of each parameter: its value, its first guess, or the middle of its range."""
        return {name: parameter.value for name, parameter in self.parameters.items()}

    @cached_property
    def forms(self) -> tuple[NormalForm, ...]:
        """Normal form of each real scalar equation, in the order of `equations`."""
        return tuple(form for group in self.equation_forms for form in group)

    @cached_property
    def equation_forms(self) -> tuple[tuple[NormalForm, ...], ...]:
        """Normal forms grouped by equation: several for vector and complex equations."""
        return reading.analyse_equations(self.equations, self.names)

    @cached_property
    def form_weights(self) -> tuple[float, ...]:
        """Weight of each normal form in `forms`."""
        pairs = zip(self.weights, self.equation_forms, strict=True)
        return tuple(weight for weight, group in pairs for _ in group)

    @cached_property
    def constraints(self) -> tuple[Constraint, ...]:
        """The conditions as real scalar residuals on regions."""
        return resolve(self.conditions, self.names, self.domain, self.parameter_values)

    @cached_property
    def needs_data(self) -> bool:
        """Whether observations are needed: parameters to learn, unknowns without equation, or no conditions."""
        return bool(checks.reasons_for_data(self))

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed but probably not meant: missing conditions, unused names."""
        return checks.warnings(self)

    def summary(self) -> str:
        """Return what would be solved, for people: equations, orders, kind, conditions, what is missing."""
        from pdeml.problem.describe import summary

        return summary(self)

    def residual_of(self, exact: Mapping[str, Any]) -> tuple[sympy.Expr, ...]:
        """Return each real scalar residual with the unknowns replaced by formulas; see `manufactured.residual_of`."""
        from pdeml.problem.manufactured import residual_of

        return residual_of(self, exact)

    def manufactured(self, exact: Mapping[str, Any]) -> Problem:
        """Return the problem with sources and conditions that ``exact`` solves; see `manufactured.manufactured`."""
        from pdeml.problem.manufactured import manufactured

        return manufactured(self, exact)

    @classmethod
    def from_yaml(cls, source: str | os.PathLike[str]) -> Problem:
        """Read the problem of a spec: a path, the name of a shipped problem, or the YAML text (with a line break)."""
        from pdeml.problem.yaml import from_yaml

        return from_yaml(source)

    @classmethod
    def from_spec(cls, spec: Spec) -> Problem:
        """Build the problem of a checked spec; errors carry paths below ``problem``."""
        from pdeml.problem.yaml import from_spec

        return from_spec(spec)

    def to_yaml(self) -> str:
        """Return a spec whose problem is equal to this one."""
        from pdeml.problem.yaml import to_yaml

        return to_yaml(self)

    def to_spec(self) -> dict[str, Any]:
        """Return the plain values that stand under ``problem:`` in a spec."""
        from pdeml.problem.yaml import to_plain

        return to_plain(self)

    def __hash__(self) -> int:
        return hash((self.names, self.equations, self.weights))

    def __copy__(self) -> Problem:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Problem:
        return self

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (Problem.from_yaml, (self.to_yaml(),))

    def __repr__(self) -> str:
        equations = "; ".join(map(str, self.equations))
        return f"Problem({self.name!r}: {equations} on {', '.join(self.names.coordinates)})"
