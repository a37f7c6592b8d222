"""Specs that must be refused: what is changed in a good one, and what the message must say."""

from __future__ import annotations

from dataclasses import dataclass

GOOD = """\
name: good
problem:
  coordinates: {x: [0, 1], t: [0, 1]}
  time: t
  unknowns: [u]
  parameters: {alpha: 0.1}
  equations:
    - u_t = alpha*u_xx
  conditions:
    - {on: initial, value: {u: sin(pi*x)}}
    - {on: boundary, value: {u: 0}}
reference: {exact: {u: exp(-alpha*pi**2*t)*sin(pi*x)}}
solver: {kind: pinn, width: 4, depth: 1, points: 32, steps: 2}
export: {grid: {x: 9, t: 7}}
"""
EQUATION, INITIAL, BOUNDARY = "u_t = alpha*u_xx", "value: {u: sin(pi*x)}", "{on: boundary, value: {u: 0}}"
EXACT, OPTIONS, BOX = "exp(-alpha*pi**2*t)*sin(pi*x)", "width: 4", "coordinates: {x: [0, 1], t: [0, 1]}"

STEADY = """\
name: steady
problem:
  coordinates: {x: [0, 1], y: [0, 1]}
  unknowns: [u]
  equations:
    - laplacian(u) = 1
  conditions:
    - {on: boundary, value: {u: 0}}
solver: {kind: pinn, width: 4, depth: 1, points: 32, steps: 2}
export: {grid: {x: 5, y: 5}}
"""
SHAPE = """\
name: shape
problem:
  domain:
    space: {difference: [{rectangle: {x: [0, 2], y: [0, 1]}}, {disk: {center: [1, 0.5], radius: 0.2, name: hole}}]}
  unknowns: [u]
  equations:
    - laplacian(u) = 1
  conditions:
    - {on: boundary, value: {u: 0}}
solver: {kind: pinn, width: 4, depth: 1, points: 32, steps: 2}
export: {grid: {x: 5, y: 5}}
"""


@dataclass(frozen=True)
class Bad:
    """A bad spec.

    Args:
        text: the YAML, as text or as bytes that are no text.
        line: that the message must name; none where the whole file is meant.
        says: parts of the message.
    """

    text: str | bytes
    line: int | None
    says: tuple[str, ...]


def swap(old: str, new: str, *says: str, line: int | None = None, of: str = GOOD) -> Bad:
    """Replace a part of a good spec; the message must name the line where the new part begins, unless given."""
    assert of.count(old) == 1, old
    text = of.replace(old, new)
    return Bad(text, line or of.count("\n", 0, of.index(old)) + 1, says)


def equation(formula: str, *says: str) -> Bad:
    """Replace the equation, quoted so that YAML has nothing to say."""
    quoted = formula.replace("'", "''")
    return swap(EQUATION, f"'{quoted}'", *says)


def whole(text: str | bytes, *says: str, line: int | None = None) -> Bad:
    """A spec of its own."""
    return Bad(text, line, says)


