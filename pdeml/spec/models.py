"""The model of a whole spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema, model_validator

from ..errors import InputError, one_of
from .base import OpenNode, SpecNode
from .errors import show
from .fields import (
    Count,
    Formula,
    Free,
    Given,
    Name,
    Names,
    Number,
    Portion,
    PositiveNumber,
    Seed,
    Switch,
    Text,
    choice,
    names,
    number,
    one_or_more,
    pair,
    pattern,
)
from .problem import ProblemSpec

__all__ = ["DataSpec", "ExportSpec", "GenerateSpec", "ReferenceSpec", "SolverSpec", "Spec", "SplitSpec"]

RUN_NAME = r"[A-Za-z0-9_-]{1,100}"
RunName = Annotated[
    str,
    PlainValidator(pattern(RUN_NAME, "a name made of letters, digits, '-' and '_' (it becomes a folder)")),
    WithJsonSchema({"type": "string", "pattern": f"^{RUN_NAME}$"}),
]
Device = Annotated[
    str,
    PlainValidator(pattern(r"auto|cpu|cuda(:[0-9]{1,3})?", "a device; allowed: auto, cpu, cuda, cuda:N")),
    WithJsonSchema({"type": "string", "pattern": "^(auto|cpu|cuda(:[0-9]{1,3})?)$"}),
]
Precision = Annotated[
    str,
    PlainValidator(choice("auto", "float32", "float64", what="a precision")),
    WithJsonSchema({"enum": ["auto", "float32", "float64"]}),
]
Kernels = Annotated[
    str,
    PlainValidator(choice("auto", "triton", "torch", what="a kernel backend")),
    WithJsonSchema({"enum": ["auto", "triton", "torch"]}),
]
Executor = Annotated[
    str,
    PlainValidator(choice("processes", "dask", "serial", what="an executor")),
    WithJsonSchema({"enum": ["processes", "dask", "serial"]}),
]


def _noise(value: object) -> int | float | str:
    if isinstance(value, str) and value.rstrip().endswith("%"):
        share = number(value.rstrip()[:-1])
        if not _is_plain_decimal(share):
            raise ValueError(f"must be a number or a percentage such as 1%, got {show(value)}")
        return value
    checked = number(value)
    if not isinstance(checked, str) and checked < 0:
        raise ValueError(f"must not be negative, got {show(checked)}")
    return checked


def _is_plain_decimal(text: object) -> bool:
    try:
        return 0 <= float(text) < float("inf")  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False


def _range_or_name(value: object) -> Any:
    return value if isinstance(value, str) and value.strip() else pair(value)


Noise = Annotated[
    int | float | str,
    PlainValidator(_noise),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}]}),
]
RangeOrName = Annotated[
    Any,
    PlainValidator(_range_or_name),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": ["number", "string"]}, "minItems": 2, "maxItems": 2},
            ]
        }
    ),
]


def _renamed(value: object) -> Any:
    """Read ``{a: x}``; names alone, ``[u]``, are those of the file."""
    return value if isinstance(value, Mapping) else {name: name for name in names(value)}


Renamed = Annotated[
    dict[Name, Text],
    BeforeValidator(_renamed),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
                {"type": "object", "additionalProperties": {"type": "string", "minLength": 1}},
            ]
        }
    ),
]


OPERATOR_OPTIONS = (
    "epochs batch_size learning_rate schedule weight_decay loss clip ema patience augment resolutions physics "
    "physics_points physics_norm history window unroll pushforward residual ensemble compile max_seconds seed device "
    "precision kernels"
).split()
"""Options that all solvers of operators share, which are looked for under data."""


class DataSpec(SpecNode):
    """Observations, or samples for an operator."""

    short: ClassVar[str | None] = "file"
    written_short: ClassVar[bool] = False

    file: Given[Text] = Field(None, description="the data, relative to the spec; of a recipe: where they are kept")
    recipe: Given[Text] = Field(
        None,
        description="a shipped recipe, or a file with one: generated on first use as NAME.h5 in the current folder",
    )
    samples: Given[Count] = Field(None, description="how many of the recipe's samples; default: as it says")
    unknowns: Given[Names] = Field(None, description="which unknowns are observed; default: all that are found")
    noise: Given[Noise] = Field(None, description="standard deviation in the unknown's unit, or 1% of the spread")
    train: Given[Portion] = Field(None, description="count, fraction below 1, or another file")
    validation: Given[Portion] = Field(None, description="count, fraction below 1, or another file")
    test: Given[Portion] = Field(None, description="count, fraction below 1, or another file")
    inputs: Given[Renamed] = Field(
        None, description="our name: the file's name, or at a place, as u0: u(t=first); names alone choose"
    )
    outputs: Given[Renamed] = Field(None, description="the same")
    coordinates: Given[dict[Name, RangeOrName]] = Field(
        None, description="coordinate: [low, high] or the file's name; sample: first, last or none"
    )
    periodic: Given[Names] = Field(
        None, description="coordinates along which functions repeat; default: those of the problem"
    )
    weight: Given[PositiveNumber] = Field(None, description="dimensionless factor of the normalised row; default 1")

    @model_validator(mode="after")
    def _one_origin(self) -> DataSpec:
        if self.file is None and self.recipe is None:
            raise ValueError("needs the key 'file', or 'recipe': the name of a data set to generate")
        if self.samples is not None and self.recipe is None:
            raise InputError("goes with 'recipe'; of a file take 'train', 'validation', 'test'", ("samples",))
        return self


class ReferenceSpec(OpenNode):
    """What the solution is compared with; keys that are not listed are options of the reference solver."""

    exact: Given[dict[Name, Formula]] = Field(None, description="unknown: its exact solution")
    named: Given[Text] = Field(None, description="a shipped solution, such as cole-hopf")
    file: Given[Text] = Field(None, description="a field file, relative to the spec")
    solver: Given[Text] = Field(None, description="auto, etdrk4, chebyshev, fem, fv, ...")
    grid: Given[dict[Name, Count]] = Field(None, description="points of the reference solver per coordinate")

    @property
    def kind(self) -> str:
        """``exact``, ``named``, ``file`` or ``solver``."""
        return next(key for key in self.given if key != "grid")

    @model_validator(mode="after")
    def _one_kind(self) -> ReferenceSpec:
        kinds = [key for key in self.given if key != "grid"]
        if len(kinds) != 1:
            typo = next((key for key in self.options), None)
            if typo is not None and not kinds:
                raise InputError(one_of(typo, type(self).model_fields, "a key of reference"), (typo,))
            raise ValueError(f"needs exactly one of exact, named, file, solver, got {', '.join(kinds) or 'none'}")
        if self.solver is None:
            for key in (*self.options, *(["grid"] if self.grid is not None else [])):
                raise InputError(f"{key!r} does not go with {kinds[0]!r}; it is an option of 'solver'", (key,))
        return self


class SolverSpec(OpenNode):
    """How it is solved; keys that are not listed are options of the solver and are checked by it."""

    short: ClassVar[str | None] = "kind"
    written_short: ClassVar[bool] = False

    kind: Text = Field(description="auto, pinn, random_features, gp, deeponet, fno, ...")
    tolerance: Given[PositiveNumber] = Field(
        None, description="stop when the solver's own estimate (for pinn: the scaled residual on fresh points) is below"
    )
    ensemble: Given[Count] = Field(None, description="number of independent runs, for an uncertainty")


class SplitSpec(SpecNode):
    """How samples are divided; the parts never overlap."""

    train: Given[Portion] = Field(None, description="count, or fraction below 1")
    validation: Given[Portion] = Field(None, description="count, or fraction below 1")
    test: Given[Portion] = Field(None, description="count, or fraction below 1")


class GenerateSpec(SpecNode):
    """What `pdeml generate` writes. `precision` is that of the file; numbers are computed in float64 always."""

    aliases: ClassVar[dict[str, str]] = {"from": "start"}

    samples: Count = Field(description="number of samples")
    output: Given[dict[Name, Count]] = Field(
        None, description="points per coordinate in the file; default: those of reference.grid, and 101 times"
    )
    split: Given[SplitSpec] = Field(None, description="train, validation, test; default: none")
    start: Given[Number] = Field(None, description="the first time in the file (also: from); default: the time's start")
    unknowns: Given[Names] = Field(None, description="which of them are written; default: all")
    precision: Given[Precision] = Field(None, description="of the numbers in the file; default: float32")
    gzip: Given[Count] = Field(None, description="level of compression, 1 to 9; default: none")
    codecs: Given[dict[Name, Free]] = Field(
        None, description="array: {kind: mantissa | bfloat16 | float32 | spectral, tolerance: relative L2, ...}"
    )
    check: Given[Switch] = Field(None, description="whether the error of sample 0 is estimated first; default: true")
    batch: Given[Count] = Field(
        None, description="samples solved together; default: by the size of the grid, at most 32"
    )
    executor: Given[Executor] = Field(None, description="processes (default), dask, or serial: in this process")
    workers: Given[Count] = Field(None, description="default: one a core")
    scheduler: Given[Text] = Field(None, description="address of a Dask scheduler; default: a cluster on this machine")

    @model_validator(mode="after")
    def _consistent(self) -> GenerateSpec:
        if self.gzip is not None and self.gzip > 9:
            raise InputError(f"a level of compression is at most 9, got {self.gzip}", ("gzip",))
        if self.scheduler is not None and self.executor != "dask":
            raise InputError("goes with 'executor: dask'", ("scheduler",))
        if self.split is not None:
            self._check_split({part: getattr(self.split, part) for part in self.split.given})
        return self

    def _check_split(self, parts: dict[str, int | float | str]) -> None:
        """Refuse parts that add up to too many, at the first for which nothing is left."""
        total = 0.0
        for name, part in parts.items():
            total += 0 if isinstance(part, str) else part if isinstance(part, int) else self.samples * part
            if total > self.samples * (1 + 1e-9):
                raise InputError(
                    f"with this part {total:g} samples are asked for, but there are {self.samples}; "
                    "`pdeml generate --samples N` changes their number and scales the parts",
                    ("split", name),
                )


class ExportSpec(SpecNode):
    """Where the solution is written out."""

    grid: Given[dict[Name, Count]] = Field(None, description="points per coordinate")
    points: Given[Text] = Field(None, description="a CSV file of points, relative to the spec")

    @model_validator(mode="after")
    def _one_kind(self) -> ExportSpec:
        if self.grid is not None and self.points is not None:
            raise ValueError("needs one of grid, points, not both")
        return self


class Spec(SpecNode):
    """A whole spec: one equation, its data, its solver and what comes out."""

    name: Given[RunName] = Field(None, description="becomes the folder of the run; default: the name of the file")
    seed: Seed = Field(0, description="every random choice follows from it")
    problem: Given[ProblemSpec] = Field(None, description="what is solved")
    data: Annotated[tuple[DataSpec, ...], BeforeValidator(one_or_more)] = Field(
        (), description="observations or samples; one entry or a list"
    )
    reference: Given[ReferenceSpec] = Field(None, description="what the solution is compared with")
    solver: Given[SolverSpec] = Field(None, description="how it is solved")
    generate: Given[GenerateSpec] = Field(None, description="a recipe for a data set")
    export: Given[ExportSpec] = Field(None, description="where the solution is written out")
    device: Device = Field("auto", description="auto, cpu, cuda or cuda:N")
    precision: Precision = Field("auto", description="of the arithmetic")
    kernels: Kernels = Field("auto", description="of the hot loops; auto: whichever is faster on the device")

    @model_validator(mode="after")
    def _consistent(self) -> Spec:
        if self.problem is None and not self.data:
            raise ValueError("needs 'problem', 'data' or both")
        if self.generate is not None:
            if self.problem is None:
                raise InputError("needs 'problem': the samples are its solutions", ("generate",))
            if self.solver is not None:
                raise InputError("a recipe has no 'solver'; samples come from reference.solver", ("generate",))
        if self.problem is not None:
            self._check_problem(self.problem)
        return self

    def _check_problem(self, problem: ProblemSpec) -> None:
        if not self.data:
            for key, parameter in problem.parameters.items():
                if parameter.learn is not None:
                    raise InputError("a parameter to be learnt needs 'data'", ("problem", "parameters", key, "learn"))
            if not problem.conditions:
                raise InputError(
                    "neither conditions nor data: nothing determines the solution", ("problem", "conditions")
                )
        varied = [key for key, parameter in problem.parameters.items() if parameter.range is not None]
        for path, grid in self._grids():
            if problem.coordinates is None:
                continue
            allowed = (*problem.coordinates, *varied)
            for key in grid:
                if key not in allowed:
                    raise InputError(one_of(key, allowed, "a coordinate"), (*path, key))

    def _grids(self) -> list[tuple[tuple[str, str], dict[str, int]]]:
        found = {
            ("export", "grid"): self.export.grid if self.export else None,
            ("reference", "grid"): self.reference.grid if self.reference else None,
            ("generate", "output"): self.generate.output if self.generate else None,
        }
        return [(path, grid) for path, grid in found.items() if grid is not None]
