"""Runs `pdeml` in a process of its own for each line of JSON on its input: tells the process id, then the exit code.

The libraries are loaded once, and each run is a fork: only so can a test afford to kill many of them.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from typing import Any

import matplotlib.backends.backend_agg

import pdeml.cli.commands
import pdeml.plot
import pdeml.run.training
from pdeml.cli import main

__all__ = ["matplotlib"]


def run(request: dict[str, Any]) -> int:
    """Run the command line with its output in a file, checkpoints every few milliseconds, and files limited in size."""
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(request["folder"])
    pdeml.run.training._CHECKPOINT_SECONDS = request["every"]
    if request["most_bytes"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["most_bytes"],) * 2)
    return main(request["arguments"])


def serve() -> None:
    """Answer every line of the input with two lines: the child's process id, and its exit code when it has ended."""
    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(run(json.loads(line)))
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
