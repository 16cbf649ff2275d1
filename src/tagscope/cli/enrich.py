"""Find gene sets that are over-represented among the TAGs of a group, slot or patch, offline.

The background are all genes that could have been TAGs: read from TAGS.background.txt, which
`tagscope tags`, `slots` and `patches` write beside their tables, or given by --background.

example:
  tagscope enrich tags.csv --gene-sets go.gmt --out enriched.csv
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tagscope.api import EnrichConfig, enrich
from tagscope.cli.options import add_config_options, add_out, given_options
from tagscope.jobs import JobContext

SHOWN = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("tags", type=Path, metavar="TAGS.csv")
    parser.add_argument("--gene-sets", type=Path, required=True, metavar="SETS.gmt")
    parser.add_argument(
        "--background", type=Path, metavar="STORE|FILE", help="annotated store, or a gene a line"
    )
    parser.add_argument("--key", default="cellmemory", help="result of the store to read")
    parser.add_argument(
        "--orthologues",
        type=Path,
        metavar="CSV",
        help="columns human_symbol and mouse_symbol, to test the other species' sets",
    )
    add_config_options(parser, EnrichConfig)
    add_out(parser, "CSV to write")


def run(options: argparse.Namespace, context: JobContext) -> int:  # noqa: ARG001 - all run alike
    """Test, write, and print the best sets of every group."""
    found = enrich(
        options.tags,
        options.gene_sets,
        EnrichConfig(**given_options(options, EnrichConfig)),
        background=options.background,
        key=options.key,
        orthologues=options.orthologues,
        out=options.out,
        overwrite=options.overwrite,
    )
    print(found.to_text(SHOWN))
    print(f"wrote {options.out}")
    return 0
