"""Label every cell of a section with a trained model.

OUT is a store, or an .h5ad where it ends so; it may be SECTION itself, which is then changed in
place: an interrupted write leaves it as it was.

example:
  tagscope annotate section.zarr --bundle cellmemory --attention --out annotated.zarr
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from tagscope.api import AnnotateConfig, annotate, load_bundle
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
    parser.add_argument("--bundle", type=Path, required=True, help="trained model")
    add_out(parser, "annotated store or .h5ad")
    parser.add_argument(
        "--attention",
        action="store_true",
        help="also write gene scores, and of a CellMemory memory-slot scores",
    )
    names = ("key", "min_confidence", "max_novelty", "batch_size", "device", "precision", "seed")
    add_config_options(parser, AnnotateConfig, names)
    add_section_options(parser)


def run(options: argparse.Namespace, context: JobContext) -> int:
    """Annotate, write and count."""
    config = AnnotateConfig(**given_options(options, AnnotateConfig))
    bundle = load_bundle(options.bundle)
    slots = options.attention and "slot_scores" in bundle.capabilities
    result = annotate(
        options.section,
        bundle,
        replace(config, slots=slots),
        out=options.out,
        overwrite=options.overwrite,
        context=context,
        **section_choices(options),
    )
    for name, count in result.annotation.counts():
        print(f"{count:8,}  {name}")
    print(f"wrote {options.out} ({result.provenance.seconds:.1f} s, {result.provenance.device})")
    return 0
