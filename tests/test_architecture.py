"""The map of the packages, and the habits that keep them readable and safe, hold for every file."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHIPPED = [ROOT / "pdeml", ROOT / "kernels" / "pdeml_kernels", ROOT / "datasets" / "pdeml_datasets"]
SOURCES = sorted(path for folder in SHIPPED for path in folder.rglob("*.py"))
OTHERS = sorted(p for name in ("tests", "scripts", "benchmarks", "tutorials") for p in (ROOT / name).rglob("*.py"))
LINES = 400
# Each runs code that is hidden in data or in text.
FORBIDDEN_CALLS = {"eval", "exec", "__import__", "lambdify", "parse_expr"}
FORBIDDEN_IMPORTS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports_of(tree: ast.AST) -> set[str]:
    """Return the top-level packages that the module names in its imports."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def violations(source: str) -> list[str]:
    """List what runs code hidden in data: forbidden calls and imports, and tensors loaded by unpickling."""
    tree = ast.parse(source)
    found = [f"import {name}" for name in sorted(imports_of(tree) & FORBIDDEN_IMPORTS)]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Name(id=name) if name in FORBIDDEN_CALLS:
                found.append(f"line {node.lineno}: {name}(")
            case ast.Attribute(attr="lambdify" | "parse_expr" as name):
                found.append(f"line {node.lineno}: .{name}(")
            case ast.Attribute(value=ast.Name(id="sympy" | "sp"), attr="sympify" | "S"):
                if not node.args or not isinstance(node.args[0], ast.Constant) or isinstance(node.args[0].value, str):
                    strict = any(k.arg == "strict" and ast.unparse(k.value) == "True" for k in node.keywords)
                    found.extend([] if strict else [f"line {node.lineno}: sympify without strict=True"])
            case ast.Attribute(value=ast.Name(id="torch"), attr="load"):
                safe = any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in node.keywords)
                found.extend([] if safe else [f"line {node.lineno}: torch.load without weights_only=True"])
            case ast.Attribute(value=ast.Name(id="np" | "numpy"), attr="load"):
                if any(k.arg == "allow_pickle" and ast.unparse(k.value) != "False" for k in node.keywords):
                    found.append(f"line {node.lineno}: numpy.load with allow_pickle")
    return found


def test_packages_import_only_what_stands_below_them():
    result = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", SOURCES + OTHERS, ids=name_of)
def test_file_is_short_enough_to_read(path: Path):
    count = len(path.read_text(encoding="utf-8").splitlines())
    assert count <= LINES, f"{name_of(path)} has {count} lines; split it by role into files of at most {LINES}"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_no_source_runs_code_from_data(path: Path):
    assert violations(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "bad",
    [
        "eval('1')",
        "exec(text)",
        "import pickle",
        "from pickle import loads",
        "import torch\ntorch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "sympy.sympify(text)",
        "sympy.lambdify(x, e)",
        "parse_expr(text)",
    ],
)
def test_the_check_sees_code_run_from_data(bad: str):
    assert violations(bad)


@pytest.mark.parametrize(
    "good",
    ["model.eval()", "re.compile(p)", "torch.load(p, weights_only=True)", "np.load(p)", "sympy.sympify(1)"],
)
def test_the_check_lets_harmless_calls_pass(good: str):
    assert violations(good) == []


@pytest.mark.parametrize("folder", ["kernels", "datasets"])
def test_folders_around_packages_are_no_packages(folder: str):
    """With an ``__init__.py`` they would shadow libraries of the same name."""
    assert not (ROOT / folder / "__init__.py").exists()
