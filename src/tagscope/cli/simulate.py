"""Make a tissue with known truth.

Writes section.zarr (a SpatialData store), reference.h5ad and truth.json into a folder.

example:
  tagscope simulate --out tissue --cells 4000 --seed 1
"""

from __future__ import annotations

import argparse

from tagscope.cli.options import add_out
from tagscope.jobs import JobContext


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_out(parser, "folder to make")
    parser.add_argument("--cells", type=int, default=4000, help="cells of the section")
    parser.add_argument("--seed", type=int, default=0, help="the same seed makes the same tissue")


def run(options: argparse.Namespace, context: JobContext) -> int:
    """Simulate and write."""
    from tagscope import api

    config = api.SimulateConfig(cells=options.cells, seed=options.seed)
    out = api.simulate(options.out, config, overwrite=options.overwrite, context=context)
    print(f"wrote section.zarr, reference.h5ad and truth.json to {out}")
    return 0
