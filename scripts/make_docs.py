"""Write the pages of the public interface, from docstrings, as HTML: ``python scripts/make_docs.py docs/api``."""

from __future__ import annotations

import argparse
import pkgutil
import shutil
from pathlib import Path

import pdoc

import pdeml

PACKAGES = ("pdeml", "pdeml_kernels", "pdeml_datasets")


def modules() -> list[str]:
    """List what gets a page: the packages, and each part of pdeml with the names that it makes public."""
    parts = [f"pdeml.{part.name}" for part in pkgutil.iter_modules(pdeml.__path__) if part.name != "__main__"]
    return [*PACKAGES, *parts]


def main() -> None:
    """Replace the folder given on the command line by freshly written pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where to write; replaced when it holds pages already")
    folder: Path = parser.parse_args().folder
    if (folder / "index.html").exists():
        shutil.rmtree(folder)
    pdoc.render.configure(docformat="google", footer_text="pdeml")
    pdoc.pdoc(*modules(), output_directory=folder)
    print(f"{len(list(folder.rglob('*.html')))} pages in {folder}: open {folder / 'index.html'}")


if __name__ == "__main__":
    main()
