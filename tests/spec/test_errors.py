"""A wrong spec is refused in one clear line a fault: file, line, path, what was given, what is allowed."""

from __future__ import annotations

import pytest

from pdeml.errors import InputError
from pdeml.spec import SpecError, load_spec, parse_spec

BASE = """\
name: heat
seed: 0
problem:
  coordinates:
    x: [0, 1]
    t: [0, 1]
  time: t
  unknowns: [u]
  parameters:
    nu: 0.1
  equations:
    - u_t = nu*u_xx
  conditions:
    - on: initial
      value: {u: sin(pi*x)}
    - on: boundary
      value: {u: 0}
reference: {exact: {u: 0}}
solver: {kind: pinn}
export:
  grid: {x: 10, t: 10}
"""
JARGON = ("Input should", "validation error", "Value error", "Field required", "Extra inputs", "pydantic", "Traceback")

# (piece of BASE, what stands there instead, line, path, phrases)
CASES = [
    # names of keys
    ("solver: {kind", "solvr: {kind", 19, "solvr", ["'solvr' is not a key of a spec", "did you mean 'solver'?"]),
    (
        "  conditions:",
        "  condition:",
        13,
        "problem.condition",
        ["is not a key of problem", "did you mean 'conditions'?"],
    ),
    ("value: {u: 0}", "valu: {u: 0}", 17, "problem.conditions[1].valu", ["did you mean 'value'?"]),
    ("nu: 0.1", "nu: {lern: 0.1}", 10, "problem.parameters.nu.lern", ["did you mean 'learn'?"]),
    ("x: [0, 1]", "x: {rang: [0, 1]}", 5, "problem.coordinates.x.rang", ["did you mean 'range'?"]),
    ("[u]", "{u: {scael: 1}}", 8, "problem.unknowns.u.scael", ["did you mean 'scale'?"]),
    ("grid: {x: 10, t: 10}", "gird: {x: 10}", 21, "export.gird", ["did you mean 'grid'?"]),
    ("{exact: {u: 0}}", "{exat: {u: 0}}", 18, "reference.exat", ["did you mean 'exact'?"]),
    ("{x: 10, t: 10}", "{x: 10, tt: 10}", 21, "export.grid.tt", ["is not a coordinate", "did you mean 't'?"]),
    # places
    ("on: boundary", "on: boundry", 16, "problem.conditions[1].on", ["'boundry' is not a place", "'boundary'?"]),
    ("on: boundary", "on: boundry.left", 16, "problem.conditions[1].on", ["did you mean 'boundary.left'?"]),
    ("on: boundary", "on: left", 16, "problem.conditions[1].on", ["did you mean 'boundary.left'?"]),
    ("on: boundary", "on: initial.left", 16, "problem.conditions[1].on", ["only a boundary has pieces"]),
    ("on: boundary", "on: boundary.", 16, "problem.conditions[1].on", ["is not a place"]),
    ("on: boundary", "on: 3", 16, "problem.conditions[1].on", ["a name or a mapping", "3"]),
    ("on: boundary", "on: [boundary]", 16, "problem.conditions[1].on", ["a name or a mapping", "a list"]),
    ("on: boundary", "on: {}", 16, "problem.conditions[1].on", ["at least one"]),
    ("on: boundary", "on: {y: 0}", 16, "problem.conditions[1].on.y", ["'y' is not a coordinate", "x, t"]),
    ("on: boundary", "on: {x: true}", 16, "problem.conditions[1].on.x", ["a number", "true"]),
    ("on: boundary", "on: {piece: 3}", 16, "problem.conditions[1].on.piece", ["the name of a piece"]),
    ("on: boundary", "on: {where: 3}", 16, "problem.conditions[1].on.where", ["a comparison"]),
    ("on: boundary", "on: {where: (x < 1}", 16, "problem.conditions[1].on.where", ["unclosed '('"]),
    ("    - on: boundary\n", "    - weight: 1\n", 16, "problem.conditions[1]", ["needs the key 'on'"]),
    # what holds there
    ("value: {u: 0}", "weight: 2", 16, "problem.conditions[1]", ["exactly one of value, rate, flux, equation"]),
    ("value: {u: 0}", "value: {u: 0}\n      flux: {u: 1}", 16, "problem.conditions[1]", ["got value, flux"]),
    ("value: {u: 0}", "periodic: [x]", 16, "problem.conditions[1].on", ["stands alone"]),
    ("value: {u: 0}", "value: 0", 17, "problem.conditions[1].value", ["a mapping (key: value)", "0"]),
    ("value: {u: 0}", "value: {}", 17, "problem.conditions[1].value", ["at least one unknown"]),
    ("value: {u: 0}", "value: {u: true}", 17, "problem.conditions[1].value.u", ["a formula or a number", "true"]),
    (
        "value: {u: 0}",
        "value: {u: {a: 1}}",
        17,
        "problem.conditions[1].value.u",
        ["a formula or a number", "a mapping"],
    ),
    ("value: {u: 0}", "value: {u: }", 17, "problem.conditions[1].value.u", ["nothing"]),
    ("value: {u: 0}", "value: {2u: 1}", 17, "problem.conditions[1].value.2u", ["'2u' is not a name"]),
    ("value: {u: 0}", "value:\n        u: sin(x", 18, "problem.conditions[1].value.u", ["unclosed '('"]),
    (
        "value: {u: 0}",
        "weight: -1\n      value: {u: 0}",
        17,
        "problem.conditions[1].weight",
        ["must be positive", "-1"],
    ),
    # formulas that a comma cut in two
    ("{u: 0}}", "{u: min(x, 1)}}", 18, "reference.exact.u", ["unbalanced", 'must be quoted: "min(x, 1)"']),
    ("value: {u: 0}", "value: {u: 2*min(x, 1)*t}", 17, "problem.conditions[1].value.u", ['"2*min(x, 1)*t"']),
    ("[u]", "{u: {scale: max(1, 2)}}", 8, "problem.unknowns.u.scale", ['"max(1, 2)"']),
    ("- u_t = nu*u_xx", "- {equation: u_t = d(u, x)}", 12, "problem.equations[0].equation", ["must be quoted"]),
    ("- u_t = nu*u_xx", "- {equation: u_t = [u][0]}", 12, "", ["formula with brackets that must be quoted"]),
    # equations and unknowns
    ("- u_t = nu*u_xx", "- u_t = nu*u_xx)", 12, "problem.equations[0]", ["')' without '('"]),
    ("- u_t = nu*u_xx", "- 3", 12, "problem.equations[0]", ["an equation", "3"]),
    ("- u_t = nu*u_xx", "- [u_t]", 12, "problem.equations[0]", ["an equation", "a list"]),
    ("- u_t = nu*u_xx", "-", 12, "problem.equations[0]", ["has no value"]),
    ("  equations:\n    - u_t = nu*u_xx", "  equations: []", 11, "problem.equations", ["has no entry"]),
    ("  equations:\n    - u_t = nu*u_xx\n", "", 3, "problem", ["needs the key 'equations'"]),
    ("  unknowns: [u]\n", "", 3, "problem", ["needs the key 'unknowns'"]),
    ("unknowns: [u]", "unknowns: [u, u]", 8, "problem.unknowns[1]", ["stands twice"]),
    ("unknowns: [u]", "unknowns: [u, 2v]", 8, "problem.unknowns[1]", ["'2v' is not a name"]),
    ("unknowns: [u]", "unknowns: 3", 8, "problem.unknowns", ["a list of names", "3"]),
    ("unknowns: [u]", "unknowns: []", 8, "problem.unknowns", ["a list of names"]),
    ("unknowns: [u]", "unknowns: {u: complx}", 8, "problem.unknowns.u", ["did you mean 'complex'?"]),
    ("unknowns: [u]", "unknowns: {u: {complex: 1}}", 8, "problem.unknowns.u.complex", ["true or false"]),
    ("unknowns: [u]", "unknowns: {u: [1]}", 8, "problem.unknowns.u", ["a mapping (key: value)", "a list"]),
    # coordinates, time, parameters
    ("x: [0, 1]", "x: [1, 0]", 5, "problem.coordinates.x", ["must increase", "[1, 0]"]),
    ("x: [0, 1]", "x: [0]", 5, "problem.coordinates.x", ["a pair [low, high]", "a list of 1"]),
    ("x: [0, 1]", "x: 3", 5, "problem.coordinates.x", ["a pair [low, high]", "3"]),
    ("x: [0, 1]", "x: [0, .inf]", 5, "problem.coordinates.x[1]", ["not a finite number"]),
    ("x: [0, 1]", "x: [0, nan]", 5, "problem.coordinates.x[1]", ["a finite number"]),
    ("x: [0, 1]", "x: [0, 1e999]", 5, "problem.coordinates.x[1]", ["too large"]),
    ("x: [0, 1]", "x: [0, true]", 5, "problem.coordinates.x[1]", ["a number", "true"]),
    ("x: [0, 1]", "x: {range: [0, 1], scale: 0}", 5, "problem.coordinates.x.scale", ["positive"]),
    ("x: [0, 1]", "x: {scale: 1}", 5, "problem.coordinates.x", ["needs the key 'range'"]),
    ("x: [0, 1]", "x-1: [0, 1]", 5, "problem.coordinates.x-1", ["'x-1' is not a name"]),
    ("time: t", "time: T", 7, "problem.time", ["'T' is not a coordinate", "did you mean 't'?"]),
    ("time: t", "time: [t]", 7, "problem.time", ["a name", "a list"]),
    ("time: t", "time:", 7, "problem.time", ["has no value"]),
    ("time: t", "domain: {time: {s: [0, 1]}}", 3, "problem", ["one of coordinates, domain", "not both"]),
    ("nu: 0.1", "nu: [1]", 10, "problem.parameters.nu", ["a number or a constant expression", "a list"]),
    ("nu: 0.1", "nu: {learn: 0.1}", 10, "problem.parameters.nu.learn", ["needs 'data'"]),
    ("nu: 0.1", "nu: {learn: 0.1, eigen: 1}", 10, "problem.parameters.nu", ["exactly one", "learn, eigen"]),
    ("nu: 0.1", "nu: {eigen: 1, bounds: [0, 1]}", 10, "problem.parameters.nu.bounds", ["'learn' only"]),
    ("nu: 0.1", "nu: {}", 10, "problem.parameters.nu", ["exactly one", "none"]),
    ("nu: 0.1", "nu: {range: [0.1, 0.01]}", 10, "problem.parameters.nu.range", ["must increase"]),
    ("nu: 0.1", "nu: .nan", 10, "problem.parameters.nu", ["not a finite number"]),
    ("  parameters:\n    nu: 0.1", "  parameters: 3", 9, "problem.parameters", ["a mapping (key: value)", "3"]),
    (
        "  parameters:\n    nu: 0.1",
        "  inputs: {a: {over: [x, z]}}",
        9,
        "problem.inputs.a.over[1]",
        ["not a coordinate"],
    ),
    ("  parameters:\n    nu: 0.1", "  inputs: {a: {}}", 9, "problem.inputs.a", ["needs the key 'over'"]),
    (
        "  parameters:\n    nu: 0.1",
        "  inputs: {a: {over: x, field: grff}}",
        9,
        "problem.inputs.a.field",
        ["did you mean 'grf'?"],
    ),
    (
        "  parameters:\n    nu: 0.1",
        "  inputs: {a: {over: x, field: grf, mapp: g}}",
        9,
        "problem.inputs.a.mapp",
        ["did you mean 'map'?"],
    ),
    # the rest
    ("name: heat", "name: he/at", 1, "name", ["letters, digits, '-' and '_'"]),
    ("name: heat", "name: ..", 1, "name", ["letters, digits"]),
    ("name: heat", "name: 2024", 1, "name", ["2024", "quote it"]),
    ("name: heat", "name: [heat]", 1, "name", ["a list"]),
    ("seed: 0", "seed: -1", 2, "seed", ["whole number", "-1"]),
    ("seed: 0", "seed: 1.5", 2, "seed", ["whole number", "1.5"]),
    ("seed: 0", "seed: true", 2, "seed", ["whole number", "true"]),
    ("seed: 0", "seed: " + "9" * 100, 2, "seed", ["too long"]),
    ("seed: 0", "seed:", 2, "seed", ["nothing"]),
    ("{kind: pinn}", "{width: 3}", 19, "solver", ["needs the key 'kind'"]),
    ("{kind: pinn}", "[pinn]", 19, "solver", ["a list"]),
    ("{kind: pinn}", "{kind: pinn, tolerance: 0}", 19, "solver.tolerance", ["positive"]),
    ("{kind: pinn}", "{kind: pinn, ensemble: 0}", 19, "solver.ensemble", ["at least 1"]),
    ("solver: {kind: pinn}", "solver:", 19, "solver", ["has no value"]),
    ("{exact: {u: 0}}", "{named: a, file: b}", 18, "reference", ["exactly one", "named, file"]),
    ("{exact: {u: 0}}", "{named: a, grid: {x: 3}}", 18, "reference.grid", ["an option of 'solver'"]),
    ("{exact: {u: 0}}", "{}", 18, "reference", ["exactly one of exact, named, file, solver"]),
    ("{x: 10, t: 10}", "{x: -10}", 21, "export.grid.x", ["at least 1", "-10"]),
    ("{x: 10, t: 10}", "{x: many}", 21, "export.grid.x", ["whole number", "'many'"]),
    ("{x: 10, t: 10}", "{x: 1.5}", 21, "export.grid.x", ["whole number", "1.5"]),
    ("{x: 10, t: 10}", "{x: 10}\n  points: p.csv", 20, "export", ["not both"]),
    ("seed: 0", "device: gpu", 2, "device", ["auto, cpu, cuda"]),
    ("seed: 0", "precision: float16", 2, "precision", ["did you mean", "float64"]),
    ("seed: 0", "data: []", 2, "data", ["has no entry"]),
    ("seed: 0", "data: {noise: 1%}", 2, "data", ["needs the key 'file'"]),
    ("seed: 0", "data: {file: a.h5, noise: x%}", 2, "data.noise", ["a percentage"]),
    ("seed: 0", "data: {file: a.h5, noise: -1}", 2, "data.noise", ["negative"]),
    ("seed: 0", "data: {file: a.h5, train: 1.5}", 2, "data.train", ["a fraction between 0 and 1"]),
    ("seed: 0", "data: [{file: a.h5}, {noise: 1}]", 2, "data[1]", ["needs the key 'file'"]),
    ("seed: 0", "data: [{file: a.h5}, {fil: b.h5}]", 2, "data[1].fil", ["'fil'", "did you mean 'file'"]),
    ("seed: 0", "generate: {samples: 3}", 2, "generate", ["a recipe has no 'solver'"]),
    # YAML
    ("seed: 0", "name: again", 2, "", ["the key 'name' stands twice (first on line 1)"]),
    ("seed: 0", "seed: !!python/object:os.system 0", 2, "", ["'!!python/object:os.system'", "not allowed"]),
    ("seed: 0", "seed: !foo 0", 2, "", ["'!foo'"]),
    ("seed: 0", "seed: !!int 0", 2, "", ["'!!int'"]),
    ("seed: 0", "seed: *none", 2, "", ["refers to nothing", "quote"]),
    ("{kind: pinn}", "&s {kind: pinn, more: *s}", 19, "", ["refers to itself"]),
    ("{kind: pinn}", "{<<: {kind: pinn}}", 19, "solver", ["merge keys"]),
    ("{kind: pinn}", "{kind: pinn, 1: 2}", 19, "solver", ["the key 1 is not a word"]),
    ("{kind: pinn}", "{kind: pinn, [a]: 2}", 19, "solver", ["a key must be a word"]),
    ("{kind: pinn}", "{kind: pinn, : 2}", 19, "solver", ["a key is missing"]),
    ("{kind: pinn}", '{kind: "pi\\0nn"}', 19, "solver.kind", ["control characters"]),
    ("{kind: pinn}", '{kind: "\\ud800"}', 19, "solver.kind", ["control characters"]),
    ("{kind: pinn}", '{kind: "\\q"}', 19, "", ["unknown escape"]),
    ("{kind: pinn}", "{kind: @pinn}", 19, "", ["cannot begin with '@'", "quote"]),
    ("{kind: pinn}", "{kind: pinn", 20, "", ["not closed"]),
    ("{kind: pinn}", "'pinn", 19, "", ["a quote is opened and never closed"]),
    ("seed: 0", "\tseed: 0", 2, "", ["a tab is not allowed"]),
    ("seed: 0", "seed: 0: 1", 2, "", ["a second ': '"]),
    ("seed: 0", "---\nseed: 0", 2, "", ["a second document"]),
    ("seed: 0", "seed: " + "[" * 40 + "]" * 40, 2, "", ["nested too deeply"]),
]


