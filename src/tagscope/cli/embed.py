"""Embed every cell of a section, alone or read together with its neighbours.

OUT is a store, or an .h5ad where it ends so; it may be SECTION itself, which is then changed in
place: an interrupted write leaves it as it was. The embedding goes into obsm["X_<key>"].

example:
  tagscope embed section.zarr --bundle omnicell --neighbors 9 --out embedded.zarr
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tagscope.api import EmbedConfig, embed
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
    add_out(parser, "embedded store or .h5ad")
    parser.add_argument(
        "--gene-list", type=Path, metavar="FILE", help="genes to read, one a line, in their order"
    )
    add_config_options(parser, EmbedConfig)
    add_section_options(parser)


def run(options: argparse.Namespace, context: JobContext) -> int:
    """Embed, write, and say what was done."""
    result = embed(
        options.section,
        options.bundle,
        EmbedConfig(**given_options(options, EmbedConfig)),
        gene_list=None if options.gene_list is None else read_names(options.gene_list),
        out=options.out,
        overwrite=options.overwrite,
        context=context,
        **section_choices(options),
    )
    shape, record = " × ".join(f"{n:,}" for n in result.values.shape), result.provenance
    print(f"{shape} numbers over {record.extra['genes']:,} genes, {record.extra['precision']}")
    print(f"wrote {options.out} ({record.seconds:.1f} s, {record.device})")
    return 0
