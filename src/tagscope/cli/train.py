"""Train a model on a labelled single-cell reference.

By default three networks are trained, each with another fifth of the cells held out, and their
answers averaged; --folds 5 is a whole cross-validation. The bundle says how well they did on the
cells held out, and how well logistic regression does there. Ctrl-C keeps the best so far; --resume
goes on. --model cellpatch learns from the reference, or goes on from the weights of a pretrained
CellPatch; --model omnicell learns to tell labels from the embeddings of a pretrained OmniCell.

example:
  tagscope train reference.h5ad --label cell_type --panel section.zarr --out cellmemory
  tagscope train reference.h5ad --label cell_type --model cellpatch --out cellpatch
  tagscope train reference.h5ad --label cell_type --model omnicell --init omnicell --out labels
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tagscope.api import (
    CellMemoryConfig,
    CellPatchConfig,
    HeadConfig,
    TrainConfig,
    network_for,
    train,
)
from tagscope.cli.options import (
    add_cells_options,
    add_config_options,
    add_out,
    cells_choices,
    given_options,
)
from tagscope.jobs import JobContext

NETWORK_OPTIONS = ("mode", "encoding", "top_k")
PATCH_OPTIONS = ("patches",)
HEAD_OPTIONS = ("most_genes",)


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
    parser.add_argument(
        "--model", choices=("cellmemory", "cellpatch", "omnicell"), default="cellmemory"
    )
    parser.add_argument(
        "--init", type=Path, metavar="BUNDLE",
        help="with --model omnicell: the OmniCell that embeds the cells; with --model cellpatch: "
        "the CellPatch whose weights are gone on from",
    )  # fmt: skip
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
    add_config_options(parser.add_argument_group("CellMemory"), CellMemoryConfig, NETWORK_OPTIONS)
    add_config_options(parser.add_argument_group("CellPatch"), CellPatchConfig, PATCH_OPTIONS)
    add_config_options(parser.add_argument_group("OmniCell"), HeadConfig, HEAD_OPTIONS)
    add_cells_options(parser)


def run(options: argparse.Namespace, context: JobContext) -> int:
    """Train, and say how well the model does on the validation cells."""
    config = TrainConfig(**given_options(options, TrainConfig))
    network: dict[str, Any] = {}
    for settings in (CellMemoryConfig, CellPatchConfig, HeadConfig):
        network |= given_options(options, settings)
    bundle = train(
        options.reference,
        options.label,
        options.model,
        out=options.out,
        config=config,
        model_config=network_for(config, options.model, **network),
        init=options.init,
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
