"""How to pretrain: what a user chooses, and what a preset makes of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from tagscope.errors import ArgumentError
from tagscope.models.cellpatch.config import CellPatchConfig
from tagscope.models.cellpatch.objective import GeneMasking
from tagscope.models.device import Precision
from tagscope.models.omnicell.config import OmniCellConfig
from tagscope.models.omnicell.objective import CELLS, SPATIAL, Masking

Preset = Literal["small", "paper"]
Stage = Literal["spatial", "cells", "both"]


@dataclass(frozen=True)
class PretrainConfig:
    """How to pretrain on cells without labels. What is None is the preset's own choice."""

    preset: Preset = "small"
    """``small`` learns from a single section within an hour; ``paper`` is the published network
    (OmniCell's of 73.5 million parameters) and its published schedule, for millions of cells."""

    stage: Stage | None = None
    """OmniCell: ``spatial`` reads cells with their neighbours, ``cells`` alone, ``both`` one after
    the other: small alone first, paper with neighbours first. By default both where the data have
    places."""

    neighbors: int | None = None
    """OmniCell: cells beside each that are read with it in the spatial stage; by default as many as
    the model that is gone on from, else 4, 9 with paper."""

    epochs: int | None = None
    """Passes of each stage over the training cells; by default enough for the preset's updates."""

    batch_size: int | None = None
    """Cells per update."""

    learning_rate: float | None = None
    """Largest learning rate."""

    most_genes: int | None = None
    """Genes read of a file at most, those that vary most; by default all with CellPatch, with
    OmniCell 100, 500 with paper: with more of them a card is needed, time grows with their
    square."""

    validation: float = 0.1
    """Share of the cells, at most 2,000 of them, that is never learned from."""

    seed: int = 0
    """Seed of the cells held out, the first weights, the order of cells and what is hidden."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""

    precision: Precision = "auto"
    """Number format of matrix products; auto is bf16 on cards that compute in it, else fp32."""

    def __post_init__(self) -> None:
        if self.preset not in get_args(Preset):
            _refuse("preset", self.preset, "small or paper")
        if self.stage not in (None, *get_args(Stage)):
            _refuse("stage", self.stage, "spatial, cells or both")
        for name in ("epochs", "batch_size", "most_genes", "neighbors"):
            value = getattr(self, name)
            if value is not None and value < 1:
                _refuse(name, value, "at least 1")
        if not 0.0 < self.validation < 1.0:
            _refuse("validation", self.validation, "above 0 and below 1")
        if self.learning_rate is not None and self.learning_rate <= 0:
            _refuse("learning_rate", self.learning_rate, "above 0")
        if self.seed < 0:
            _refuse("seed", self.seed, "0 or more")


@dataclass(frozen=True)
class PretrainRecord:
    """How well it does after some passes over the training cells of a ``stage``.

    Losses are those of a hidden gene, with OmniCell the Huber loss of its soft rank, with CellPatch
    the squared error of its log value: ``train_loss`` while learning, since the last record,
    ``validation_loss`` of cells held out.
    """

    stage: str
    epoch: float
    update: int
    train_loss: float
    validation_loss: float
    learning_rate: float


@dataclass(frozen=True)
class Schedule:
    """How long a stage is, and at what rates it learns."""

    name: Preset
    epochs: int
    """Passes of each stage."""
    updates: int | None
    """Updates of a stage that set the number of passes where none was asked for."""
    batch_size: int
    learning_rate: float
    floor: float
    """Learning rate of the last update."""
    warm_up: float
    """Share of a stage's updates over which the learning rate rises from 0."""
    most_genes: int | None
    """Genes read of a file at most; all if None."""
    weight_decay: float
    clip_norm: float

    def epochs_for(self, cells: int) -> int:
        """Passes over so many training cells."""
        if self.updates is None:
            return self.epochs
        return max(1, math.ceil(self.updates / math.ceil(cells / self.batch_size)))

    def rate(self, update: int, total: int) -> float:
        """Learning rate of an update (from 0) of a stage: a rise, then half a cosine."""
        rising = round(self.warm_up * total)
        if update < rising:
            return self.learning_rate * (update + 1) / rising
        done = (update - rising) / max(1, total - 1 - rising)
        swing = (1 + math.cos(math.pi * done)) / 2
        return self.floor + (self.learning_rate - self.floor) * swing


