"""Say where several models agree on the labels of the same cells, and which cells to look at.

The columns are annotations of one store: by default those of cellmemory, cellpatch and omnicell
that it has. Labels are compared by name. --out gets agreement.json, CSVs of pairs, types and cells
(doubtful ones first), and pictures with the confusion of any two. --into writes the map into the
store itself, or into a copy.

example:
  tagscope annotate section.zarr --bundle cellpatch --out annotated.zarr
  tagscope agree annotated.zarr --by cellmemory cellpatch omnicell --out agreement
  tagscope agree annotated.zarr --into annotated.zarr
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tagscope.cli.options import add_out
from tagscope.jobs import JobContext


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("store", type=Path, metavar="STORE")
    parser.add_argument(
        "--by", nargs="+", metavar="COLUMN",
        help="obs columns of labels, each with its _confidence where there is one",
    )  # fmt: skip
    parser.add_argument("--key", default="agreement", help="name of what --into writes")
    parser.add_argument("--table", help="table of the store, where it has several")
    parser.add_argument(
        "--into", type=Path, metavar="STORE", help="the store itself, or a copy, to write into"
    )
    add_out(parser, "folder for JSON, CSV and pictures", required=False)


def run(options: argparse.Namespace, context: JobContext) -> int:
    """Compare, print, and write where asked to."""
    from tagscope import api

    found = api.agree(
        options.store,
        options.by,
        key=options.key,
        table=options.table,
        out=options.out,
        into=options.into,
        overwrite=options.overwrite,
        context=context,
    )
    print(found.to_text())
    for written in (options.out, options.into):
        if written is not None:
            print(f"wrote {written}")
    return 0
