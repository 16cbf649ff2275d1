"""Embed the genes of a section: modules and a map of like genes, and markers.

An OmniCell learns them from the section; a CellPatch's are its tokens, which need no learning.
Writes a folder: embeddings.parquet, modules.csv, map.csv, map.png, provenance.json, and
markers.csv with --label, which is OmniCell's alone.

example:
  tagscope genes section.zarr --bundle omnicell --label cell_type --out genes
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tagscope.api import GeneConfig, gene_embeddings
from tagscope.cli.options import (
    add_config_options,
    add_out,
    add_section_options,
    given_options,
    section_choices,
)
from tagscope.io.names import read_names
from tagscope.jobs import JobContext


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("section", type=Path, metavar="SECTION")
    parser.add_argument("--bundle", type=Path, required=True, help="model")
    add_out(parser, "folder for the tables")
    parser.add_argument("--label", metavar="COLUMN", help="obs column of groups to find markers of")
    parser.add_argument("--top", type=int, default=50, help="genes of a group to look at")
    parser.add_argument(
        "--gene-list", type=Path, metavar="FILE", help="genes to read, one a line, in their order"
    )
    parser.add_argument("--nearest", metavar="GENE", help="print the genes most like this one")
    names = ("n_genes", "threshold", "neighbors", "epochs", "seed", "device", "precision")
    add_config_options(parser, GeneConfig, names)
    add_section_options(parser)


def run(options: argparse.Namespace, context: JobContext) -> int:
    """Embed the genes, write, and say what was found."""
    found = gene_embeddings(
        options.section,
        options.bundle,
        GeneConfig(**given_options(options, GeneConfig)),
        label=options.label,
        gene_list=None if options.gene_list is None else read_names(options.gene_list),
        top=options.top,
        out=options.out,
        overwrite=options.overwrite,
        context=context,
        **section_choices(options),
    )
    print(f"{len(found.panel):,} genes in {found.modules.max() + 1:,} modules")
    if found.markers is not None:
        for group, rows in found.markers.groupby("group", sort=False):
            print(f"  {group}: {', '.join(rows['gene'].head(8))}")
    if options.nearest is not None:
        near = found.nearest(options.nearest).itertuples(index=False)
        print(f"like {options.nearest}: {', '.join(f'{g} ({cosine:.2f})' for g, cosine in near)}")
    print(f"wrote {options.out} ({found.provenance.seconds:.1f} s, {found.provenance.device})")
    return 0
