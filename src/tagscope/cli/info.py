"""Say what a bundle, a store or an .h5ad holds, as JSON.

example:
  tagscope info cellmemory
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tagscope.jobs import JobContext


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("path", type=Path, metavar="PATH")


def run(options: argparse.Namespace, context: JobContext) -> int:  # noqa: ARG001 - all run alike
    """Read and print."""
    from tagscope import api

    print(json.dumps(api.info(options.path), indent=2, default=str))
    return 0
