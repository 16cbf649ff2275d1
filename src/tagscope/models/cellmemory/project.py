"""A project folder of the original CellMemory, turned into a bundle.

The original tool (QifeiWang4Bio/CellMemory) leaves ``{Project}_ckpt.pth``, its genes and cell types
in two text files, and ``MaxBin.txt``. Nothing else of how it was trained is kept.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from tagscope.core.labels import UNASSIGNED, LabelSet
from tagscope.core.panel import GenePanel
from tagscope.errors import ArgumentError, InputError
from tagscope.io.findings import listed
from tagscope.io.genes import read_genes
from tagscope.models.bundle import Bundle, save_bundle
from tagscope.models.cellmemory.config import CellMemoryConfig, Encoding, Mode
from tagscope.models.cellmemory.convert import (
    PublishedSizes,
    check_fixed,
    from_published,
    published_sizes,
)
from tagscope.models.cellmemory.model import CAPABILITIES
from tagscope.models.preprocessing import Preprocessing
from tagscope.models.published import origin_of, read_checkpoint, weights_of

_CHECKPOINT, _GENES, _LABELS, _MAX_BIN = (
    "_ckpt.pth", "_ref_gene.txt", "_idx2celltype.txt", "MaxBin.txt",
)  # fmt: skip
_NEEDED = (
    "The folder that CellMemory's training leaves is needed: PROJECT_ckpt.pth, "
    "PROJECT_ref_gene.txt, PROJECT_idx2celltype.txt and MaxBin.txt."
)


@dataclass(frozen=True)
class ConvertConfig:
    """What a checkpoint of the original CellMemory does not tell, or only between the lines."""

    mode: Mode | None = None
    """Genes a cell is read with (the original's fast and full); the checkpoint tells."""

    encoding: Encoding | None = None
    """How values were encoded: bins (bin_scale) or round (bin_norm); MaxBin.txt tells."""

    layers: int = 4
    """Layers it was trained with. They share their weights, so nothing in the file tells."""

    top_k: int | None = None
    """Genes kept per slot and head, where it was trained with ``use_topk``."""

    max_tokens: int = 10_000
    """``max_seq_len`` it was trained with: most genes a cell is read with in expressed mode."""

    pad_to: int = 0
    """Length cells are padded to in expressed mode; 0 takes the longest of all cells read."""

    target_sum: float = 1e4
    """Total that counts are scaled to before log(1 + x); normalised values are left alone."""

    def __post_init__(self) -> None:
        CellMemoryConfig(
            mode=self.mode or "expressed", encoding=self.encoding or "bins", layers=self.layers,
            top_k=self.top_k, max_tokens=self.max_tokens, pad_to=self.pad_to,
        )  # fmt: skip
        if not (math.isfinite(self.target_sum) and self.target_sum > 0):
            raise ArgumentError(
                f"Counts cannot be scaled to {self.target_sum}.",
                "Needed: a total above 0.",
                "Give a positive total.",
                {"target_sum": None},
            )


@dataclass(frozen=True)
class Project:
    """What a project folder holds, read and checked.

    ``weights`` under their published names; ``max_bin`` what ``MaxBin.txt`` says; ``epoch`` from 0
    and ``accuracy`` on the original's own validation cells, None where the file lacks them.
    """

    checkpoint: Path
    weights: dict[str, Tensor]
    genes: tuple[str, ...]
    labels: tuple[str, ...]
    max_bin: int
    epoch: int | None
    accuracy: float | None

    @property
    def name(self) -> str:
        """The project's name."""
        return self.checkpoint.name.removesuffix(_CHECKPOINT)


def convert_project(
    path: Path, out: Path, config: ConvertConfig | None = None, *, overwrite: bool = False
) -> Bundle:
    """Write a bundle that gives the original's numbers, its treatment of padding included.

    Parameters
    ----------
    path
        The project folder, or the checkpoint in it.
    out
        Bundle to make.

    Raises
    ------
    InputError
        If a file is missing, cannot be read as weights and names alone, or does not go with the
        others. Nothing is written then.
    ArgumentError
        If ``config`` says something else than the files.
    OutputError
        If ``out`` exists and ``overwrite`` is not set.
    """
    config = config or ConvertConfig()
    project = read_project(path)
    sizes = published_sizes(project.weights)
    _check_names(project, sizes)
    table = CellMemoryConfig(
        mode=_mode(project, sizes, config), encoding=_encoding(project, sizes, config),
        max_bin=sizes.max_bin, width=sizes.width, ffn=sizes.ffn, layers=config.layers,
        heads=sizes.heads, slots=sizes.slots, top_k=config.top_k, max_tokens=config.max_tokens,
        pad_to=config.pad_to, compat="published",
    )  # fmt: skip
    state = from_published(project.weights, table, sizes.genes, sizes.labels)
    check_fixed(project.weights, table)
    # The original sizes its table for 50 tokens even where fewer occur.
    used = replace(table, max_bin=project.max_bin)
    state["tokens.weight"] = state["tokens.weight"][: used.max_bin + 1].clone()
    return save_bundle(
        out,
        model="cellmemory",
        config=used.to_dict(),
        panel=_panel(project),
        labels=LabelSet(project.labels),
        preprocessing=Preprocessing(config.target_sum).to_dict(),
        capabilities=CAPABILITIES,
        training=_account(project, config),
        state=state,
        overwrite=overwrite,
    )


def read_project(path: Path) -> Project:
    """Read a project folder; no code from a file is run.

    Raises
    ------
    InputError
        If a file is missing or cannot be read, or the folder holds several projects.
    """
    checkpoint = _find(Path(path))
    stored = read_checkpoint(checkpoint)
    stem = checkpoint.name.removesuffix(_CHECKPOINT)
    epoch, accuracy = _number(stored.get("epoch")), _number(stored.get("acc"))
    return Project(
        checkpoint,
        _weights(stored, checkpoint),
        _names(checkpoint.with_name(stem + _GENES), "genes"),
        _names(checkpoint.with_name(stem + _LABELS), "cell types"),
        _max_bin(checkpoint.with_name(_MAX_BIN)),
        None if epoch is None else int(epoch),
        accuracy,
    )


def _find(path: Path) -> Path:
    """The one checkpoint of a folder, all files that belong to it being there."""
    if not path.exists():
        raise InputError(f"There is no project at {path}.", _NEEDED, "Check the path.")
    folder = path.parent if path.is_file() else path
    found = sorted(folder.glob(f"*{_CHECKPOINT}"))
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise InputError(
            f"{folder} holds several projects ({names}).",
            "MaxBin.txt belongs to one of them, and nothing tells to which.",
            "Put every project into a folder of its own, with its MaxBin.txt.",
        )
    if not found or (path.is_file() and path != found[0]):
        said = f"{path} is no PROJECT{_CHECKPOINT}" if path.is_file() else f"{path} has none"
        raise InputError(f"{said}.", _NEEDED, "Name the project folder.")
    stem = found[0].name.removesuffix(_CHECKPOINT)
    missing = [n for n in (stem + _GENES, stem + _LABELS, _MAX_BIN) if not (folder / n).is_file()]
    if missing:
        raise InputError(
            f"{folder} lacks {', '.join(missing)}.", _NEEDED, "Copy the whole project folder."
        )
    return found[0]


def _weights(stored: Mapping[str, Any], file: Path) -> dict[str, Tensor]:
    """The tensors under their published names, float32, without DataParallel's prefix."""
    net = stored.get("net")
    if not isinstance(net, Mapping) or not net:
        raise InputError(
            f"{file} holds no weights under 'net'.",
            "CellMemory saves {'net': weights, 'acc': …, 'epoch': …}.",
            "Name the project folder of a CellMemory training.",
        )
    return weights_of(net, file, "CellMemory")


def _number(value: Any) -> float | None:
    """A number as JSON can hold it; the original's are Python's or numpy's."""
    if isinstance(value, int | float | np.number) and math.isfinite(value):
        return float(value)
    return None


def _names(file: Path, what: str) -> tuple[str, ...]:
    """One name a line, as pandas writes and reads a single column."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            names = tuple(row[0] for row in csv.reader(lines) if row)
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(
            f"{file} cannot be read ({error}).",
            f"A text file of {what}, one a line, is needed.",
            "Copy it again.",
        ) from error
    odd = [name for name, count in Counter(names).items() if count > 1 or name == UNASSIGNED]
    if odd:
        raise InputError(
            f"{file} has names that cannot be used: {', '.join(odd[:5])}.",
            f"Every name must occur once, and none may be {UNASSIGNED!r}: results go by name.",
            "Rename them there, in the same lines, and likewise in the data to be annotated.",
        )
    return names


def _max_bin(file: Path) -> int:
    try:
        number = float(file.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise _bad_max_bin(file, str(error)) from error
    if number < 2 or not number.is_integer():
        raise _bad_max_bin(file, f"it says {number:g}")
    return int(number)


def _bad_max_bin(file: Path, why: str) -> InputError:
    return InputError(
        f"{file} cannot be used ({why}).",
        "It holds the largest token, a whole number from 2 on.",
        "Copy it again.",
    )


def _check_names(project: Project, sizes: PublishedSizes) -> None:
    """As many names as rows in the tables they name."""
    for what, names, rows in (
        ("genes", project.genes, sizes.genes), ("cell types", project.labels, sizes.labels),
    ):  # fmt: skip
        if len(names) != rows:
            raise InputError(
                f"The list of {project.name} has {len(names)} {what}, the weights {rows}.",
                "Both must be of one training.",
                f"Find the {what} that go with {project.checkpoint.name}.",
            )


def _panel(project: Project) -> GenePanel:
    """The genes, known as Ensembl ids where the list has those."""
    genes = read_genes(pd.DataFrame(index=list(project.genes)))
    if genes.kind == "missing":
        raise InputError(
            f"The genes of {project.name} are numbers ({listed(project.genes, 3)}).",
            "Genes are found in a section by name.",
            f"Put their names into {project.name}{_GENES}, in the same order.",
        )
    return genes.panel


def _mode(project: Project, sizes: PublishedSizes, config: ConvertConfig) -> Mode:
    if config.mode not in (None, sizes.mode):
        raise ArgumentError(
            f"{project.checkpoint.name} was trained in mode {sizes.mode!r}, as its tables of genes "
            f"show, and {config.mode!r} was asked for.",
            "The mode must be the one it was trained in.",
            f"Leave the mode to be found, or name {sizes.mode!r}.",
            {"mode": sizes.mode},
        )
    return sizes.mode


def _encoding(project: Project, sizes: PublishedSizes, config: ConvertConfig) -> Encoding:
    """The encoding, by the largest token: with bins every cell reaches the table's end."""
    if project.max_bin > sizes.max_bin:
        raise InputError(
            f"MaxBin.txt says {project.max_bin}, the weights know tokens up to {sizes.max_bin}.",
            "Both must be of one training.",
            f"Find the MaxBin.txt that goes with {project.checkpoint.name}.",
        )
    fewer = project.max_bin < sizes.max_bin
    if fewer and config.encoding == "bins":
        raise ArgumentError(
            f"MaxBin.txt says {project.max_bin}, where bins would give {sizes.max_bin}.",
            f"{project.checkpoint.name} was trained with rounded values (bin_norm).",
            "Leave the encoding to be found, or name 'round'.",
            {"encoding": "round"},
        )
    return config.encoding or ("round" if fewer else "bins")


def _account(project: Project, config: ConvertConfig) -> dict[str, Any]:
    """Where the weights come from, and what their file says of them."""
    said = {"epoch": project.epoch, "acc": project.accuracy}
    return {
        **origin_of(project.checkpoint, config, project.checkpoint.name, **said),
        "accuracy": project.accuracy,
        "best_epoch": None if project.epoch is None else project.epoch + 1,
    }
