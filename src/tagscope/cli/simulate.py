"""Make a tissue with known truth.

Writes section.zarr (a SpatialData store), reference.h5ad and truth.json into a folder.

example:
  tagscope simulate --out tissue --cells 4000 --seed 1
"""

from __future__ import annotations

import argparse

from tagscope.api import SimulateConfig, simulate
from tagscope.cli.options import add_config_options, add_out, given_options
from tagscope.jobs import JobContext


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_out(parser, "folder to make")
    add_config_options(parser, SimulateConfig)


def run(options: argparse.Namespace, context: JobContext) -> int:
    """Simulate and write."""
    config = SimulateConfig(**given_options(options, SimulateConfig))
    out = simulate(options.out, config, overwrite=options.overwrite, context=context)
    print(f"wrote section.zarr, reference.h5ad and truth.json to {out}")
    return 0
