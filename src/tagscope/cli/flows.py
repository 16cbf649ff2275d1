"""Count the cells that go from label to label, as a Sankey diagram takes them.

The columns are levels of a prediction, coarse to fine, or a true and a predicted column.

example:
  tagscope flows annotated.zarr --by cellmemory_class cellmemory --out flows.csv
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tagscope.cli.options import add_out
from tagscope.jobs import JobContext


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("store", type=Path, metavar="STORE")
    parser.add_argument("--by", nargs="+", required=True, metavar="COLUMN", help="obs columns")
    parser.add_argument("--table", help="table of the store, where it has several")
    add_out(parser, "CSV to write")


def run(options: argparse.Namespace, context: JobContext) -> int:  # noqa: ARG001 - all run alike
    """Count, write, and print the largest flows."""
    from tagscope import api

    found = api.flows(
        options.store,
        options.by,
        table=options.table,
        out=options.out,
        overwrite=options.overwrite,
    )
    print(found.head(20).to_string(index=False))
    print(f"wrote {options.out}")
    return 0
