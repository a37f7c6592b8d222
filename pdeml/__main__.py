"""Run the command line as ``python -m pdeml``."""

from __future__ import annotations

import sys

from pdeml.cli import main

if __name__ == "__main__":
    sys.exit(main())
