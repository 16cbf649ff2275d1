"""Tell what the spots of a section are made of, by a labelled reference.

OUT is a store, or an .h5ad where it ends so. The shares go into obsm["<key>_proportions"], whose
columns uns["tagscope"] names.

example:
  tagscope deconvolve visium.zarr --reference atlas.h5ad --label cell_type --bundle omnicell \\
    --out deconvolved.zarr
  tagscope deconvolve visium.zarr --reference atlas.h5ad --method nnls --key nnls --out nnls.zarr
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tagscope.api import DeconvolveConfig, deconvolve
from tagscope.cli.options import (
    add_config_options,
    add_out,
    add_section_options,
    given_options,
    section_choices,
)
from tagscope.jobs import JobContext


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("section", type=Path, metavar="SECTION")
    parser.add_argument("--reference", type=Path, required=True, help="labelled cells")
    parser.add_argument("--label", metavar="COLUMN", default="cell_type", help="its obs column")
    parser.add_argument("--bundle", type=Path, help="model, for the method embedding")
    add_out(parser, "store or .h5ad")
    add_config_options(parser, DeconvolveConfig)
    add_section_options(parser)


def run(options: argparse.Namespace, context: JobContext) -> int:
    """Deconvolve, write, and print the mean share of every type."""
    result = deconvolve(
        options.section,
        options.reference,
        options.label,
        options.bundle,
        DeconvolveConfig(**given_options(options, DeconvolveConfig)),
        out=options.out,
        overwrite=options.overwrite,
        context=context,
        **section_choices(options),
    )
    shares = zip(result.labels.names, result.values.mean(axis=0), strict=True)
    for name, share in sorted(shares, key=lambda pair: -pair[1]):
        print(f"{100 * share:7.2f} %  {name}")
    print(f"wrote {options.out} ({result.provenance.seconds:.1f} s, {result.provenance.device})")
    return 0