def refused(text: str, name: str = "heat.yaml") -> SpecError:
    with pytest.raises(SpecError) as caught:
        parse_spec(text, name)
    return caught.value


def test_the_base_of_the_cases_is_right():
    assert parse_spec(BASE).spec.name == "heat"


@pytest.mark.parametrize(("old", "new", "line", "path", "phrases"), CASES, ids=[case[1][:40] for case in CASES])
def test_a_fault_is_named_with_file_line_and_path(old: str, new: str, line: int, path: str, phrases: list[str]):
    assert BASE.count(old) >= 1
    position = BASE.rindex(old)
    error = refused(BASE[:position] + new + BASE[position + len(old) :])
    lines = str(error).splitlines()
    start = f"heat.yaml:{line}: {path}: " if path else f"heat.yaml:{line}: "
    found = [text for text in lines if text.startswith(start) and all(phrase in text for phrase in phrases)]
    assert found, f"wanted {start!r} with {phrases}\n{error}"
    assert not any(word in str(error) for word in JARGON)
    assert len(lines) <= 2


def test_all_faults_are_listed_in_the_order_of_their_lines():
    text = BASE.replace("seed: 0", "seed: -1").replace("on: boundary", "on: boundry").replace("x: 10", "x: 0")
    lines = str(refused(text)).splitlines()
    assert [line.split(":")[1] for line in lines] == ["2", "16", "21"]


