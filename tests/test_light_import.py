"""What costs seconds to load is loaded only by what needs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import pdeml

HEAVY = {"numpy", "sympy", "pydantic", "scipy", "h5py", "matplotlib", "torch", "ruamel", "neuralop", "triton", "rich"}


def loaded_after(code: str, folder: Path) -> set[str]:
    """Run ``code`` in a fresh interpreter; return the top-level modules it has loaded at its end."""
    program = (
        "import json, sys\n"
        f"{code}\n"
        "print(); print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return set(json.loads(result.stdout.splitlines()[-1]))


def loaded_after_command(arguments: list[str], folder: Path) -> set[str]:
    """Run ``pdeml ARGUMENTS`` in a fresh interpreter and expect success; return the modules it has loaded."""
    return loaded_after(
        f"sys.argv = {['pdeml', *arguments]!r}\n"
        "from pdeml.cli import main\n"
        "try:\n"
        "    code = main()\n"
        "except SystemExit as stop:\n"
        "    code = stop.code\n"
        "assert not code, code",
        folder,
    )


def test_import_alone_loads_no_library(tmp_path: Path):
    modules = loaded_after("import pdeml; assert pdeml.__version__; dir(pdeml)", tmp_path)
    assert modules & HEAVY == set()


@pytest.mark.parametrize("package", ["expr", "field", "files", "geometry", "problem", "spec"])
def test_description_does_not_load_torch(package: str, tmp_path: Path):
    assert "torch" not in loaded_after(f"import pdeml.{package}", tmp_path)


@pytest.mark.parametrize("arguments", [["--help"], ["init", "first"], ["problems"]], ids=" ".join)
def test_command_does_not_load_torch(arguments: list[str], tmp_path: Path):
    assert "torch" not in loaded_after_command(arguments, tmp_path)


def write_field_file(path: Path) -> None:
    """Write a small field file as interface-compatible programs do, with nothing of pdeml."""
    with h5py.File(path, "w") as file:
        file.attrs["Conventions"] = "CF-1.11"
        file.attrs["pdeml_format"] = "field/1"
        file["x"] = np.linspace(0.0, 1.0, 5)
        file["x"].make_scale("x")
        file["x"].attrs["units"] = "1"
        file["u"] = np.zeros(5)
        file["u"].dims[0].attach_scale(file["x"])
        file["u"].attrs["units"] = "1"


def test_inspect_does_not_load_torch(tmp_path: Path):
    write_field_file(tmp_path / "fields.h5")
    assert "torch" not in loaded_after_command(["inspect", "fields.h5"], tmp_path)


@pytest.mark.parametrize("name", pdeml.__all__)
def test_public_name_is_there(name: str):
    assert getattr(pdeml, name) is not None
    assert name in dir(pdeml)


def test_only_public_names_are_shown():
    assert dir(pdeml) == sorted(pdeml.__all__)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Sover'"):
        _ = pdeml.Sover