KEYS = {
    "top-key-misspelt": swap("solver:", "solvr:", "solvr", "did you mean 'solver'"),
    "problem-key-misspelt": swap("  unknowns:", "  unknown:", "did you mean 'unknowns'"),
    "condition-key-misspelt": swap(INITIAL, "valeu: {u: 0}", "valeu", "did you mean 'value'"),
    "equation-key-misspelt": swap(EQUATION, "{equation: u_t = u_xx, wieght: 2}", "did you mean 'weight'"),
    "coordinate-key-misspelt": swap("x: [0, 1],", "x: {range: [0, 1], scal: 2},", "did you mean 'scale'"),
    "parameter-key-misspelt": swap("alpha: 0.1", "alpha: {vaule: 0.1}", "did you mean 'value'"),
    "unknown-key-misspelt": swap("unknowns: [u]", "unknowns: {u: {scael: 2}}", "did you mean 'scale'"),
    "reference-key-misspelt": swap("{exact:", "{exct:", "did you mean 'exact'"),
    "export-key-misspelt": swap("{grid:", "{gird:", "did you mean 'grid'"),
    "solver-option-misspelt": swap(OPTIONS, "widht: 4", "did you mean 'width'"),
    "solver-kind-misspelt": swap("kind: pinn", "kind: pin", "'pin'", "allowed:", "did you mean 'pinn'"),
    "solver-kind-not-there-yet": swap("kind: pinn", "kind: galerkin", "'galerkin'", "pinn"),
    "shape-misspelt": swap("{disk:", "{disc:", "'disc'", "did you mean 'disk'", of=SHAPE),
    "shape-key-misspelt": swap("radius: 0.2", "radios: 0.2", "did you mean 'radius'", of=SHAPE),
    "set-operation-misspelt": swap("{difference:", "{diference:", "did you mean 'difference'", of=SHAPE),
    "edges-misspelt": swap("y: [0, 1]}}", "y: [0, 1], edges: {lft: inlet}}}", "did you mean 'left'", of=SHAPE),
    "duplicate-key": swap("solver:", "name: again\nsolver:", "name", "twice"),
    "duplicate-nested-key": swap(OPTIONS, "width: 4, width: 5", "width", "twice"),
    "key-is-a-number": swap("parameters: {alpha: 0.1}", "parameters: {1: 0.1, alpha: 1}", "1"),
    "solver-kind-missing": swap("kind: pinn, ", "", "kind"),
    "unknowns-missing": swap("  unknowns: [u]\n", "", "unknowns", line=2),
    "equations-missing": swap(f"  equations:\n    - {EQUATION}\n", "", "equations", line=2),
    "problem-missing": whole("name: nothing\nsolver: {kind: pinn}\n", "problem", "data", line=1),
    "box-and-domain": swap(BOX, BOX + "\n  domain: {space: {disk: {center: [0, 0], radius: 1}}}", "not both", line=2),
}