def test_at_most_five_faults_are_listed():
    names = "\n".join(f"key{index}: 1" for index in range(9))
    lines = str(refused(BASE + names)).splitlines()
    assert len(lines) == 6
    assert "4 more" in lines[-1]


def test_parts_of_the_error():
    error = refused(BASE.replace("on: boundary", "on: boundry"))
    assert (error.file, error.line, error.path) == ("heat.yaml", 16, ("problem", "conditions", 1, "on"))
    assert isinstance(error, InputError)
    assert isinstance(error, ValueError)


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("", "empty"),
        ("# nothing\n", "empty"),
        ("- a\n- b\n", "a spec is a mapping"),
        ("3", "a spec is a mapping"),
        ("null", "a spec is a mapping"),
        ("{}", "needs 'problem', 'data' or both"),
        ("name: x", "needs 'problem', 'data' or both"),
        ("generate: {samples: 3}\ndata: a.h5", "needs 'problem'"),
        ("problem: {}", "needs the key"),
        ("seed: 0\na: \x00", ":2: the control character"),
        ("a: [,]", "a value is missing here"),
    ],
)
def test_whole_texts(text: str, phrase: str):
    assert phrase in str(refused(text))


def test_neither_conditions_nor_data():
    text = BASE[: BASE.index("  conditions:")]
    error = refused(text)
    assert "neither conditions nor data" in str(error)
    assert parse_spec(text + "data: obs.h5\n").spec.data[0].file == "obs.h5"


