"""Say what the patches of a CellPatch attend to: a program of genes each, by type and by cell.

Writes patches.csv, patch_by_type.csv and patch_programs.csv, the last two with a picture;
z_scores.parquet, the attention of every patch to every gene by type; activity.parquet, how much
each patch reads of every cell. `tagscope enrich` takes patch_programs.csv.

example:
  tagscope patches section.zarr --bundle cellpatch --by cell_type --out patches
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tagscope.api import PatchConfig, patches
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
    add_out(parser, "folder for tables and pictures")
    parser.add_argument(
        "--by", metavar="COLUMN", help="obs column to group by (default: the model's labels)"
    )
    parser.add_argument(
        "--gene-list", type=Path, metavar="FILE", help="genes to read cells over, one a line"
    )
    add_config_options(parser, PatchConfig)
    add_section_options(parser)


def run(options: argparse.Namespace, context: JobContext) -> int:
    """Read, write, and print the patches that tell groups apart best."""
    found = patches(
        options.section,
        options.bundle,
        PatchConfig(**given_options(options, PatchConfig)),
        by=options.by,
        gene_list=None if options.gene_list is None else read_names(options.gene_list),
        out=options.out,
        overwrite=options.overwrite,
        context=context,
        **section_choices(options),
    )
    record = found.provenance
    print(found.to_text())
    print(
        f"{len(found.patches)} patches of network {record.parameters['network']} "
        f"(of {record.extra['networks']}) over {len(found.panel):,} genes"
    )
    print(f"wrote {options.out} ({record.seconds:.1f} s, {record.device})")
    return 0