TYPES = {
    "seed-is-text": swap("name: good", "name: good\nseed: three", "seed", "'three'", line=2),
    "seed-is-negative": swap("name: good", "name: good\nseed: -1", "seed", "-1", line=2),
    "seed-is-a-bool": swap("name: good", "name: good\nseed: true", "seed", "true", line=2),
    "name-is-a-path": swap("name: good", "name: ../good", "'../good'", "letters, digits"),
    "name-is-a-list": swap("name: good", "name: [good]", "a list"),
    "problem-is-a-list": whole("problem: [1, 2]\nsolver: pinn\n", "problem", "mapping", line=1),
    "range-is-a-bool": swap("x: [0, 1],", "x: [false, true],", "false"),
    "range-has-three-ends": swap("x: [0, 1],", "x: [0, 1, 2],", "x"),
    "range-is-a-number": swap("x: [0, 1],", "x: 1,", "x"),
    "range-is-inverted": swap("x: [0, 1],", "x: [1, 0],", "1", "0"),
    "range-is-empty": swap("x: [0, 1],", "x: [1, 1],", "x"),
    "range-is-infinite": swap("x: [0, 1],", "x: [0, .inf],", ".inf", "finite"),
    "range-is-nan": swap("x: [0, 1],", "x: [0, .nan],", ".nan", "finite"),
    "range-overflows": swap("x: [0, 1],", "x: [0, 1e999],", "1e999"),
    "range-divides-by-zero": swap("x: [0, 1],", "x: [0, 1/0],", "1/0"),
    "range-names-an-unknown": swap("x: [0, 1],", "x: [0, u],", "'u'"),
    "parameter-is-nan": swap("alpha: 0.1", "alpha: .nan", ".nan"),
    "parameter-is-a-bool": swap("alpha: 0.1", "alpha: yes", "yes"),
    "parameter-is-true": swap("alpha: 0.1", "alpha: true", "true"),
    "parameter-is-complex": swap("alpha: 0.1", "alpha: sqrt(-1)", "sqrt(-1)"),
    "parameter-is-a-list": swap("alpha: 0.1", "alpha: [0.1]", "a list"),
    "parameter-to-learn-without-data": swap("alpha: 0.1", "alpha: {learn: 0.1}", "data"),
    "parameter-with-two-kinds": swap("alpha: 0.1", "alpha: {value: 1, learn: 0.1}", "exactly one"),
    "parameter-range-inverted": swap("alpha: 0.1", "alpha: {range: [1, 0.1]}", "range"),
    "width-is-text": swap(OPTIONS, "width: wide", "'wide'", "whole number"),
    "width-is-zero": swap(OPTIONS, "width: 0", "width", "at least 1"),
    "width-is-a-bool": swap(OPTIONS, "width: true", "width"),
    "width-is-a-float": swap(OPTIONS, "width: 4.5", "4.5", "whole number"),
    "width-is-huge": swap(OPTIONS, "width: 999999999999", "at most"),
    "steps-are-negative": swap("steps: 2", "steps: -2", "at least 1"),
    "tolerance-is-nan": swap("steps: 2", "tolerance: .nan", "finite"),
    "activation-unknown": swap(OPTIONS, "activation: tahn", "'tahn'", "'tanh'"),
    "rate-of-learning-is-infinite": swap(OPTIONS, "learning_rate: .inf", "finite"),
    "weight-is-zero": swap(EQUATION, "{equation: u_t = u_xx, weight: 0}", "weight", "0"),
    "weight-is-negative": swap(INITIAL, "value: {u: 0}, weight: -1", "weight", "-1"),
    "scale-is-negative": swap("unknowns: [u]", "unknowns: {u: {scale: -1}}", "scale"),
    "grid-of-one-point": swap("x: 9", "x: 1", "at least 2"),
    "grid-of-text": swap("x: 9", "x: many", "'many'"),
    "grid-of-nan": swap("x: 9", "x: .nan", ".nan"),
    "grid-unknown-coordinate": swap("x: 9", "q: 9", "'q'", "x, t"),
    "grid-beyond-memory": swap("x: 9", "x: 99999999999", "memory"),
    "equation-is-a-list": swap(EQUATION, "[u_t, u_xx]", "a list"),
    "equation-is-null": swap(EQUATION, "null", "equation"),
    "equation-is-a-bool": swap(EQUATION, "true", "true"),
    "radius-is-negative": swap("radius: 0.2", "radius: -0.2", "radius", "-0.2", of=SHAPE),
    "disk-center-has-three-parts": swap("[1, 0.5]", "[1, 0.5, 2]", "(x, y)", "(x, y, z)", of=SHAPE),
    "difference-leaves-nothing": swap("radius: 0.2", "radius: 20", of=SHAPE),
    "device-unknown": swap("name: good", "name: good\ndevice: tpu", "'tpu'", "auto, cpu, cuda", line=2),
    "precision-unknown": swap("name: good", "name: good\nprecision: half", "'half'", "float64", line=2),
    "kernels-unknown": swap("name: good", "name: good\nkernels: cudnn", "'cudnn'", "triton", line=2),
    "float32-with-gauss-newton": swap(
        "name: good\n",
        "name: good\nprecision: float32\n",
        "gauss_newton",
        "float64",
        line=2,
        of=GOOD.replace("width: 4", "optimizer: gauss_newton"),
    ),
}