@pytest.mark.parametrize(
    ("domain", "path", "phrase"),
    [
        ("{}", "", "needs 'space', 'time' or both"),
        ("{time: {t: [0, 1], s: [0, 1]}}", ".time", "exactly one time coordinate, got 2"),
        ("{space: {disk: {}, box: {}}}", ".space", "exactly one shape, got disk, box; join shapes with union"),
        ("{space: {edges: {}}}", ".space", "exactly one shape, got none"),
        ("{space: [disk]}", ".space", "must be a mapping such as"),
        ("{space: {disk: {}}, tme: 1}", ".tme", "did you mean 'time'?"),
        ("{time: {t: [0, 1]}, edges: {left: inlet}}", ".edges", "which is missing"),
    ],
)
def test_domains(domain: str, path: str, phrase: str):
    start, end = BASE.index("  coordinates:"), BASE.index("  time:")
    error = refused(BASE[:start] + f"  domain: {domain}\n" + BASE[end:].replace("  time: t\n", ""))
    assert str(error).startswith(f"heat.yaml:4: problem.domain{path}: ")
    assert phrase in str(error)


def test_time_is_declared_in_the_domain():
    start, end = BASE.index("  coordinates:"), BASE.index("  time:")
    text = BASE[:start] + "  domain: {time: {t: [0, 1]}, space: {disk: {center: [0, 0], radius: 1}}}\n" + BASE[end:]
    assert parse_spec(text).spec.problem.time == "t"
    assert "where 'domain' is given it declares the time" in str(refused(text.replace("time: t\n", "time: s\n")))


