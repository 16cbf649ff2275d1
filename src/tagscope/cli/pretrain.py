"""Pretrain a model on cells without labels.

DATA are sections, which an OmniCell reads with neighbours, or an .h5ad of dissociated cells, read
alone; a CellPatch reads all cells alone. The values of an .h5ad stay on disk. --preset small learns
from a single section; --preset paper is the published network, for millions of cells: start it with
torchrun on several cards. The bundle says how well genes that were hidden are told in cells held
out. Ctrl-C keeps the best so far; --resume goes on.

example:
  tagscope pretrain section.zarr --out omnicell
  tagscope pretrain cells.h5ad --model cellpatch --out cellpatch
  torchrun --no-python --nproc-per-node 8 tagscope pretrain *.h5ad --preset paper --out large
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tagscope.api import PretrainConfig, pretrain
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
    parser.add_argument("data", type=Path, metavar="DATA", nargs="+")
    parser.add_argument("--model", choices=("omnicell", "cellpatch"), default="omnicell")
    add_out(parser, "bundle to make")
    parser.add_argument(
        "--init", type=Path, metavar="BUNDLE", help="go on from the weights of this bundle"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with a training that was interrupted"
    )
    add_config_options(parser, PretrainConfig)
    add_section_options(parser)


def run(options: argparse.Namespace, context: JobContext) -> int:
    """Pretrain, and say how well hidden genes are told."""
    bundle = pretrain(
        options.data,
        options.model,
        out=options.out,
        config=PretrainConfig(**given_options(options, PretrainConfig)),
        init=options.init,
        resume=options.resume,
        overwrite=options.overwrite,
        context=context,
        **section_choices(options),
    )
    print(bundle.to_text())
    print(f"wrote {options.out}")
    return 0
