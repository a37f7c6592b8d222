"""The command line: arguments, progress, exit codes; no logic."""

from pdeml.cli.main import main

__all__ = ["main"]