def test_split_must_fit_the_samples():
    text = BASE.replace("solver: {kind: pinn}", "generate: {samples: 10, split: {train: 9, test: 0.5}}")
    error = str(refused(text))
    assert error.startswith("heat.yaml:19: generate.split.test: with this part 14 samples are asked for")
    assert "there are 10; `pdeml generate --samples N`" in error


def test_alias_bombs_are_refused_quickly():
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert "too many values" in str(refused("\n".join(levels)))


def test_deep_aliases_are_refused():
    chain = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 100)]
    assert "nested too deeply" in str(refused("\n".join(chain)))


@pytest.mark.parametrize("text", ["[" * 10_000, "- " * 10_000, "{a: " * 10_000, "? " * 10_000])
def test_deep_nesting_is_refused(text: str):
    assert isinstance(refused(text), SpecError)


def test_huge_keys_and_values_give_short_messages():
    for text in ("? " + "k" * 100_000 + "\n: 1", "name: " + "n" * 100_000, "{a: " + "(" * 100_000 + "}"):
        assert len(str(refused(text))) < 1000


def test_size_is_bounded(tmp_path):
    path = tmp_path / "big.yaml"
    path.write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(SpecError, match="larger than 1024 KiB"):
        load_spec(path)
    with pytest.raises(SpecError, match="larger than 1024 KiB"):
        parse_spec("#" * (2**20 + 1))


