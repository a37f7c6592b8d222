"""What differs between two specs is named by its key, with both values."""

from __future__ import annotations

import pytest

from pdeml.run.changes import spec_changes
from pdeml.spec import apply_overrides, dump_spec, parse_spec

SPEC = """\
problem:
  coordinates: {x: [0, 1]}
  unknowns: [u]
  parameters: {k: 2}
  equations:
    - u_xx = k
  conditions:
    - {on: boundary.left, value: {u: 0}}
    - {on: boundary.right, value: {u: 1}}
generate: {samples: 3}
"""


@pytest.mark.parametrize(
    ("change", "key", "old", "new"),
    [
        ("seed=5", "seed", "0", "5"),
        ("generate.samples=5", "generate.samples", "3", "5"),
        ("problem.parameters.k=3", "problem.parameters.k", "2", "3"),
        ("problem.conditions[1].value.u=7", "problem.conditions[1].value.u", "1", "7"),
        ("generate.gzip=4", "generate.gzip", "not given", "4"),
        ("problem.equations=[u_xx = 1, u_x = k]", "problem.equations", "['u_xx = k']", "['u_xx = 1', 'u_x = k']"),
    ],
)
def test_a_change_is_named_and_nothing_else(change: str, key: str, old: str, new: str):
    changed = dump_spec(apply_overrides(parse_spec(SPEC), [change]).spec)
    assert spec_changes(SPEC, changed) == {key: (old, new)}
    assert spec_changes(changed, SPEC) == {key: (new, old)}


def test_another_way_of_writing_is_no_change():
    assert spec_changes(SPEC, "seed: 0\n" + dump_spec(parse_spec(SPEC).spec)) == {}


def test_what_cannot_be_read_is_said():
    assert list(spec_changes("problem: [", SPEC)) == ["spec"]
