"""Say which reference type each group of a query is nearest to, in the space of one model.

Both are annotated with the same bundle; a reference that is not (dissociated cells, say) is
embedded with --bundle. The question of founder cells: from which healthy type does a group of
altered cells come? OUT holds distances.csv, groups.csv, types.csv and a heat map.

example:
  tagscope distances annotated.zarr --reference reference.h5ad --bundle model \\
    --by tumour_clone --label cell_type --out distances
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tagscope.cli.options import add_config_options, add_out, given_options
from tagscope.jobs import JobContext


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from tagscope.api import DistanceConfig

    parser.add_argument("query", type=Path, metavar="QUERY")
    parser.add_argument("--reference", type=Path, required=True, metavar="REFERENCE")
    parser.add_argument("--by", required=True, metavar="COLUMN", help="the query's groups")
    parser.add_argument("--label", required=True, metavar="COLUMN", help="the reference's types")
    parser.add_argument("--key", default="cellmemory", help="result whose embedding is read")
    parser.add_argument("--embedding", metavar="KEY", help="obsm slot (default: X_KEY)")
    parser.add_argument("--bundle", type=Path, help="embed the reference with this model")
    parser.add_argument("--table", help="table of the query, where it has several")
    add_out(parser, "folder for tables and heat map")
    add_config_options(parser, DistanceConfig)


def run(options: argparse.Namespace, context: JobContext) -> int:
    """Compare, write, and print a line per group."""
    from tagscope import api

    found = api.distances(
        options.query,
        options.reference,
        by=options.by,
        label=options.label,
        key=options.key,
        embedding=options.embedding,
        bundle=options.bundle,
        config=api.DistanceConfig(**given_options(options, api.DistanceConfig)),
        table=options.table,
        out=options.out,
        overwrite=options.overwrite,
        context=context,
    )
    print(found.to_text())
    print(f"wrote {options.out}")
    return 0