@pytest.mark.parametrize(
    ("data", "phrase"),
    [
        (b"name: caf\xe9\n", ":1: is not UTF-8"),
        (b"a: 1\nb: \xff\n", ":2: is not UTF-8"),
        ("name: x".encode("utf-16"), "UTF-16"),
        (b"\x89HDF\r\n\x1a\n\0\0", "not a text file"),
        (b"a: b\0c", "not a text file"),
        (b"", "empty"),
    ],
)
def test_files_that_are_no_specs(tmp_path, data: bytes, phrase: str):
    path = tmp_path / "bad.yaml"
    path.write_bytes(data)
    with pytest.raises(SpecError) as caught:
        load_spec(path)
    assert str(caught.value).startswith(str(path))
    assert phrase in str(caught.value)


def test_a_byte_order_mark_is_no_fault(tmp_path):
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + BASE.encode().replace(b"\n", b"\r\n"))
    assert load_spec(path).spec == parse_spec(BASE).spec


def test_missing_files_name_the_nearest(tmp_path):
    (tmp_path / "burgers.yaml").write_text(BASE)
    with pytest.raises(SpecError, match=r"no such file; did you mean '.*burgers\.yaml'\?"):
        load_spec(tmp_path / "burger.yaml")
    with pytest.raises(SpecError, match=r"the YAML files there are burgers\.yaml"):
        load_spec(tmp_path / "z.yaml")
    with pytest.raises(SpecError, match="there is no folder"):
        load_spec(tmp_path / "no" / "burgers.yaml")
    with pytest.raises(SpecError, match="is a folder"):
        load_spec(tmp_path)
    with pytest.raises(SpecError):
        load_spec("a\0b")
    with pytest.raises(SpecError):
        load_spec("x" * 5000)
