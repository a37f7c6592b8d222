"""A small spec, as text and as a document."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pdeml.spec import Document, apply_overrides, load_spec

SPEC = """\
name: small
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
reference:
  exact: {u: exp(-alpha*pi**2*t)*sin(pi*x)}
solver: {kind: pinn, width: 4, depth: 1, points: 32, steps: 8, resample: 3}
export:
  grid: {x: 9, t: 7}
"""


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take most of the time of a small run; the tests of the command line look at them."""
    from pdeml.run import training

    monkeypatch.setattr(training, "draw_field", lambda field, path: None)
    monkeypatch.setattr(training, "draw_history", lambda metrics, path, residuals: None)
    monkeypatch.setattr(training, "draw_operator", lambda solution, folder: [])


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Document]:
    """Read ``small.yaml`` with overrides, in the test's own folder."""
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(SPEC)

    def document(*overrides: str, file: str = "small.yaml") -> Document:
        return apply_overrides(load_spec(file), overrides)

    return document
