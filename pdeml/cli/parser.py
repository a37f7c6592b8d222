"""The arguments of every command."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from pdeml import __version__
from pdeml.errors import InputError, did_you_mean, one_of

__all__ = ["COMMANDS", "parse"]

COMMANDS = {
    "init": "write a commented starter spec",
    "validate": "check a spec; print what would be solved",
    "train": "solve a spec -> runs/NAME/",
    "predict": "evaluate a run elsewhere -> HDF5",
    "evaluate": "errors of a run against its reference, or against a field file",
    "plot": "pictures of a run, of a field file, or of a spec's geometry",
    "generate": "make a data set with a reference solver -> NAME.h5",
    "inspect": "what is in a run, a data set (of ours or another's) or a field file",
    "convert": "a data set of any known format -> pdeml HDF5, or a file of The Well; an operator -> torch.export",
    "problems": "the shipped problem library and recipes, one line each",
    "schema": "the JSON Schema of a spec, for editors",
}

_SPEC = "a spec file, or the name of a shipped problem (see `pdeml problems`)"
_RECIPE = "a spec file with 'generate', or the name of a shipped recipe (see `pdeml problems`)"


class _Parser(argparse.ArgumentParser):
    """Raises what argparse would print and exit with."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{self.prog}: {message}; see `{self.prog} --help`")


def parse(argv: list[str]) -> argparse.Namespace | None:
    """Read the arguments; None if there is no command (the help has been printed then).

    Raises:
        InputError: an unknown command or option, with the nearest; something missing.
        SystemExit: after ``--help`` and ``--version``.
    """
    parser, parsers = _parser()
    first = next((word for word in argv if not word.startswith("-")), None)
    if first is not None and first not in COMMANDS:
        raise InputError("pdeml: " + one_of(first, COMMANDS, "a command"))
    arguments, rest = parser.parse_known_args(argv)
    if rest:
        known = parsers[arguments.command] if arguments.command else parser
        raise InputError(f"{known.prog}: {_unknown(rest[0], known)}; see `{known.prog} --help`")
    if arguments.command is None:
        parser.print_help(sys.stderr)
        return None
    return arguments


def _unknown(word: str, parser: argparse.ArgumentParser) -> str:
    if not word.startswith("-"):
        return f"{word!r} is one argument too many"
    options = [text for action in parser._actions for text in action.option_strings]
    name = word.partition("=")[0]
    return f"there is no option {name!r}{did_you_mean(name, options)}"


def _parser() -> tuple[_Parser, dict[str, argparse.ArgumentParser]]:
    parser = _Parser("pdeml", description="Write a PDE once, solve it, look at it.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"pdeml {__version__}")
    found = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    parsers = {
        name: found.add_parser(name, help=text, description=text, allow_abbrev=False) for name, text in COMMANDS.items()
    }
    for name, command in parsers.items():
        _ARGUMENTS.get(name, _nothing)(command)
    return parser, parsers


def _nothing(parser: argparse.ArgumentParser) -> None:
    """A command without arguments."""


def _init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="letters, digits, - and _; NAME.yaml is written here")


def _validate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", metavar="SPEC", help=_SPEC)
    _set(parser)


def _train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", metavar="SPEC", help=_SPEC)
    parser.add_argument("--out", metavar="DIR", help="folder of the run (default: runs/NAME)")
    _set(parser)
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--resume", action="store_true", help="go on from the checkpoint that is there")
    either.add_argument("--overwrite", action="store_true", help="replace the run that is there")
    parser.add_argument("--device", metavar="auto|cpu|cuda", help="where to compute")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def _predict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="folder of a run")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--grid", metavar="x=512,t=201", help="points along each coordinate")
    where.add_argument("--points", metavar="FILE", help="a CSV file whose header names the coordinates")
    text = "a field file, at whose points it is evaluated; of an operator a data set of its inputs, of any size"
    parser.add_argument("--data", metavar="FILE", help=text)
    parser.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], help="value of a parameter that has a range"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="the HDF5 file (default: RUN/prediction.h5)")
    _names(parser)


def _evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="folder of a run")
    parser.add_argument("--data", metavar="FILE", help="a field file to compare with; of an operator a data set")
    parser.add_argument("--json", action="store_true", help="print JSON")
    _names(parser)


def _plot(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="RUN|FILE|SPEC", help="folder of a run, a field file, or a spec")
    parser.add_argument("--animate", action="store_true", help="a moving picture over time: .gif, or .mp4 with ffmpeg")
    parser.add_argument("-o", "--output", metavar="FILE", help="the picture (default: beside what it shows)")


def _generate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help=_RECIPE)
    parser.add_argument("-o", "--output", metavar="FILE", help="the HDF5 file (default: NAME.h5)")
    parser.add_argument(
        "--samples", metavar="N", help="in place of those of the recipe; its split keeps its proportions"
    )
    parser.add_argument("--workers", metavar="K", help="processes (default: one a core)")
    parser.add_argument("--executor", metavar="processes|dask|serial", help="who makes the samples")
    _set(parser)
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--resume", action="store_true", help="continue the unfinished data set that is there")
    either.add_argument("--overwrite", action="store_true", help="replace the data set that is there")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def _inspect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help="folder of a run, a data set, a field file, a checkpoint")
    text = "of a data set: read all samples; verify checksums, statistics, and that values are finite"
    parser.add_argument("--check", action="store_true", help=text)
    _names(parser)


def _convert(parser: argparse.ArgumentParser) -> None:
    text = "a data set of any known format: a file or a folder; for OUT.pt2 the run of an operator"
    parser.add_argument("path", metavar="IN", help=text)
    parser.add_argument("out", metavar="OUT", help="the HDF5 file to write; .pt2: a program of torch.export")
    _names(parser)
    parser.add_argument("--to", metavar="pdeml|well", default="pdeml", help="format to write (default: pdeml)")
    parser.add_argument("--gzip", metavar="LEVEL", default="0", help="compress: 1 (fast) to 9 (small); default: 0")
    parser.add_argument("--allow-nan", action="store_true", help="write NaN as they are; otherwise they are refused")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def _names(parser: argparse.ArgumentParser) -> None:
    text = "%s, OURS=THEIRS; where either is given, nothing else but parameters is taken"
    parser.add_argument("--inputs", metavar="a=x", action="append", default=[], help=text % "arrays that are inputs")
    parser.add_argument("--outputs", metavar="u=y", action="append", default=[], help=text % "arrays that are outputs")
    parser.add_argument(
        "--coordinates",
        metavar="x=0:1,y=0:1",
        action="append",
        default=[],
        help="ranges of coordinates, both ends included, or their names in the file; sample=first|last|none says where "
        "the samples are if the format does not",
    )


def _set(parser: argparse.ArgumentParser) -> None:
    text = "change the spec, such as solver.width=64; may be repeated"
    parser.add_argument("--set", metavar="PATH=VALUE", action="append", default=[], help=text)


_ARGUMENTS = {
    "init": _init,
    "validate": _validate,
    "train": _train,
    "predict": _predict,
    "evaluate": _evaluate,
    "plot": _plot,
    "generate": _generate,
    "inspect": _inspect,
    "convert": _convert,
}
