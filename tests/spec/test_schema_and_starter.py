"""The JSON Schema describes every key; the starter is a valid spec."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pdeml.errors import InputError
from pdeml.spec import (
    ConditionSpec,
    DataSpec,
    GenerateSpec,
    ParameterSpec,
    ProblemSpec,
    ReferenceSpec,
    Spec,
    dump_spec,
    json_schema,
    parse_spec,
    starter,
)
from pdeml.spec.reader import read_tree

EXAMPLES = [path.read_text() for path in sorted((Path(__file__).parent / "examples").glob("*.yaml"))]

CONTRACT_KEYS = {"name", "seed", "problem", "data", "reference", "solver"}
CONTRACT_KEYS |= {"generate", "export", "device", "precision", "kernels"}


def test_top_level_keys_are_those_of_the_contract():
    assert set(Spec.model_fields) == CONTRACT_KEYS
    assert set(json_schema()["properties"]) == CONTRACT_KEYS


def test_it_is_plain_json_of_the_named_dialect():
    schema = json_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("model", [ProblemSpec, ConditionSpec, ParameterSpec, DataSpec, ReferenceSpec, GenerateSpec])
def test_every_key_has_a_description(model):
    entry = json_schema()["$defs"][model.__name__]
    node = next((branch for branch in entry.get("anyOf", []) if "properties" in branch), entry)
    assert set(model.model_fields) <= set(node["properties"])
    assert all("description" in field for field in node["properties"].values())
    assert "description" in entry


def test_references_resolve():
    schema = json_schema()
    found = set()

    def visit(value):
        if isinstance(value, dict):
            if "$ref" in value:
                found.add(value["$ref"].removeprefix("#/$defs/"))
            for child in value.values():
                visit(child)
        elif isinstance(value, list):
            for child in value:
                visit(child)

    visit(schema)
    assert found <= set(schema["$defs"])
    assert {"ProblemSpec", "ConditionSpec", "SolverSpec"} <= found


def test_solver_options_become_a_union_told_apart_by_kind():
    schema = json_schema(
        {
            "pinn": {"type": "object", "properties": {"width": {"type": "integer"}, "title": {"type": "string"}}},
            "fno": {"modes": {"type": "integer", "default": None}},
        }
    )
    kinds, union = schema["$defs"]["SolverSpec"]["anyOf"]
    assert kinds == {"enum": ["pinn", "fno"]}
    pinn, fno = union["oneOf"]
    assert pinn["properties"]["kind"] == {"const": "pinn"}
    assert {"width", "title", "tolerance", "ensemble"} <= set(pinn["properties"])
    assert fno["properties"]["modes"] == {"type": "integer", "default": None}
    assert pinn["additionalProperties"] is False


def satisfies(value: object, schema: dict, root: dict) -> bool:
    """Whether a value satisfies a schema, for the keywords that ours uses."""
    if "$ref" in schema and not satisfies(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root):
        return False
    types = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", [])
    if types and not any(isinstance(value, PYTHON[name]) and not isinstance(value, bool) for name in types):
        return types == ["boolean"] and isinstance(value, bool)
    checks = [
        schema.get("const", value) == value,
        value in schema.get("enum", [value]),
        "anyOf" not in schema or any(satisfies(value, part, root) for part in schema["anyOf"]),
        "oneOf" not in schema or sum(satisfies(value, part, root) for part in schema["oneOf"]) == 1,
    ]
    if isinstance(value, str):
        checks += [re.search(schema.get("pattern", ""), value) is not None, len(value) >= schema.get("minLength", 0)]
    if isinstance(value, list):
        checks += [schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))]
        checks += [satisfies(child, schema.get("items", {}), root) for child in value]
    if isinstance(value, dict):
        checks += [key in value for key in schema.get("required", ())]
        checks += [satisfies(child, schema_of(key, schema), root) for key, child in value.items()]
    return all(checks)


def schema_of(key: str, schema: dict) -> dict:
    if key in schema.get("properties", {}):
        return schema["properties"][key]
    for pattern, child in schema.get("patternProperties", {}).items():
        if re.search(pattern, key):
            return child
    rest = schema.get("additionalProperties", {})
    return {"enum": []} if rest is False else {} if rest is True else rest


PYTHON = {"string": str, "number": (int, float), "integer": int, "array": list, "object": dict, "boolean": bool}
PYTHON["null"] = type(None)


@pytest.mark.parametrize("text", [*EXAMPLES, starter("heat")])
def test_right_specs_satisfy_the_schema(text: str):
    schema = json_schema()
    assert satisfies(parse_spec(text).source.root.plain(), schema, schema)
    assert satisfies(read_tree(dump_spec(parse_spec(text).spec), "a").plain(), schema, schema)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("solver:", "solvr:"),
        ("kind:", "kin:"),
        ("range", "rang"),
        ("[u]", "3"),
        ("on: boundary", "on: boundry"),
        ("value: {", "valu: {"),
        ("seed: 0", "seed: -1.5"),
        ("time: t", "time: 2t"),
        ("x: 101", "x: many"),
        ("x: [0, 1]", "x: [0, 1, 2]"),
        ("    u: exp", "    2u: exp"),
    ],
)
def test_wrong_specs_do_not(old: str, new: str):
    schema = json_schema()
    text = starter("heat").replace("x: [0, 1]\n", "x: {range: [0, 1]}\n") if old == "range" else starter("heat")
    assert old in text
    assert not satisfies(read_tree(text.replace(old, new), "a").plain(), schema, schema)


@pytest.mark.parametrize("name", ["heat", "a", "2024", "true", "null", "-", "-1", "1e3", "my_run-2", "x" * 100])
def test_the_starter_is_a_valid_spec_of_its_name(name: str):
    text = starter(name)
    spec = parse_spec(text).spec
    assert spec.name == name
    assert spec.solver.kind == "pinn"
    assert text.count("#") > 10
    assert max(map(len, text.splitlines())) < 260


@pytest.mark.parametrize("name", ["", "a b", "a/b", "../a", "ä", "a\n", "x" * 101, "a.yaml", None, 3])
def test_other_names_are_refused(name):
    with pytest.raises(InputError, match="letters, digits"):
        starter(name)
