"""The models of `problem:`: what is solved, as text and numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema, model_validator

from ..errors import InputError, did_you_mean, one_of
from .base import OpenNode, SpecNode
from .errors import show
from .fields import (
    Formula,
    FormulaText,
    Given,
    Name,
    Names,
    Number,
    Pair,
    PositiveNumber,
    Switch,
    Text,
    choice,
    free,
    names,
    one_or_more,
)
from .places import On

__all__ = [
    "FIELD_KINDS",
    "ConditionSpec",
    "CoordinateSpec",
    "DomainSpec",
    "EquationSpec",
    "InputSpec",
    "ParameterSpec",
    "ProblemSpec",
    "UnknownSpec",
]

FIELD_KINDS = ("grf", "piecewise", "multiscale", "box", "series", "uniform")
FieldKind = Annotated[
    str,
    PlainValidator(choice(*FIELD_KINDS, what="a kind of random field")),
    WithJsonSchema({"enum": list(FIELD_KINDS)}),
]


class CoordinateSpec(SpecNode):
    """A coordinate: its range, and how it is scaled and labelled."""

    short: ClassVar[str | None] = "range"
    aliases: ClassVar[dict[str, str]] = {"units": "unit"}

    range: Pair = Field(description="[low, high]")
    scale: Given[PositiveNumber] = Field(None, description="typical length in its unit; default: estimated")
    unit: Given[Text] = Field(None, description="unit, such as m; default: none")


def _shape(value: object) -> Any:
    """One shape, with ``edges`` beside it or not; its inside is for the geometry to check."""
    if not isinstance(value, dict):
        raise ValueError(f"must be a mapping such as {{disk: {{center: [0, 0], radius: 1}}}}, got {show(value)}")
    kinds = [str(key) for key in value if key != "edges"]
    if len(kinds) != 1:
        raise ValueError(f"needs exactly one shape, got {', '.join(kinds) or 'none'}; join shapes with union")
    return free(value)


SHAPES = ("interval", "rectangle", "box", "disk", "polygon", "union", "difference", "intersection", "edges")
Shape = Annotated[
    dict[str, Any],
    PlainValidator(_shape),
    WithJsonSchema({"type": "object", "properties": {kind: {} for kind in SHAPES}, "minProperties": 1}),
]


class DomainSpec(SpecNode):
    """Space and time where space is not a box."""

    time: Given[dict[Name, CoordinateSpec]] = Field(None, description="the time coordinate: {t: [0, 1]}")
    space: Given[Shape] = Field(None, description="one shape, such as {disk: {center: [0, 0], radius: 1}}")
    edges: dict[Text, Text] = Field(default_factory=dict, description="new names of pieces: {left: inlet}")

    @model_validator(mode="after")
    def _complete(self) -> DomainSpec:
        if self.time is None and self.space is None:
            raise ValueError("needs 'space', 'time' or both")
        if self.time is not None and len(self.time) != 1:
            raise InputError(f"needs exactly one time coordinate, got {len(self.time)}", ("time",))
        if self.edges and self.space is None:
            raise InputError("names the pieces of 'space', which is missing", ("edges",))
        return self


class UnknownSpec(SpecNode):
    """An unknown function."""

    aliases: ClassVar[dict[str, str]] = {"units": "unit"}

    complex: Switch = Field(False, description="true for a complex unknown, split into NAME_real and NAME_imag")
    scale: Given[PositiveNumber] = Field(None, description="typical size, in the unknown's unit; default: estimated")
    unit: Given[Text] = Field(None, description="unit, such as m/s; default: none")

    @model_validator(mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        if isinstance(value, str):
            if value not in ("complex", "real"):
                raise ValueError(one_of(value[:60], ("complex", "real"), "a kind of unknown"))
            return {"complex": True} if value == "complex" else {}
        return value


class ParameterSpec(SpecNode):
    """A parameter: a constant, or one to be learnt, varied or found as an eigenvalue."""

    short: ClassVar[str | None] = "value"

    value: Given[Number] = Field(None, description="a number or constant expression")
    learn: Given[Number] = Field(None, description="unknown; the first guess (needs data)")
    bounds: Given[Pair] = Field(None, description="[low, high] of a parameter to be learnt")
    range: Given[Pair] = Field(None, description="[low, high]: drawn uniformly for each sample of a data set")
    eigen: Given[Number] = Field(None, description="an eigenvalue; the first guess")

    @model_validator(mode="after")
    def _one_kind(self) -> ParameterSpec:
        kinds = [key for key in self.given if key != "bounds"]
        if len(kinds) != 1:
            raise ValueError(f"needs exactly one of value, learn, range, eigen, got {', '.join(kinds) or 'none'}")
        if self.bounds is not None and self.learn is None:
            raise InputError(f"goes with 'learn' only, not with {kinds[0]!r}", ("bounds",))
        return self


class InputSpec(OpenNode):
    """An input function, drawn for each sample of a data set.

    Keys that are not listed are options of its field, checked where it is drawn; datasets/README.md lists them.
    """

    over: Names = Field(description="the coordinates it depends on")
    field: Given[FieldKind] = Field(None, description="the kind of random function that is drawn")
    basis: Given[Text] = Field(None, description="basis of the field, such as neumann, dirichlet, periodic")
    tau: Given[Number] = Field(None, description="inverse length scale of the field")
    alpha: Given[Number] = Field(None, description="smoothness of the field")
    map: Given[Formula] = Field(None, description="an expression in the raw field g")
    value: Given[Formula] = Field(None, description="a fixed formula in place of a random field")

    @model_validator(mode="after")
    def _consistent(self) -> InputSpec:
        known = type(self).model_fields
        for key in self.options:
            if self.field is None or did_you_mean(key, known):
                raise InputError(one_of(key, known, "a key of an input"), (key,))
        if self.field is not None and self.value is not None:
            raise ValueError("needs one of field, value, not both")
        return self


class EquationSpec(SpecNode):
    """An equation and its weight."""

    short: ClassVar[str | None] = "equation"

    equation: FormulaText = Field(description="lhs = rhs, or an expression that is to be zero")
    weight: Given[PositiveNumber] = Field(None, description="dimensionless factor of the normalised row; default 1")


class ConditionSpec(SpecNode):
    """An initial, boundary or point condition: where it holds (`on`) and what holds there."""

    on: Given[On] = Field(None, description="initial, final, boundary, boundary.NAME, or {piece:, COORDINATE:, where:}")
    value: Given[dict[Name, Formula]] = Field(None, description="unknown: its value")
    rate: Given[dict[Name, Formula]] = Field(None, description="unknown: its first time derivative")
    flux: Given[dict[Name, Formula]] = Field(None, description="unknown: its outward normal derivative")
    equation: Given[FormulaText] = Field(None, description="lhs = rhs; dn(u) is the outward normal derivative")
    periodic: Given[Names] = Field(None, description="coordinates in which the solution repeats; stands alone")
    weight: Given[PositiveNumber] = Field(None, description="dimensionless factor of the normalised row; default 1")

    @property
    def kind(self) -> str:
        """``value``, ``rate``, ``flux``, ``equation`` or ``periodic``."""
        return next(key for key in self.given if key not in ("on", "weight"))

    @model_validator(mode="after")
    def _one_kind(self) -> ConditionSpec:
        kinds = [key for key in self.given if key not in ("on", "weight")]
        if self.periodic is not None and self.given != ("periodic",):
            other = next(key for key in self.given if key != "periodic")
            raise InputError("stands alone in its entry; move the rest to one of its own", (other,))
        if len(kinds) != 1:
            raise ValueError(f"needs exactly one of value, rate, flux, equation, got {', '.join(kinds) or 'none'}")
        if self.periodic is None and self.on is None:
            raise ValueError("needs the key 'on': initial, final, boundary, boundary.NAME or a mapping")
        for key in ("value", "rate", "flux"):
            if getattr(self, key) == {}:
                raise InputError("needs at least one unknown, as {u: 0}", (key,))
        return self


def _unknowns(value: Any) -> Any:
    if value is None or isinstance(value, dict):
        if not value:
            raise ValueError("needs at least one unknown")
        return {key: {} if child is None else child for key, child in value.items()}
    return {name: {} for name in names(value)}


def _filled(value: Any) -> Any:
    if value is None or value == {} or value == []:
        raise ValueError("has no entry; write one, or remove the key")
    return value


class ProblemSpec(SpecNode):
    """What is solved."""

    coordinates: Annotated[Given[dict[Name, CoordinateSpec]], BeforeValidator(_filled)] = Field(
        None, description="coordinates of a box and their ranges, time included"
    )
    domain: Given[DomainSpec] = Field(None, description="in place of coordinates, where space is not a box")
    time: Given[Name] = Field(None, description="which coordinate is time; default: none")
    unknowns: Annotated[dict[Name, UnknownSpec], BeforeValidator(_unknowns)] = Field(
        description="names, or name: complex | {scale, unit, complex}"
    )
    vectors: dict[Name, Names] = Field(default_factory=dict, description="name: its components, as {v: [vx, vy]}")
    parameters: dict[Name, ParameterSpec] = Field(
        default_factory=dict, description="name: number | {learn:, bounds:} | {range:} | {eigen:}"
    )
    inputs: dict[Name, InputSpec] = Field(default_factory=dict, description="input functions of an operator")
    equations: Annotated[tuple[EquationSpec, ...], BeforeValidator(one_or_more)] = Field(
        description="one equation or a list of them"
    )
    conditions: Annotated[tuple[ConditionSpec, ...], BeforeValidator(one_or_more)] = Field(
        (), description="initial, boundary and point conditions"
    )

    @property
    def coordinate_names(self) -> tuple[str, ...] | None:
        """Declared coordinates in order; None where a shape declares them."""
        return None if self.coordinates is None else tuple(self.coordinates)

    @model_validator(mode="after")
    def _consistent(self) -> ProblemSpec:
        if (self.coordinates is None) == (self.domain is None):
            both = self.coordinates is not None
            raise ValueError("needs one of coordinates, domain" + (", not both" if both else ""))
        self._check_time()
        for key, spec in self.inputs.items():
            self._check_coordinates(spec.over, ("inputs", key, "over"))
        for index, condition in enumerate(self.conditions):
            if condition.periodic is not None:
                self._check_coordinates(condition.periodic, ("conditions", index, "periodic"))
            if isinstance(condition.on, dict):
                fixed = [key for key in condition.on if key not in ("piece", "where")]
                self._check_coordinates(fixed, ("conditions", index, "on"), "a coordinate, 'piece' or 'where'", True)
        return self

    def _check_time(self) -> None:
        if self.time is None:
            return
        if self.domain is not None:
            known = tuple(self.domain.time or ())
            if self.time not in known:
                raise InputError("where 'domain' is given it declares the time, as {time: {t: [0, 1]}}", ("time",))
        else:
            self._check_coordinates((self.time,), ("time",), single=True)

    def _check_coordinates(
        self,
        given: Iterable[str],
        path: tuple[str | int, ...],
        what: str = "a coordinate",
        keyed: bool = False,
        single: bool = False,
    ) -> None:
        known = self.coordinate_names
        if known is None:
            return
        for index, name in enumerate(given):
            if name not in known:
                tail = () if single else (name,) if keyed else (index,)
                raise InputError(one_of(name, known, what), (*path, *tail))
