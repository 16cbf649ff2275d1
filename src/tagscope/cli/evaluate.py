"""Compare predicted labels with true ones.

TRUTH is an obs column, a .csv of cell id and label, or a simulator's truth.json. Cells of types
that the model was never shown are left out of accuracy and macro-F1 and counted apart.

example:
  tagscope evaluate annotated.zarr --prediction cellmemory --truth cell_type --out evaluation
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tagscope.cli.options import add_out
from tagscope.jobs import JobContext


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("store", type=Path, metavar="STORE")
    parser.add_argument("--prediction", required=True, metavar="COLUMN")
    parser.add_argument("--truth", required=True, metavar="COLUMN|FILE")
    parser.add_argument("--table", help="table of the store, where it has several")
    add_out(parser, "folder for JSON, CSV and plot", required=False)


def run(options: argparse.Namespace, context: JobContext) -> int:  # noqa: ARG001 - all run alike
    """Score, print, and write where asked to."""
    from tagscope import api

    report = api.evaluate(
        options.store,
        options.prediction,
        options.truth,
        table=options.table,
        out=options.out,
        overwrite=options.overwrite,
    )
    print(report.to_text())
    if options.out is not None:
        print(f"wrote {options.out}")
    return 0
