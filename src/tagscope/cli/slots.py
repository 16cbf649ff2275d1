"""Say what the memory slots hold: their share of each group's genes, and each slot's top genes.

Writes slot_by_group.csv and slot_programs.csv, each with a picture.

example:
  tagscope slots annotated.zarr --out slots
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
    parser.add_argument("--top", type=int, default=50, help="genes per slot")
    parser.add_argument("--table", help="table of the store, where it has several")
    add_out(parser, "folder for CSV and pictures")


def run(options: argparse.Namespace, context: JobContext) -> int:  # noqa: ARG001 - all run alike
    """Summarise, write, and print the first genes of every slot."""
    from tagscope import api

    found = api.slots(
        options.store,
        key=options.key,
        by=options.by,
        top=options.top,
        table=options.table,
        out=options.out,
        overwrite=options.overwrite,
    )
    print(found.to_text(SHOWN))
    print(f"wrote {options.out}")
    return 0
