"""Compare predicted labels with true ones.

TRUTH is an obs column, a .csv of cell id and label, or a simulator's truth.json. Cells of types
that the model was never shown are left out of accuracy and macro-F1 and counted apart.

With --batch or --reference it also scores how well the embedding mixes the batches, or query and
reference, and keeps the types apart (scIB: 0.6 biology, 0.4 batch). This needs
pip install "tagscope[metrics]".

example:
  tagscope evaluate annotated.zarr --prediction cellmemory --truth cell_type --out evaluation
  tagscope evaluate annotated.zarr --prediction cellmemory --truth cell_type --batch section
  tagscope evaluate annotated.zarr --prediction cellmemory --truth cell_type \\
    --reference reference.h5ad --bundle model
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tagscope.cli.options import add_config_options, add_out, given_options
from tagscope.jobs import JobContext


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from tagscope.api import IntegrationConfig

    parser.add_argument("store", type=Path, metavar="STORE")
    parser.add_argument("--prediction", required=True, metavar="COLUMN")
    parser.add_argument("--truth", required=True, metavar="COLUMN|FILE")
    parser.add_argument("--table", help="table of the store, where it has several")
    add_out(parser, "folder for JSON, CSV and plots", required=False)
    group = parser.add_argument_group("integration")
    group.add_argument("--batch", metavar="COLUMN", help="obs column of batches to be mixed")
    group.add_argument(
        "--reference", type=Path, metavar="STORE", help="reference annotated with the same bundle"
    )
    group.add_argument(
        "--reference-label", metavar="COLUMN", help="its column of types, if not that of --truth"
    )
    group.add_argument("--bundle", type=Path, help="embed the reference with this model instead")
    group.add_argument("--embedding", metavar="KEY", help="obsm slot (default: X_PREDICTION)")
    add_config_options(parser, IntegrationConfig)


def run(options: argparse.Namespace, context: JobContext) -> int:
    """Score, print, and write where asked to."""
    from tagscope import api

    report = api.evaluate(
        options.store,
        options.prediction,
        options.truth,
        batch=options.batch,
        reference=options.reference,
        reference_label=options.reference_label,
        bundle=options.bundle,
        embedding=options.embedding,
        config=api.IntegrationConfig(**given_options(options, api.IntegrationConfig)),
        table=options.table,
        out=options.out,
        overwrite=options.overwrite,
        context=context,
    )
    print(report.to_text())
    if options.out is not None:
        print(f"wrote {options.out}")
    return 0
