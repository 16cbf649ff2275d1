"""A checkpoint of the original CellPatch, turned into a bundle.

The original saves its weights as a ``.pth``; sizes that these do not show stand in a configuration
(``*args.json``), the rows of its genes in ``gene2tok.json``. Fine-tuned weights hold a head, whose
labels stand nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.errors import ArgumentError, InputError
from tagscope.io.names import read_names
from tagscope.models.bundle import Bundle, save_bundle
from tagscope.models.cellpatch.config import CellPatchConfig
from tagscope.models.cellpatch.convert import GENES, from_published
from tagscope.models.cellpatch.model import CAPABILITIES, KIND, PRETRAINED
from tagscope.models.cellpatch.network import SPARE
from tagscope.models.cellpatch.tokenise import CellPatchPreprocessing
from tagscope.models.published import origin_of, read_checkpoint, read_json, weights_of

_ARGS, _VOCABULARY = "*args.json", "gene2tok.json"
_NEEDED = (
    "The .pth of a CellPatch is needed, its configuration (args.json) and the gene2tok.json of its "
    "genes."
)
_MOST = 5.0  # of a value that labels are told from
_TOGETHER = {"pretrained": 512, "annotator": 256}  # cells of a batch, where nothing tells


@dataclass(frozen=True)
class CellPatchConvertConfig:
    """What a checkpoint of the original CellPatch does not hold."""

    args: Path | None = None
    """Configuration that it was trained with (args.json); looked for beside the checkpoint."""

    vocabulary: Path | None = None
    """gene2tok.json: the row of every gene; looked for beside the checkpoint."""

    labels: Path | None = None
    """Text file with the names of the labels, one a line, in the order of the head's outputs; for
    fine-tuned weights."""

    bottleneck: bool = False
    """Labels were told from projected patches (the original's project_out)."""

    padded_together: int | None = None
    """Cells of a batch, in their order, that are padded to the longest of them, as the original
    does; what the configuration says if not given."""

    target_sum: float = 1e4
    """Total that counts are scaled to before log(1 + x); normalised values are left alone."""


def is_cellpatch(path: Path) -> bool:
    """Whether a path is a file that lies beside a vocabulary of CellPatch."""
    return path.is_file() and (path.parent / _VOCABULARY).is_file()


def convert_cellpatch(
    path: Path, out: Path, config: CellPatchConvertConfig | None = None, *, overwrite: bool = False
) -> Bundle:
    """Write a bundle that gives the original's numbers, its treatment of padding included.

    Rows of the table of genes that no gene has are kept for genes that are added later.

    Raises
    ------
    InputError
        If a file is missing, cannot be read as weights and names alone, or does not go with the
        others. Nothing is written then.
    ArgumentError
        If labels are missing or given to weights without a head.
    OutputError
        If ``out`` exists and ``overwrite`` is not set.
    """
    config, path = config or CellPatchConvertConfig(), Path(path)
    if not path.is_file():
        raise InputError(f"There is no checkpoint at {path}.", _NEEDED, "Name the .pth file.")
    stored = read_checkpoint(path)
    weights = weights_of(stored.get("model_state_dict", stored), path, "CellPatch")
    labels = _labels(weights, config)
    network = _network(path, config, labels=len(labels))
    genes, rows = _vocabulary(_beside(path, config.vocabulary, _VOCABULARY, "vocabulary"))
    state = from_published(weights, network, rows, labels=len(labels))
    used = torch.zeros(len(weights[GENES]), dtype=torch.bool)
    used[[0, *rows]] = True
    state[SPARE] = weights[GENES][~used]
    epoch = stored.get("epoch")
    return save_bundle(
        out,
        model=KIND,
        config=network.to_dict(),
        panel=GenePanel(genes),
        labels=LabelSet(labels),
        preprocessing=_preprocessing(config, bool(labels)).to_dict(),
        capabilities=CAPABILITIES if labels else PRETRAINED,
        training=origin_of(path, config, path.name, epoch=epoch if _whole(epoch) else None),
        state=state,
        overwrite=overwrite,
    )


def _preprocessing(config: CellPatchConvertConfig, annotator: bool) -> CellPatchPreprocessing:
    values = CellPatchPreprocessing(config.target_sum, "measured")
    return replace(values, most=_MOST, steps="truncated") if annotator else values


def _labels(weights: Mapping[str, Tensor], config: CellPatchConvertConfig) -> tuple[str, ...]:
    head = weights.get("lp_fc3.bias")
    if head is None:
        if config.labels is None:
            return ()
        raise ArgumentError(
            f"{config.labels} was given to weights without a head.",
            "Labels are those of fine-tuned weights.",
            "Leave them out, or name the fine-tuned checkpoint.",
            {"labels": False},
        )
    if config.labels is None:
        raise ArgumentError(
            f"The weights tell {len(head)} labels, whose names they do not hold.",
            "A text file of the names, one a line, is needed, in the order of the outputs.",
            "Name it.",
            {"labels": None},
        )
    names = read_names(config.labels)
    if len(names) != len(head) or len(set(names)) != len(names):
        raise InputError(
            f"{config.labels} has {len(names)} names, {len(set(names))} of them different; the "
            f"weights tell {len(head)} labels.",
            "Every label needs one name of its own.",
            "Find the list that goes with the checkpoint.",
            {"labels": None},
        )
    return tuple(names)


def _network(path: Path, config: CellPatchConvertConfig, *, labels: int) -> CellPatchConfig:
    said = read_json(_beside(path, config.args, _ARGS, "args"), _NEEDED)
    usual = CellPatchConfig()
    projection = said.get("encoder_projection_dim", usual.projection)
    if said.get("decoder_projection_dim", 1) != 1:
        raise InputError(
            f"The configuration tells {said['decoder_projection_dim']} numbers of a gene.",
            "Its value, one number, is told.",
            "Convert a checkpoint of the published CellPatch.",
        )
    if config.bottleneck and not labels:
        raise ArgumentError(
            "Labels were said to be told from projected patches, of weights without a head.",
            "That is a matter of fine-tuned weights.",
            "Leave it out, or name the fine-tuned checkpoint.",
            {"bottleneck": False},
        )
    together = config.padded_together or (
        _TOGETHER["annotator"] if labels else said.get("batch_size", _TOGETHER["pretrained"])
    )
    return CellPatchConfig(
        width=said.get("embedding_dim", usual.width),
        patches=said.get("n_pathway", usual.patches),
        heads=said.get("n_head", usual.heads),
        layers=said.get("encoder_self_attn_depth", usual.layers),
        ffn=said.get("mlp_dim"),
        projection=projection,
        decoder_layers=said.get("decoder_selfattn_block_depth", usual.decoder_layers),
        bottleneck=config.bottleneck,
        compat="published",
        padded_together=together,
    )


def _vocabulary(file: Path) -> tuple[tuple[str, ...], list[int]]:
    """The genes in the order of their rows, and the rows."""
    said = read_json(file, _NEEDED)
    rows = {name: row for name, row in said.items() if _whole(row) and row > 0}
    if len(rows) != len(said) or len(set(rows.values())) != len(rows) or not rows:
        raise InputError(
            f"{file} names {len(said)} genes and {len(set(rows.values()))} different rows from 1.",
            "Every gene needs a row of its own; 0 is that of padding.",
            "Find the vocabulary that goes with the checkpoint.",
            {"vocabulary": None},
        )
    genes = sorted(rows, key=rows.__getitem__)
    return tuple(genes), [rows[gene] for gene in genes]


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _beside(path: Path, named: Path | None, pattern: str, option: str) -> Path:
    """The file that is named, or the only one of its kind beside the checkpoint."""
    found = sorted(path.parent.glob(pattern)) if named is None else [named]
    if len(found) == 1 and found[0].is_file():
        return found[0]
    said = (
        f"{named} is no file"
        if named is not None
        else (f"{path.parent} has {len(found)} files {pattern}")
    )
    raise InputError(f"{said}.", _NEEDED, "Name the one that goes with it.", {option: None})
