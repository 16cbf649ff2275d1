"""Make a bundle of a checkpoint that an original tool trained.

CHECKPOINT is the folder that its training leaves: CellMemory's project folder, or OmniCell's with
LMConfig.json and backbone.pth, whose Vocabulary.json is looked for beside it. No program inside the
checkpoint is run. The bundle gives the original's numbers. CellMemory: padding takes part in
attention, as it did in training; values that are log-normalised already, as the original takes
them, need --normalised when annotating.

example:
  tagscope convert my_project --layers 4 --out converted
  tagscope annotate section.h5ad --bundle converted --normalised --out annotated.h5ad
  tagscope convert omnicell --symbols human_ensembl_symbol.csv --out omnicell_bundle
  tagscope embed section.zarr --bundle omnicell_bundle --out embedded.zarr
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tagscope.api import ConvertConfig, OmniCellConvertConfig, convert
from tagscope.cli.options import add_config_options, add_out, given_options
from tagscope.errors import ArgumentError
from tagscope.jobs import JobContext


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT")
    parser.add_argument("--model", choices=("cellmemory", "omnicell"), help="told by its files")
    add_out(parser, "bundle to make")
    add_config_options(parser.add_argument_group("CellMemory"), ConvertConfig)
    add_config_options(parser.add_argument_group("OmniCell"), OmniCellConvertConfig)


def run(options: argparse.Namespace, context: JobContext) -> int:  # noqa: ARG001 - all run alike
    """Convert, and say what the bundle is."""
    bundle = convert(
        options.checkpoint,
        options.model,
        out=options.out,
        config=_config(options),
        overwrite=options.overwrite,
    )
    print(bundle.to_text())
    print(f"wrote {options.out}")
    return 0


def _config(options: argparse.Namespace) -> ConvertConfig | OmniCellConvertConfig | None:
    own, other = (given_options(options, kind) for kind in (ConvertConfig, OmniCellConvertConfig))
    if own and other:
        raise ArgumentError(
            "Options of both CellMemory and OmniCell were given.",
            "A checkpoint is of one of them.",
            "Leave out those of the other.",
            dict.fromkeys((*own, *other)),
        )
    if other:
        return OmniCellConvertConfig(**other)
    return ConvertConfig(**own) if own else None
