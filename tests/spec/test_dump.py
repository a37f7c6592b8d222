"""What is written loads to an equal spec, and reads as a user would have written it."""

from __future__ import annotations

import contextlib
import copy
import itertools
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from pdeml.errors import InputError
from pdeml.spec import SpecError, dump_spec, load_spec, make_spec, parse_spec, starter, write_yaml
from pdeml.spec.reader import read_tree

EXAMPLES = {path.stem: path.read_text() for path in (Path(__file__).parent / "examples").glob("*.yaml")}
BURGERS, DARCY, CYLINDER = EXAMPLES["burgers"], EXAMPLES["darcy"], EXAMPLES["cylinder"]


EXAMPLES_AND_STARTER = {**EXAMPLES, "starter": starter("heat")}


@pytest.mark.parametrize("text", EXAMPLES_AND_STARTER.values(), ids=EXAMPLES_AND_STARTER)
def test_examples_round_trip(text: str):
    spec = parse_spec(text).spec
    written = dump_spec(spec)
    assert parse_spec(written).spec == spec
    assert dump_spec(parse_spec(written).spec) == written


def test_the_written_form():
    assert dump_spec(parse_spec(BURGERS).spec) == (
        "name: burgers\nseed: 0\nproblem:\n  coordinates:\n    x: [-1, 1]\n    t: [0, 1]\n  time: t\n  unknowns: [u]\n"
        "  parameters:\n    nu: 0.01/pi\n  equations:\n    - u_t + u*u_x = nu*u_xx\n  conditions:\n    - on: initial\n"
        "      value:\n        u: -sin(pi*x)\n    - on: boundary\n      value:\n        u: 0\nreference:\n"
        "  named: cole-hopf\nsolver:\n  kind: pinn\nexport:\n  grid:\n    x: 256\n    t: 101\n"
    )


texts = st.text(
    st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\ufeff\ufffe\uffff\u2028\u2029"), max_size=12
) | st.text("-+.,:#[]{}()'\"\\ !&*|>%@`?~=<\n\t0123456789eabnultrx_", max_size=10)
scalars = st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, allow_infinity=False)
keys = texts.filter(lambda text: text not in ("", "<<") and len(text) < 200)
values = st.recursive(
    scalars | texts, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=12
)


@given(st.dictionaries(keys, values, max_size=4))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_plain_values_round_trip(given_values):
    assert read_tree(write_yaml(given_values), "a").plain() == given_values


@given(st.dictionaries(keys, values, max_size=3))
@example({"._": "._1"})
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_another_reader_reads_the_same(given_values):
    assert YAML(typ="safe", pure=True).load(write_yaml(given_values)) == given_values


names = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,6}", fullmatch=True)
numbers = st.integers(-1000, 1000) | st.floats(-1e6, 1e6) | st.sampled_from(["2*pi", "0.01/pi", "1e-3/e"])
positive = st.integers(1, 1000) | st.floats(1e-6, 1e6) | st.just("pi")
formulas = numbers | st.sampled_from(["-sin(pi*x)", "min(x, 1)", "where(x < 0.5, 1, 0)", "u_t = u # no", "a: b", "!x"])
pairs = st.tuples(st.integers(-9, 0), st.integers(1, 9)) | st.just((0, "2*pi"))
parameters = (
    numbers
    | st.fixed_dictionaries({"range": pairs})
    | st.fixed_dictionaries({"eigen": numbers})
    | st.fixed_dictionaries({"learn": numbers}, optional={"bounds": pairs})
)
kinds = st.sampled_from(["value", "rate", "flux"])
places = st.sampled_from(["initial", "final", "boundary", "boundary.left"]) | st.fixed_dictionaries(
    {"piece": names}, optional={"where": st.just("x < 0.5 and y > 0")}
)


def condition(kind: str, place, unknown: dict, weight) -> dict:
    return {"on": place, kind: unknown, **({} if weight is None else {"weight": weight})}


