"""Make a bundle of a checkpoint that the original CellMemory trained.

CHECKPOINT is the folder its training leaves. No program inside the checkpoint is run. The bundle
gives the original's numbers: padding takes part in attention, as it did in training. Values that
are log-normalised already, as the original takes them, need --normalised when annotating.

example:
  tagscope convert my_project --layers 4 --out converted
  tagscope annotate section.h5ad --bundle converted --normalised --out annotated.h5ad
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tagscope.api import ConvertConfig, convert
from tagscope.cli.options import add_config_options, add_out, given_options
from tagscope.jobs import JobContext


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT")
    parser.add_argument("--model", choices=("cellmemory",), default="cellmemory")
    add_out(parser, "bundle to make")
    add_config_options(parser, ConvertConfig)


def run(options: argparse.Namespace, context: JobContext) -> int:  # noqa: ARG001 - all run alike
    """Convert, and say what the bundle is."""
    config = ConvertConfig(**given_options(options, ConvertConfig))
    bundle = convert(
        options.checkpoint,
        options.model,
        out=options.out,
        config=config,
        overwrite=options.overwrite,
    )
    print(bundle.to_text())
    print(f"wrote {options.out}")
    return 0
