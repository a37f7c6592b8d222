"""Errors of other packages are given the file, the line and the full path of the part they speak of."""

from __future__ import annotations

import pytest

from pdeml.errors import ExpressionError, InputError
from pdeml.spec import SpecError, parse_spec

TEXT = """\
problem:
  coordinates: {x: [-1, 1]}
  unknowns: [u, v]
  parameters:
    nu: 0.01
    k:
      learn: 1
  equations: u_xx = v
  conditions:
    - on: boundary
      value:
        u: 0
        v: 1
    - {on: boundary.left,
       flux: {u: 0}}
data: obs.h5
solver:
  kind: pinn
  width: 64
"""

LINES = [
    ((), 1, ""),
    (("problem",), 1, "problem"),
    (("problem", "coordinates", "x"), 2, "problem.coordinates.x"),
    (("problem", "coordinates", "x", "range", 1), 2, "problem.coordinates.x[1]"),
    (("problem", "unknowns", "v", "scale"), 3, "problem.unknowns[1]"),
    (("problem", "parameters", "nu", "value"), 5, "problem.parameters.nu"),
    (("problem", "parameters", "k"), 6, "problem.parameters.k"),
    (("problem", "parameters", "k", "learn"), 7, "problem.parameters.k.learn"),
    (("problem", "parameters", "k", "bounds"), 6, "problem.parameters.k.bounds"),
    (("problem", "equations", 0), 8, "problem.equations"),
    (("problem", "equations", 0, "equation"), 8, "problem.equations"),
    (("problem", "conditions", 0, "value", "v"), 13, "problem.conditions[0].value.v"),
    (("problem", "conditions", 0, "value"), 11, "problem.conditions[0].value"),
    (("problem", "conditions", 1), 14, "problem.conditions[1]"),
    (("problem", "conditions", 1, "flux", "u"), 15, "problem.conditions[1].flux.u"),
    (("problem", "conditions", 9), 9, "problem.conditions"),
    (("data", 0, "file"), 16, "data"),
    (("solver", "width"), 19, "solver.width"),
    (("reference", "file"), 1, "reference.file"),
]


@pytest.mark.parametrize(("path", "line", "shown"), LINES, ids=[str(case[0]) for case in LINES])
def test_a_path_has_a_line(path: tuple[str | int, ...], line: int, shown: str):
    document = parse_spec(TEXT, "a.yaml")
    assert document.locate(path) == line
    with pytest.raises(SpecError) as caught, document.errors(*path[:1]):
        raise ExpressionError("is wrong", path[1:])
    assert str(caught.value) == f"a.yaml:{line}: {shown}: is wrong".replace(": : ", ": ")


def test_a_spec_error_passes_unchanged():
    document = parse_spec(TEXT, "a.yaml")
    inner = document.error("first", ("solver", "width"))
    with pytest.raises(SpecError) as caught, document.errors("problem"), document.errors("data"):
        raise inner
    assert caught.value is inner


def test_other_errors_pass():
    document = parse_spec(TEXT)
    with pytest.raises(ZeroDivisionError), document.errors("problem"):
        raise ZeroDivisionError
    with document.errors("problem"):
        pass


def test_the_cause_is_kept():
    cause = InputError("is wrong", ("kind",))
    with pytest.raises(SpecError) as caught, parse_spec(TEXT).errors("solver"):
        raise cause
    assert caught.value.__cause__ is cause


def test_values_of_an_alias_are_located_where_they_are_written():
    text = TEXT.replace("width: 64", "width: &w\n    - 1\n    - 2\n  depth: *w")
    document = parse_spec(text)
    assert document.locate(("solver", "depth")) == 22
    assert document.locate(("solver", "depth", 1)) == 21


def test_the_document_names_its_file_and_folder():
    document = parse_spec(TEXT, "runs/a.yaml")
    assert document.file == "runs/a.yaml"
    assert document.text == TEXT
    assert document.folder.name == "runs"