specs = st.fixed_dictionaries(
    {
        "problem": st.fixed_dictionaries(
            {
                "coordinates": st.dictionaries(
                    names, pairs | st.fixed_dictionaries({"range": pairs, "scale": positive}), min_size=1, max_size=3
                ),
                "unknowns": st.lists(names, min_size=1, max_size=3, unique=True)
                | st.dictionaries(
                    names,
                    st.just("complex")
                    | st.fixed_dictionaries({}, optional={"scale": positive, "unit": st.just("m/s")}),
                    min_size=1,
                    max_size=3,
                ),
                "equations": st.lists(
                    st.sampled_from(["u_t = u_xx", "-div(a*grad(u)) = 1", "d(u, x) = 0"])
                    | st.fixed_dictionaries({"equation": st.just("u_x"), "weight": positive}),
                    min_size=1,
                    max_size=2,
                ),
                "conditions": st.lists(
                    st.builds(
                        condition,
                        kinds,
                        places,
                        st.dictionaries(names, formulas, min_size=1, max_size=2),
                        st.none() | positive,
                    ),
                    min_size=1,
                    max_size=3,
                ),
            },
            optional={"parameters": st.dictionaries(names, parameters, max_size=3)},
        ),
        "data": st.just("obs.h5") | st.just([{"file": "a b.h5", "noise": "1%"}, {"file": "c.h5", "train": 0.5}]),
    },
    optional={
        "name": st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=8),
        "seed": st.integers(0, 2**63 - 1),
        "solver": st.just("pinn") | st.fixed_dictionaries({"kind": names, "zz_free": values}),
        "reference": st.fixed_dictionaries({"exact": st.dictionaries(names, formulas, min_size=1, max_size=2)}),
        "export": st.just({"points": "points.csv"}) | st.just({}),
        "precision": st.just("float64"),
    },
)


@given(specs)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_specs_round_trip(plain):
    spec = make_spec(plain)
    written = dump_spec(spec)
    assert parse_spec(written).spec == spec
    assert parse_spec(written).spec.model_fields_set == spec.model_fields_set


JUNK = st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))
PIECES = [
    "{",
    "}",
    "[",
    "]",
    ": ",
    "- ",
    "\n",
    "  ",
    "'",
    '"',
    "&a ",
    "*a",
    "!x ",
    "|",
    ">",
    "#",
    "?",
    ",",
    "\t",
    "~",
    "null",
]
PIECES += [
    "<<: ",
    "%",
    "@",
    "---\n",
    "...\n",
    ".inf",
    "true",
    "1e999",
    "-1",
    "(",
    ")",
    "\x85",
    "\u2028",
    "\ufeff",
    "0x",
    "=",
]


@given(JUNK)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_bytes_raise_anything_but_a_spec_error(tmp_path_factory, data: bytes):
    path = tmp_path_factory.mktemp("junk") / "junk.yaml"
    path.write_bytes(data)
    assert_refused_or_read(lambda: load_spec(path))


@given(
    st.sampled_from([BURGERS, DARCY, CYLINDER]),
    st.lists(st.tuples(st.integers(0, 900), st.integers(0, 6), st.sampled_from(PIECES)), min_size=1, max_size=4),
)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_change_to_a_spec_raises_anything_but_a_spec_error(text: str, changes: list[tuple[int, int, str]]):
    for position, removed, piece in changes:
        text = text[:position] + piece + text[position + removed :]
    assert_refused_or_read(lambda: parse_spec(text))


@given(specs, st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_value_of_the_wrong_kind_gives_a_clear_error(plain, data):
    plain = copy.deepcopy(plain)
    place, key = data.draw(st.sampled_from(list(walk(plain))))
    place[key] = data.draw(values)
    assert_refused_or_read(lambda: parse_spec(write_yaml(plain)))
    with contextlib.suppress(InputError):
        make_spec(plain)


LONG = ["x" * 50_000, "boundry." + "x" * 50_000, "(" * 50_000, ["x" * 50_000], {"x" * 190: "y" * 50_000}]


@pytest.mark.parametrize("example", EXAMPLES)
def test_messages_stay_short_whatever_is_given(example: str):
    root = parse_spec(EXAMPLES[example]).source.root
    size = len(list(walk(root.plain())))
    messages: list[str] = []
    for index, long in itertools.product(range(size), LONG):
        plain = root.plain()
        place, key = list(walk(plain))[index]
        place[key] = long
        try:
            make_spec(plain)
        except InputError as error:
            messages.append(str(error))
    assert len(messages) > size
    assert max(map(len, messages)) < 1000


def walk(value):
    """Every (container, key) of plain values."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield value, key
        yield from walk(child)


def assert_refused_or_read(read) -> None:
    try:
        document = read()
    except SpecError as error:
        text = str(error)
        assert not any(word in text for word in ("Input should", "is not valid here", "Value error", "pydantic"))
        assert len(text) < 4000
    else:
        assert parse_spec(dump_spec(document.spec)).spec == document.spec
