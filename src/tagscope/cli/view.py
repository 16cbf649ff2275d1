"""Open napari with the TAGscope panel, and a section if one is given.

example:
  tagscope view annotated.zarr
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tagscope.errors import InputError
from tagscope.jobs import JobContext


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("section", type=Path, nargs="?", metavar="SECTION")
    parser.add_argument("--gene", help="paint this gene's attention")
    parser.add_argument(
        "--screenshot",
        type=Path,
        metavar="FOLDER",
        help="save pictures of the window there and close it",
    )


def run(options: argparse.Namespace, context: JobContext) -> int:  # noqa: ARG001 - all run alike
    """Open the window; returns when it is closed."""
    try:
        from napari_tagscope.app import open_window
    except ImportError as error:
        raise InputError(
            f"napari cannot be imported ({error}).",
            "The window needs napari and a Qt binding.",
            'Run pip install "tagscope[gui]".',
        ) from error
    open_window(options.section, gene=options.gene, screenshots=options.screenshot)
    return 0