@dataclass(frozen=True)
class PretrainRecipe(Schedule):
    """Every number of an OmniCell's pretraining."""

    network: OmniCellConfig
    stages: tuple[Stage, ...]
    """Stages where the data have places; cells alone otherwise."""
    neighbors: int
    """Cells read with each in the spatial stage."""
    um_per_unit: float
    """µm in a unit of the coordinates that the network sees."""
    betas: tuple[float, float] = (0.9, 0.99)
    masking: dict[str, Masking] = field(
        default_factory=lambda: {"spatial": SPATIAL, "cells": CELLS}
    )


@dataclass(frozen=True)
class PatchPretrainRecipe(Schedule):
    """Every number of a CellPatch's pretraining."""

    network: CellPatchConfig
    masking: GeneMasking
    target_sum: float | None = 1e4
    """Total that counts are scaled to before log(1 + x); None for the median of the data."""
    related: bool = False
    """Gene embeddings start from how genes vary together in the data, not at random."""


_SMALL: dict[str, Any] = {
    "network": OmniCellConfig(
        width=64, ffn=128, layers=2, heads=2, rotary_width=16, dropout=0.0
    ),
    "stages": ("cells", "spatial"), "epochs": 1, "updates": 1000, "batch_size": 32,
    "learning_rate": 2e-3, "floor": 1e-4, "warm_up": 0.1, "most_genes": 100, "neighbors": 4,
    "um_per_unit": 10.0, "weight_decay": 0.01, "clip_norm": 1.0,
}  # fmt: skip
_PAPER: dict[str, Any] = {
    "network": OmniCellConfig(),
    "stages": ("spatial", "cells"), "epochs": 1, "updates": None, "batch_size": 3200,
    "learning_rate": 1e-6, "floor": 5e-7, "warm_up": 0.0, "most_genes": 500, "neighbors": 9,
    "um_per_unit": 1.0, "weight_decay": 0.01, "clip_norm": 1.0,
}  # fmt: skip


def pretrain_recipe_of(config: PretrainConfig, known: int | None = None) -> PretrainRecipe:
    """The recipe of a preset, with what the request says otherwise.

    ``known`` is how many neighbours a model that is gone on from has learned to read with a cell.
    """
    numbers = dict(_PAPER if config.preset == "paper" else _SMALL)
    if known:
        numbers["neighbors"] = known
    for name in ("epochs", "batch_size", "learning_rate", "most_genes", "neighbors"):
        if getattr(config, name) is not None:
            numbers[name] = getattr(config, name)
    if config.epochs is not None:
        numbers["updates"] = None
    if config.stage not in (None, "both"):
        numbers["stages"] = (config.stage,)
    numbers["floor"] = min(numbers["floor"], numbers["learning_rate"])
    return PretrainRecipe(name=config.preset, **numbers)


# The published loop is not there; batch, rate, decay and what is hidden are of its configuration,
# 50 passes of the name of its checkpoint.
_PAPER_PATCHES: dict[str, Any] = {
    "network": CellPatchConfig(), "masking": GeneMasking(), "epochs": 50, "updates": None,
    "batch_size": 512, "learning_rate": 1e-4, "floor": 1e-4, "warm_up": 0.0, "most_genes": None,
    "weight_decay": 5e-5, "clip_norm": math.inf,
}  # fmt: skip
_SMALL_PATCHES: dict[str, Any] = {
    **_PAPER_PATCHES, "epochs": 1, "updates": 1000, "batch_size": 32, "learning_rate": 2e-3,
    "floor": 1e-4, "warm_up": 0.1, "clip_norm": 1.0, "target_sum": None, "related": True,
}  # fmt: skip


def patch_recipe_of(config: PretrainConfig) -> PatchPretrainRecipe:
    """The recipe of a preset for CellPatch, with what the request says otherwise.

    Raises
    ------
    ArgumentError
        If it asks for neighbours: a CellPatch reads cells alone.
    """
    for name, asked in (("stage", config.stage not in (None, "cells")),
                        ("neighbors", config.neighbors is not None)):  # fmt: skip
        if asked:
            _refuse(name, getattr(config, name), "none: a CellPatch reads cells alone")
    numbers = dict(_PAPER_PATCHES if config.preset == "paper" else _SMALL_PATCHES)
    for name in ("epochs", "batch_size", "learning_rate", "most_genes"):
        if getattr(config, name) is not None:
            numbers[name] = getattr(config, name)
    if config.epochs is not None:
        numbers["updates"] = None
    numbers["floor"] = min(numbers["floor"], numbers["learning_rate"])
    return PatchPretrainRecipe(name=config.preset, **numbers)


def _refuse(name: str, value: Any, needed: str) -> None:
    raise ArgumentError(
        f"Pretraining cannot have {name} = {value!r}.",
        f"Needed: {needed}.",
        "Give another value.",
        {name: None},
    )
