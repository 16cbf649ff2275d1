"""Make a bundle of a checkpoint that an original tool trained.

CHECKPOINT is what its training leaves: CellMemory's project folder, OmniCell's with LMConfig.json
and backbone.pth, whose Vocabulary.json is looked for beside it, or the .pth of a CellPatch, whose
args.json and gene2tok.json are. No program inside the checkpoint is run. The bundle gives the
original's numbers. CellMemory and CellPatch: padding takes part in attention, as it did in
training; CellMemory's values that are log-normalised already, as the original takes them, need
--normalised when annotating. A fine-tuned CellPatch needs the names of its --labels.

example:
  tagscope convert my_project --layers 4 --out converted
  tagscope annotate section.h5ad --bundle converted --normalised --out annotated.h5ad
  tagscope convert omnicell --symbols human_ensembl_symbol.csv --out omnicell_bundle
  tagscope embed section.zarr --bundle omnicell_bundle --out embedded.zarr
  tagscope convert cellpatch/annotator.pth --labels types.txt --out cellpatch_bundle
"""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

from tagscope.api import CellPatchConvertConfig, ConvertConfig, OmniCellConvertConfig, convert
from tagscope.cli.options import add_config_options, add_out, given_options
from tagscope.jobs import JobContext

CONFIGS = {
    "CellMemory": ConvertConfig, "OmniCell": OmniCellConvertConfig,
    "CellPatch": CellPatchConvertConfig,
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT")
    parser.add_argument(
        "--model", choices=("cellmemory", "omnicell", "cellpatch"), help="told by its files"
    )
    add_out(parser, "bundle to make")
    declared: set[str] = set()
    for name, config in CONFIGS.items():
        own = [field.name for field in fields(config) if field.name not in declared]
        add_config_options(parser.add_argument_group(name), config, own)
        declared |= set(own)


def run(options: argparse.Namespace, context: JobContext) -> int:  # noqa: ARG001 - all run alike
    """Convert, and say what the bundle is."""
    settings: dict[str, Any] = {}
    for config in CONFIGS.values():
        settings |= given_options(options, config)
    bundle = convert(
        options.checkpoint,
        options.model,
        out=options.out,
        overwrite=options.overwrite,
        **settings,
    )
    print(bundle.to_text())
    print(f"wrote {options.out}")
    return 0
