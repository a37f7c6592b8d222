"""The JSON Schema of a spec, for editors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .base import SpecNode
from .models import SolverSpec, Spec

__all__ = ["json_schema"]

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(solvers: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a spec.

    Args:
        solvers: solver kind -> schema of its options (an object schema, or just its ``properties``); without it
            any kind and any options are accepted.
    """
    schema = _clean(Spec.model_json_schema(mode="validation"))
    definitions = schema.setdefault("$defs", {})
    problem = definitions["ProblemSpec"]
    problem["properties"]["unknowns"] = _unknowns(problem)
    for owner, key in ((problem, "equations"), (problem, "conditions"), (schema, "data")):
        owner["properties"][key] = _one_or_more(owner["properties"][key])
    if solvers is not None:
        for options in solvers.values():
            definitions.update(options.get("$defs", {}))
        definitions["SolverSpec"] = _solver_union(solvers, definitions["SolverSpec"])
    for model in _models(SpecNode):
        if model.__name__ in definitions and not (solvers is not None and model is SolverSpec):
            definitions[model.__name__] = _with_short_form(model, definitions[model.__name__])
    return {"$schema": DIALECT, "title": "pdeml spec", **schema}


def _models(base: type[SpecNode]) -> list[type[SpecNode]]:
    found = list(base.__subclasses__())
    return [*found, *(model for child in found for model in _models(child))]


def _with_short_form(model: type[SpecNode], schema: dict[str, Any]) -> dict[str, Any]:
    for alias, key in model.aliases.items():
        schema["properties"][alias] = schema["properties"][key]
    if model.__name__ == "UnknownSpec":
        return {"anyOf": [{"enum": ["complex", "real"]}, {"type": "null"}, schema]}
    if model.short is None:
        return schema
    short = {key: value for key, value in schema["properties"][model.short].items() if key != "default"}
    return {"anyOf": [short, schema], "description": schema.get("description", "")}


def _unknowns(problem: dict[str, Any]) -> dict[str, Any]:
    field = problem["properties"]["unknowns"]
    names = [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]
    mapping = {key: value for key, value in field.items() if key != "description"}
    return {"anyOf": [*names, mapping], "description": field["description"]}


def _one_or_more(field: dict[str, Any]) -> dict[str, Any]:
    return {
        "anyOf": [field["items"], {"type": "array", "items": field["items"], "minItems": 1}],
        "description": field["description"],
    }


def _solver_union(solvers: Mapping[str, Mapping[str, Any]], general: dict[str, Any]) -> dict[str, Any]:
    """One object schema a kind, told apart by ``kind``; the kind alone is the short form."""
    shared = {key: value for key, value in general["properties"].items() if key != "kind"}
    branches = []
    for kind, options in solvers.items():
        properties = dict(options.get("properties", options))
        properties.pop("kind", None)
        branch = {
            "type": "object",
            "title": kind,
            "properties": {"kind": {"const": kind}, **shared, **properties},
            "required": ["kind", *options.get("required", ())],
            "additionalProperties": False,
        }
        if "description" in options and isinstance(options["description"], str):
            branch["description"] = options["description"]
        branches.append(branch)
    return {"anyOf": [{"enum": list(solvers)}, {"oneOf": branches, "discriminator": {"propertyName": "kind"}}]}


def _clean(value: Any) -> Any:
    """Drop what only pydantic needs: titles, null branches and null defaults; a mapping takes names as keys only."""
    if isinstance(value, list):
        return [_clean(child) for child in value]
    if not isinstance(value, dict):
        return value
    kept = {key: _clean(child) for key, child in value.items() if not (key == "title" and isinstance(child, str))}
    if "patternProperties" in kept:
        kept.setdefault("additionalProperties", False)
    if kept.get("default", ...) is None:
        del kept["default"]
        branches = [branch for branch in kept.pop("anyOf", []) if branch != {"type": "null"}]
        kept = {**branches[0], **kept} if len(branches) == 1 else {**kept, "anyOf": branches}
    return kept