NAMES = {
    "equation-unknown-name": equation("u_t = alpha*u_xx + w", "'w'"),
    "equation-near-name": equation("u_t = alhpa*u_xx", "'alhpa'", "did you mean 'alpha'"),
    "equation-unknown-derivative": equation("u_t = alpha*u_xy", "u_xy"),
    "equation-unknown-function": equation("u_t = sinn(u)", "'sinn'", "did you mean 'sin'"),
    "equation-normal-derivative-inside": equation("u_t = dn(u)", "dn"),
    "equation-without-an-unknown": equation("x = t"),
    "equation-is-a-contradiction": equation("1 = 2"),
    "equation-is-trivial": equation("u_t = u_t"),
    "condition-unknown-name": swap(INITIAL, "value: {u: sin(pi*y)}", "'y'"),
    "condition-of-an-unknown-that-is-not": swap(INITIAL, "value: {v: 0}", "'v'", "u"),
    "condition-value-uses-the-unknown": swap(INITIAL, "value: {u: u}", "u"),
    "on-misspelt": swap("on: boundary,", "on: boundry,", "'boundry'", "did you mean 'boundary'"),
    "on-unknown-piece": swap("on: boundary,", "on: boundary.lefft,", "'lefft'", "did you mean 'left'"),
    "on-unknown-piece-of-a-shape": swap("on: boundary,", "on: boundary.whole,", "did you mean 'hole'", of=SHAPE),
    "on-is-a-number": swap("on: boundary,", "on: 1,", "on", "1"),
    "on-unknown-coordinate": swap("on: boundary,", "on: {z: 0},", "'z'", "x, t"),
    "on-outside-the-domain": swap("on: boundary,", "on: {x: 7},", "7"),
    "on-bad-where": swap("on: boundary,", 'on: {piece: left, where: "q < 1"},', "'q'"),
    "on-where-is-no-comparison": swap("on: boundary,", 'on: {piece: left, where: "t + 1"},', "where"),
    "on-where-holds-nowhere": swap("on: boundary,", 'on: {piece: left, where: "t > 5"},', "where"),
    "on-is-empty": swap("on: boundary,", "on: {},", "on"),
    "time-is-no-coordinate": swap("time: t", "time: s", "'s'", "x, t"),
    "name-declared-twice": swap("unknowns: [u]", "unknowns: [u, u]", "'u'"),
    "name-used-twice": swap("parameters: {alpha: 0.1}", "parameters: {alpha: 0.1, u: 1}", "'u'"),
    "name-reserved": swap("parameters: {alpha: 0.1}", "parameters: {alpha: 0.1, pi: 3}", "'pi'"),
    "name-of-a-function": swap("parameters: {alpha: 0.1}", "parameters: {alpha: 0.1, sin: 3}", "'sin'"),
    "name-is-not-a-word": swap("parameters: {alpha: 0.1}", 'parameters: {alpha: 0.1, "a b": 3}', "'a b'"),
    "parameter-depends-on-a-parameter": swap("{alpha: 0.1}", "{alpha: beta, beta: 1}", "'beta'"),
    "periodic-unknown-coordinate": swap(BOUNDARY, "{periodic: [y]}", "'y'", "x, t"),
    "periodic-in-time": swap(BOUNDARY, "{periodic: [t]}", "t"),
    "periodic-beside-on": swap(BOUNDARY, "{periodic: [x], on: boundary}", "stands alone"),
    "periodic-with-a-value-there": swap(
        BOUNDARY, "{periodic: [x]}\n    - {on: boundary.left, value: {u: 0}}", "periodic", line=12
    ),
    "periodic-of-a-shape": swap(
        "{on: boundary, value: {u: 0}}", "{periodic: [x]}", "periodic", "box", line=8, of=SHAPE
    ),
    "reference-unknown-name": swap(EXACT, "exp(-beta*t)", "'beta'"),
    "reference-named-unknown": swap(f"exact: {{u: {EXACT}}}", "named: cole-hopff", "did you mean 'cole-hopf'"),
    "reference-named-of-another-equation": swap(f"exact: {{u: {EXACT}}}", "named: cole-hopf", "cole-hopf"),
    "reference-lacks-an-unknown": swap(f"exact: {{u: {EXACT}}}", "exact: {v: 0}", "v"),
    "reference-solver-not-there": swap(f"exact: {{u: {EXACT}}}", "solver: fen", "did you mean 'fem'"),
    "reference-solver-that-refuses": swap(f"exact: {{u: {EXACT}}}", "solver: etdrk4", "cannot solve it"),
    "reference-two-kinds": swap("{exact:", "{named: cole-hopf, exact:", "exactly one"),
    "reference-is-singular-everywhere": swap(EXACT, "sqrt(-1 - x**2)"),
    "reference-file-missing": swap(f"exact: {{u: {EXACT}}}", "file: none.h5", "none.h5", "no such file"),
    "export-points-missing": swap("{grid: {x: 9, t: 7}}", "{points: none.csv}", "none.csv", "no such file"),
    "export-twice": swap("{grid: {x: 9, t: 7}}", "{grid: {x: 9}, points: p.csv}", "not both"),
    "data-without-a-solver": swap("solver:", "data: {file: obs.h5}\nsolver:", "data"),
    "generate-without-a-solver": swap("solver:", "generate: {samples: 3}\nsolver:", "generate"),
    "two-options-disagree": swap("name: good", "seed: 1", "seed", line=13, of=GOOD.replace("width: 4", "seed: 2")),
}

