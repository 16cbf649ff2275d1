"""List the top attention genes (TAGs) of every group of an annotated store.

Beside TAGS.csv it writes TAGS.groups.csv, how far attention follows expression in each group, and
TAGS.background.txt, all genes that could have been listed, which `tagscope enrich` reads.

example:
  tagscope tags annotated.zarr --top 50 --out tags.csv --heatmap tags.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tagscope.cli.options import add_out, picture
from tagscope.jobs import JobContext

SHOWN = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("store", type=Path, metavar="STORE")
    parser.add_argument("--key", default="cellmemory", help="result to read")
    groups = parser.add_mutually_exclusive_group()
    groups.add_argument("--by", metavar="COLUMN", help="obs column to group by (default: the key)")
    groups.add_argument(
        "--cells",
        type=Path,
        metavar="FILE",
        help="set these cells, one id a line, against the rest",
    )
    slots = parser.add_mutually_exclusive_group()
    slots.add_argument("--slot", type=int, metavar="K", help="rank by one memory slot's scores")
    slots.add_argument("--slots", action="store_true", help="rank within every memory slot")
    parser.add_argument("--top", type=int, default=50, help="genes per group")
    parser.add_argument("--table", help="table of the store, where it has several")
    add_out(parser, "CSV to write")
    parser.add_argument("--heatmap", type=picture, metavar="FILE", help="also draw a heatmap")
    parser.add_argument("--heatmap-top", type=int, default=5, help="genes per group in the heatmap")
    parser.add_argument(
        "--scaled", action="store_true", help="divide each gene of the heatmap by its highest mean"
    )


def run(options: argparse.Namespace, context: JobContext) -> int:  # noqa: ARG001 - all run alike
    """Rank, write, and print the first genes of every group."""
    from tagscope import api

    found = api.tags(
        options.store,
        key=options.key,
        by=options.by,
        selection=options.cells,
        slot=options.slot,
        slots=options.slots,
        top=options.top,
        table=options.table,
        out=options.out,
        overwrite=options.overwrite,
    )
    print(found.to_text(SHOWN))
    print(f"wrote {options.out}")
    if options.heatmap is not None:
        found.write_heatmap(
            options.heatmap,
            top=options.heatmap_top,
            scaled=options.scaled,
            overwrite=options.overwrite,
        )
        print(f"wrote {options.heatmap}")
    return 0
