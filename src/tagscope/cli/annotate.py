"""Label every cell of a section with a trained model.

OUT is a store, or an .h5ad where it ends so; it may be SECTION itself, which is then changed in
place: an interrupted write leaves it as it was.

example:
  tagscope annotate section.zarr --bundle cellmemory --attention --out annotated.zarr
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tagscope.cli.options import add_compute_options, add_out, add_section_options, section_choices
from tagscope.jobs import JobContext


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("section", type=Path, metavar="SECTION")
    parser.add_argument("--bundle", type=Path, required=True, help="trained model")
    add_out(parser, "annotated store or .h5ad")
    parser.add_argument("--key", default="cellmemory", help="name of the columns to write")
    parser.add_argument(
        "--attention", action="store_true", help="also write gene scores and memory-slot scores"
    )
    parser.add_argument(
        "--min-confidence", type=float, default=0.0, help="below it a cell is Unassigned (0 to 1)"
    )
    add_section_options(parser)
    add_compute_options(parser)


def run(options: argparse.Namespace, context: JobContext) -> int:
    """Annotate, write and count."""
    from tagscope import api

    config = api.AnnotateConfig(
        key=options.key,
        attention=options.attention,
        slots=options.attention,
        min_confidence=options.min_confidence,
        batch_size=options.batch_size,
        device=options.device,
        precision=options.precision,
        seed=options.seed,
    )
    result = api.annotate(
        options.section,
        options.bundle,
        config,
        out=options.out,
        overwrite=options.overwrite,
        context=context,
        **section_choices(options),
    )
    for name, count in result.annotation.counts():
        print(f"{count:8,}  {name}")
    print(f"wrote {options.out} ({result.provenance.seconds:.1f} s, {result.provenance.device})")
    return 0