CONDITIONS = {
    "no-conditions": swap(
        f"  conditions:\n    - {{on: initial, {INITIAL}}}\n    - {BOUNDARY}\n", "", "conditions", line=2
    ),
    "conditions-empty": swap(
        f"conditions:\n    - {{on: initial, {INITIAL}}}\n    - {BOUNDARY}\n", "conditions: []\n", line=9
    ),
    "two-values-on-one-piece": swap(BOUNDARY, BOUNDARY + "\n    - {on: boundary.left, value: {u: 1}}", "u", line=12),
    "two-initial-values": swap(BOUNDARY, BOUNDARY + "\n    - {on: initial, value: {u: x}}", "u", line=12),
    "rate-without-time": swap("value: {u: 0}", "rate: {u: 0}", "time", of=STEADY),
    "initial-without-time": swap("on: boundary", "on: initial", "time", of=STEADY),
    "final-without-time": swap("on: boundary", "on: final", "time", of=STEADY),
    "two-kinds-of-condition": swap(BOUNDARY, "{on: boundary, value: {u: 0}, flux: {u: 0}}", "exactly one"),
    "neither-kind-of-condition": swap(BOUNDARY, "{on: boundary}", "exactly one"),
    "condition-without-on": swap(BOUNDARY, "{value: {u: 0}}", "on"),
    "value-without-unknown": swap(BOUNDARY, "{on: boundary, value: {}}", "at least one"),
    "value-is-nan": swap(INITIAL, "value: {u: .nan}", ".nan"),
    "value-is-infinite": swap(INITIAL, "value: {u: -.inf}", "-.inf"),
    "value-divides-by-zero": swap(INITIAL, "value: {u: 1/0}", "1/0"),
    "value-is-singular-on-its-piece": swap(INITIAL, "value: {u: sqrt(x - 2)}", "finite"),
    "value-is-singular-in-time": swap(BOUNDARY, "{on: boundary, value: {u: log(-1 - t)}}", "finite"),
    "value-is-a-bool": swap(INITIAL, "value: {u: true}", "true"),
    "value-is-a-mapping": swap(INITIAL, "value: {u: {x: 1}}", "a mapping"),
    "flux-of-the-initial-time": swap(INITIAL, "flux: {u: 0}", "flux"),
    "condition-of-three-things": swap(BOUNDARY, "[1, 2, 3]", "mapping"),
}

PYTHON = {
    "import": equation("u_t = __import__('os').system('touch pwned')", "__import__"),
    "import-in-a-value": swap(INITIAL, "value: {u: \"__import__('os').system('touch pwned')\"}", "__import__"),
    "import-in-a-number": swap("alpha: 0.1", "alpha: \"__import__('os').system('touch pwned')\"", "__import__"),
    "import-in-a-range": swap("x: [0, 1],", "x: [0, \"__import__('os').system('touch pwned')\"],", "__import__"),
    "import-in-where": swap("on: boundary,", "on: {piece: left, where: \"exec('open(1)') < 1\"},", "exec"),
    "import-in-a-reference": swap(EXACT, "\"open('pwned', 'w')\"", "open"),
    "import-in-an-option": swap("steps: 2", "tolerance: \"__import__('os').system('touch pwned')\"", "__import__"),
    "eval": equation("u_t = eval(\"open('pwned', 'w')\")", "eval"),
    "attribute": equation("u_t = u.__class__.__mro__", "__mro__"),
    "attribute-of-a-number": equation("u_t = (1).__class__", "__class__"),
    "subscript": equation("u_t = u[0]", "u[0]"),
    "lambda": equation("u_t = (lambda: 1)()", "lambda"),
    "comprehension": equation("u_t = [u for u in [1]]", "for"),
    "generator": equation("u_t = sum(u for _ in [1])"),
    "f-string": equation("u_t = f'{u}'"),
    "string": equation("u_t = 'text'", "text"),
    "bytes": equation("u_t = b'text'"),
    "walrus": equation("u_t = (v := 3)"),
    "conditional": equation("u_t = 1 if u else 2"),
    "starred": equation("u_t = sin(*[u])"),
    "keyword-argument": equation("u_t = sin(x=u)"),
    "dictionary": equation("u_t = {1: 2}"),
    "set": equation("u_t = {1}"),
    "yield": equation("u_t = (yield u)"),
    "statement": equation("import os", "import os"),
    "two-statements": equation("u_t = u; u = 1"),
    "two-equals": equation("u_t = u = 1", "="),
    "comparison-as-equation": equation("u_t == u_xx", "="),
    "ellipsis": equation("u_t = ..."),
    "none": equation("u_t = None", "None"),
    "bool-in-a-formula": equation("u_t = True", "True"),
    "imaginary-number": equation("u_t = 3j", "3j"),
    "floor-division": equation("u_t = u // 2", "//"),
    "bit-shift": equation("u_t = 1 << 3", "<<"),
    "matrix-product": equation("u_t = u @ u", "@"),
    "null-byte": swap(EQUATION, '"u_t = u\\0"', "u_t"),
    "full-width-letters": equation("u_t = ｅval(u)"),
    "comment-and-newline": swap(EQUATION, '"u_t = u # x\\nimport os"'),
}

