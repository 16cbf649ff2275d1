"""Test whether labels hang on the genes with the most attention.

Genes are hidden from the model, or shown to it alone, the most attended to first; random genes and
the most expressed ones tell what that is worth. Writes the curves to REPORT.csv, and beside it
REPORT.areas.csv and REPORT.png.

example:
  tagscope faithfulness annotated.zarr --bundle cellmemory --out report.csv
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tagscope.api import FaithfulnessConfig, faithfulness
from tagscope.cli.options import add_config_options, add_out, given_options, percentages
from tagscope.jobs import JobContext


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("store", type=Path, metavar="STORE")
    parser.add_argument("--bundle", type=Path, required=True, help="the model that annotated it")
    parser.add_argument("--key", default="cellmemory", help="result to read")
    parser.add_argument("--by", metavar="COLUMN", help="obs column of types (default: the key)")
    parser.add_argument("--table", help="table of the store, where it has several")
    add_out(parser, "CSV to write")
    names = ("cells_per_type", "draws", "seed", "batch_size", "device")
    add_config_options(parser, FaithfulnessConfig, names)
    parser.add_argument(
        "--percent",
        type=percentages,
        default=argparse.SUPPRESS,
        metavar="P,P,…",
        help="percentages of a cell's genes to hide or show (default: 1,2,5,10,20,50)",
    )


def run(options: argparse.Namespace, context: JobContext) -> int:
    """Test, write, and print the areas under the curves."""
    report = faithfulness(
        options.store,
        options.bundle,
        FaithfulnessConfig(**given_options(options, FaithfulnessConfig)),
        key=options.key,
        by=options.by,
        table=options.table,
        out=options.out,
        overwrite=options.overwrite,
        context=context,
    )
    print(report.to_text())
    print(f"wrote {options.out}")
    return 0
