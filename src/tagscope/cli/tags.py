"""List the top attention genes (TAGs) of every group of an annotated store.

example:
  tagscope tags annotated.zarr --top 50 --out tags.csv
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tagscope.cli.options import add_out
from tagscope.jobs import JobContext

SHOWN = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("store", type=Path, metavar="STORE")
    parser.add_argument("--key", default="cellmemory", help="result to read")
    parser.add_argument("--by", metavar="COLUMN", help="obs column to group by (default: the key)")
    slots = parser.add_mutually_exclusive_group()
    slots.add_argument("--slot", type=int, metavar="K", help="rank by one memory slot's scores")
    slots.add_argument("--slots", action="store_true", help="rank within every memory slot")
    parser.add_argument("--top", type=int, default=50, help="genes per group")
    parser.add_argument("--table", help="table of the store, where it has several")
    add_out(parser, "CSV to write")


def run(options: argparse.Namespace, context: JobContext) -> int:  # noqa: ARG001 - all run alike
    """Rank, write, and print the first genes of every group."""
    from tagscope import api

    found = api.tags(
        options.store,
        key=options.key,
        by=options.by,
        slot=options.slot,
        slots=options.slots,
        top=options.top,
        table=options.table,
        out=options.out,
        overwrite=options.overwrite,
    )
    print(found.to_text(SHOWN))
    print(f"wrote {options.out}")
    return 0