RUNAWAY = {
    "tower-of-powers": equation("u_t = 9**9**9", "9**9"),
    "tower-of-towers": equation("u_t = 9**9**9**9**9"),
    "huge-exponent": equation("u_t = x**99999999", "99999999"),
    "huge-power-of-the-unknown": equation("u_t = u**(10**10)"),
    "nested-powers": equation("u_t = ((x**1000)**1000)**1000"),
    "tower-as-a-parameter": swap("alpha: 0.1", "alpha: 9**9**9", "9**9**9"),
    "tower-as-a-coordinate": swap("x: [0, 1],", "x: [0, 10**400],", "10**400"),
    "exp-tower-as-a-number": swap("alpha: 0.1", "alpha: exp(exp(exp(9)))", "exp"),
    "number-of-many-digits": swap("alpha: 0.1", "alpha: 1" + "0" * 5000),
    "digits-in-a-formula": equation("u_t = " + "9" * 5000, "too many digits"),
    "deep-brackets": equation("u_t = " + "(" * 3000 + "u" + ")" * 3000),
    "deep-minuses": equation("u_t = " + "-" * 20000 + "u"),
    "deep-functions": equation("u_t = " + "sin(" * 300 + "u" + ")" * 300),
    "long-formula": equation("u_t = " + "+".join(["u"] * 30000)),
    "expansion": equation("u_t = d(" + "*".join(f"(u + x**{n})" for n in range(2, 60)) + ", x, 8)"),
    "order-of-a-derivative": equation("u_t = d(u, x, 10**9)"),
    "order-by-subscripts": equation("u_t = u_" + "x" * 500),
    "factors-of-the-unknown": swap(
        EQUATION,
        "u_t = u_xx + " + "*".join(f"(u + {k}*u_x + x)" for k in range(1, 200)),
        "derivative grows too large",
        line=2,
    ),
    "maxima": equation(
        "u_t = " + "+".join("max(" + ", ".join(f"sin({k}*x + u^{j})" for k in range(16)) + ")" for j in range(1, 20)),
        "too many arguments",
    ),
    "derivatives-of-products": equation(
        "u_t = " + "+".join(f"d((u + {k})*(u_x + {k})*sin(u*x + {k}), x, 4)" for k in range(200)), "too large"
    ),
    "complex-factors": swap(
        f"unknowns: [u]\n  parameters: {{alpha: 0.1}}\n  equations:\n    - {EQUATION}",
        "unknowns: {u: {complex: true}}\n  parameters: {alpha: 0.1}\n  equations:\n    - i*u_t = "
        + "*".join(f"(u + {k}*u_x + x)" for k in range(1, 30)),
        "too large",
        line=8,
    ),
    "complex-maximum": swap(
        f"unknowns: [u]\n  parameters: {{alpha: 0.1}}\n  equations:\n    - {EQUATION}",
        "unknowns: {u: {complex: true}}\n  parameters: {alpha: 0.1}\n  equations:\n    - i*u_t = max("
        + "*".join(f"(u + sin({k}*x))" for k in range(1, 30))
        + ", 0)",
        "too many terms",
        line=8,
    ),
    "reference-of-another-equation": swap(
        f"    - {EQUATION}",
        "    - u_t = (u + u_x + u_xx + x + t)**300",
        line=12,
        of=GOOD.replace(f"{{exact: {{u: {EXACT}}}}}", "{named: cole-hopf}"),
    ),
    "alias-bomb": whole(
        "a: &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        "alias",
        line=5,
    ),
    "alias-of-itself": whole("a: &a [*a]\n", "a", line=1),
    "deep-yaml-lists": whole("problem: " + "[" * 10000 + "]" * 10000 + "\n", "deep", line=1),
    "deep-yaml-mappings": whole("".join("  " * n + "problem:\n" for n in range(200)), "deep", line=33),
    "too-large": whole("# " + "x" * (2**20 + 10) + "\n" + GOOD, "larger than"),
    "too-many-nodes": whole("problem: [" + "1, " * 60000 + "1]\n", line=1),
}

