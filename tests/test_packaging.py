"""The wheel works away from the repository; pins and lower bounds agree with pyproject.toml."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterable
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import pdeml
import pdeml_datasets
import pdeml_kernels

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
INSTALLED = [Requirement(text) for text in [*PROJECT["dependencies"], *EXTRAS["dev"]]]
# Their oldest builds would bring gigabytes of CUDA libraries: `make test-lowest` keeps the pinned ones.
KEPT_IN_LOWEST = {"torch", "triton"}


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program outside the repository's settings; return what it printed and its exit status."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def pins_of(name: str) -> dict[str, Version]:
    """Read ``NAME==VERSION`` lines; anything else but a comment is an error."""
    pins = {}
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            match = re.fullmatch(r"([A-Za-z0-9._-]+)==(\S+)", line)
            assert match, f"{name}: {line!r} is not NAME==VERSION"
            pins[canonicalize_name(match[1])] = Version(match[2])
    return pins


def lower_bound(requirement: Requirement) -> Version:
    """Return the version after ``>=``; every requirement has exactly one."""
    bounds = [Version(s.version) for s in requirement.specifier if s.operator == ">="]
    assert len(bounds) == 1, f"{requirement} needs one lower bound"
    return bounds[0]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    result = run(sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", folder, ROOT, cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds the wheel alone and borrows the dependencies; returns its bin folder."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False, symlinks=True)
    binaries = folder / "bin"
    pip = [sys.executable, "-m", "pip", "--python", binaries / "python"]
    result = run(*pip, "install", "--no-deps", "--no-index", "--quiet", wheel, cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    (site,) = folder.glob("lib/python*/site-packages")
    # Folders named in a .pth file are searched, but their own .pth files (the editable install) are not read.
    paths = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (site / "borrowed.pth").write_text("\n".join(paths), encoding="utf-8")
    return binaries


def shipped_files() -> Iterable[str]:
    """Names, inside the wheel, of what every package folder holds."""
    for parent, package in [("", "pdeml"), ("kernels", "pdeml_kernels"), ("datasets", "pdeml_datasets")]:
        base = ROOT / parent
        for path in (base / package).rglob("*"):
            if path.is_file() and path.suffix in {".py", ".yaml", ".md", ".png"}:
                yield path.relative_to(base).as_posix()


def test_wheel_holds_the_three_packages_and_nothing_else(wheel: Path):
    names = zipfile.ZipFile(wheel).namelist()
    info = f"pdeml-{pdeml.__version__}.dist-info"
    assert {name.split("/")[0] for name in names} == {"pdeml", "pdeml_kernels", "pdeml_datasets", info}
    assert not [name for name in names if "__pycache__" in name]
    assert f"{info}/licenses/LICENSE" in names


def test_wheel_holds_every_source_and_every_library_spec(wheel: Path):
    missing = set(shipped_files()) - set(zipfile.ZipFile(wheel).namelist())
    assert missing == set()


def test_wheel_says_what_pyproject_says(wheel: Path):
    name = f"pdeml-{pdeml.__version__}.dist-info/METADATA"
    metadata = Parser().parsestr(zipfile.ZipFile(wheel).read(name).decode())
    assert metadata["Version"] == pdeml.__version__
    assert metadata["Requires-Python"] == PROJECT["requires-python"]
    assert metadata["License-Expression"] == "MIT"


def test_installed_wheel_lists_its_problems_and_recipes_from_another_folder(bare: Path, tmp_path: Path):
    result = run(bare / "pdeml", "problems", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    for spec in (ROOT / "pdeml" / "problem" / "library").glob("*.yaml"):
        assert spec.stem in result.stdout
    listed = {line.split()[0] for line in result.stdout.splitlines()}
    assert set(pdeml_datasets.recipes()) <= listed


def test_installed_packages_come_from_the_wheel(bare: Path, tmp_path: Path):
    code = "import pdeml, pdeml_kernels, pdeml_datasets as d; print(pdeml.__file__, pdeml_kernels.__file__, d.__file__)"
    result = run(bare / "python", "-c", code, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert all(Path(path).is_relative_to(bare.parent) for path in result.stdout.split())


@pytest.mark.parametrize("name", ["datasets", "kernels", "tests", "scripts", "benchmarks"])
@pytest.mark.parametrize("environment", ["wheel", "editable"])
def test_folders_of_the_repository_are_not_importable(name: str, environment: str, bare: Path, tmp_path: Path):
    python = bare / "python" if environment == "wheel" else sys.executable
    result = run(python, "-c", f"import {name}", cwd=tmp_path)
    assert result.returncode == 1
    assert f"No module named '{name}'" in result.stderr


def test_constraints_pin_every_requirement_within_its_bounds():
    pins = pins_of("constraints.txt")
    for requirement in INSTALLED:
        name = canonicalize_name(requirement.name)
        assert name in pins, f"constraints.txt does not pin {name}"
        assert requirement.specifier.contains(pins[name]), f"constraints.txt pins {name}=={pins[name]}: {requirement}"


def test_build_requirements_are_those_of_the_developers():
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    assert set(build) <= set(EXTRAS["dev"])


def test_development_includes_what_the_xarray_extra_needs():
    assert set(EXTRAS["xarray"]) <= set(EXTRAS["dev"])


def test_lowest_constraints_are_the_lower_bounds():
    pinned = pins_of("constraints.txt")
    expected = {}
    for requirement in INSTALLED:
        name = canonicalize_name(requirement.name)
        expected[name] = pinned[name] if name in KEPT_IN_LOWEST else lower_bound(requirement)
    assert pins_of("constraints-lowest.txt") == expected


def test_kernels_say_what_can_run(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    compiled = pdeml_kernels.available()
    assert compiled in {("torch",), ("triton", "torch")}
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert set(pdeml_kernels.available()) <= {"interpreter", "torch"}


def test_kernels_import_without_triton(tmp_path: Path):
    hidden = "import sys; sys.modules['triton'] = None"  # importing it now fails, as where it is not installed
    code = f"{hidden}; import pdeml_kernels; print(*pdeml_kernels.available())"
    result = run(sys.executable, "-c", code, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["torch"]


def test_every_recipe_has_its_card():
    for name, path in pdeml_datasets.recipes().items():
        assert path.parent.name == name
        assert (path.parent / "README.md").is_file()
