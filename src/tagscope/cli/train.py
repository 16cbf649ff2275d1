"""Train a model on a labelled single-cell reference.

By default three networks are trained, each with another fifth of the cells held out, and their
answers averaged; --folds 5 is a whole cross-validation. The bundle says how well they did on the
cells held out, and how well logistic regression does there. Ctrl-C keeps the best so far; --resume
goes on.

example:
  tagscope train reference.h5ad --label cell_type --panel section.zarr --out cellmemory
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tagscope.api import CellMemoryConfig, TrainConfig, network_for, train
from tagscope.cli.options import (
    add_cells_options,
    add_config_options,
    add_out,
    cells_choices,
    given_options,
)
from tagscope.jobs import JobContext

NETWORK_OPTIONS = ("mode", "encoding", "top_k")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("reference", type=Path, metavar="REFERENCE")
    parser.add_argument(
        "--label", required=True, metavar="COLUMN", action="append",
        help="obs column of labels; given several times, levels from coarse to fine",
    )  # fmt: skip
    parser.add_argument(
        "--split-by", metavar="COLUMN",
        help="hold out whole groups of this obs column for validation: donors, batches",
    )  # fmt: skip
    parser.add_argument("--model", choices=("cellmemory",), default="cellmemory")
    add_out(parser, "bundle to make")
    parser.add_argument(
        "--panel",
        type=Path,
        metavar="SECTION",
        help="train for this section: its genes, depth and background",
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with a training that was interrupted"
    )
    add_config_options(parser, TrainConfig)
    add_config_options(parser, CellMemoryConfig, NETWORK_OPTIONS)
    add_cells_options(parser)


def run(options: argparse.Namespace, context: JobContext) -> int:
    """Train, and say how well the model does on the validation cells."""
    config = TrainConfig(**given_options(options, TrainConfig))
    bundle = train(
        options.reference,
        options.label,
        out=options.out,
        config=config,
        model_config=network_for(config, **given_options(options, CellMemoryConfig)),
        panel=options.panel,
        resume=options.resume,
        overwrite=options.overwrite,
        context=context,
        split_by=options.split_by,
        **cells_choices(options),
    )
    print(bundle.to_text())
    print(f"wrote {options.out}")
    return 0