YAML = {
    "tag-runs-a-program": swap(
        "name: good", "name: !!python/object/apply:os.system ['touch pwned']", "tag", "os.system"
    ),
    "tag-makes-an-object": swap("{alpha: 0.1}", "\n    alpha: !!python/name:os.system", "tag", "os.system", line=7),
    "tag-in-a-condition": swap(INITIAL, "value: !!python/object/new:os.system ['touch pwned']", "tag"),
    "tag-in-flow": swap("alpha: 0.1", "alpha: !!python/name:os.system", "tag"),
    "tag-of-its-own": swap("alpha: 0.1", "alpha: !include other.yaml", "!include"),
    "tag-binary": swap("name: good", "name: !!binary Z29vZA==", "binary"),
    "comma-in-flow": swap(INITIAL, "value: {u: max(x, 0.5)}", "quoted", '"max(x, 0.5)"'),
    "comma-in-flow-where": swap(INITIAL, "value: {u: where(x < 0.5, 1, 0)}", "quoted"),
    "bracket-never-closed": swap(INITIAL, "value: {u: sin(pi*x}", "bracket"),
    "formula-bracket-never-closed": equation("u_t = alpha*(u_xx", "("),
    "formula-bracket-never-opened": equation("u_t = alpha*u_xx)", ")"),
    "formula-ends-early": equation("u_t = alpha*", "alpha*"),
    "formula-is-empty": swap(EQUATION, '""'),
    "flow-never-closed": swap("unknowns: [u]", "unknowns: [u", "line 5 is not closed", line=6),
    "quote-never-closed": swap("name: good", 'name: "good', "quote"),
    "tab-for-indentation": swap("  time: t", "\ttime: t", "tab"),
    "indentation-wrong": swap("  time: t", "   time: t"),
    "colon-in-a-value": swap("time: t", "time: a: b", "quote"),
    "two-documents": swap("solver:", "---\nsolver:", "second document"),
    "merge-key": swap("name: good", "<<: {name: good}", "<<"),
    "not-a-mapping": whole("- a\n- b\n", "mapping", line=1),
    "only-text": whole("Hello there\n", "mapping", line=1),
    "empty": whole("", "empty"),
    "only-a-comment": whole("# nothing\n", "empty"),
    "binary": whole(bytes(range(256)) * 8, "text"),
    "utf-16": whole(GOOD.encode("utf-16"), "UTF-8"),
    "latin-1": whole(GOOD.replace("name: good", "name: gööd").encode("latin-1"), "UTF-8", line=1),
    "truncated": whole(GOOD[: GOOD.index("sin(pi*x)") + 3], line=10),
    "control-character": swap("name: good", "name: go\x07od", "control character"),
    "an-hdf5-file": whole(b"\x89HDF\r\n\x1a\n" + bytes(500), "text"),
}

SPECS: dict[str, Bad] = {**KEYS, **TYPES, **NAMES, **CONDITIONS, **PYTHON, **RUNAWAY, **YAML}
