"""Hand an annotated store over: an .h5ad, a CSV, or a figure (.png, .svg or .pdf).

A manifest.json beside the output says how it came to be.

example:
  tagscope export annotated.zarr --to figure --gene Gad1 --out gad1.pdf
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from tagscope.api import ExportConfig, ExportFormat, export
from tagscope.cli.options import (
    add_config_options,
    add_out,
    add_section_options,
    given_options,
    section_choices,
)
from tagscope.jobs import JobContext


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("store", type=Path, metavar="STORE")
    parser.add_argument("--to", choices=get_args(ExportFormat), required=True)
    add_out(parser, "file to write")
    add_config_options(parser, ExportConfig)
    add_section_options(parser)


def run(options: argparse.Namespace, context: JobContext) -> int:  # noqa: ARG001 - all run alike
    """Write the file and its manifest."""
    config = ExportConfig(**given_options(options, ExportConfig))
    out = export(
        options.store,
        options.to,
        options.out,
        config,
        overwrite=options.overwrite,
        **section_choices(options),
    )
    print(f"wrote {out}")
    return 0
