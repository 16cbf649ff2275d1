"""Make a tissue with known truth.

Writes section.zarr (a SpatialData store), reference.h5ad and truth.json into a folder. With
--layout the section is a folder as that vendor's machine leaves it, called section.

example:
  tagscope simulate --out tissue --cells 4000 --seed 1
  tagscope simulate --out tissue --layout xenium
"""

from __future__ import annotations

import argparse
from typing import get_args

from tagscope.api import Layout, SimulateConfig, simulate
from tagscope.cli.options import add_config_options, add_out, given_options
from tagscope.jobs import JobContext


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_out(parser, "folder to make")
    parser.add_argument(
        "--layout",
        choices=get_args(Layout),
        default="spatialdata",
        help="how the section lies on disk (default: spatialdata)",
    )
    add_config_options(parser, SimulateConfig)


def run(options: argparse.Namespace, context: JobContext) -> int:
    """Simulate and write."""
    config = SimulateConfig(**given_options(options, SimulateConfig))
    out = simulate(
        options.out, config, layout=options.layout, overwrite=options.overwrite, context=context
    )
    section = "section.zarr" if options.layout == "spatialdata" else "section"
    print(f"wrote {section}, reference.h5ad and truth.json to {out}")
    return 0
