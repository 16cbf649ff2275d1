"""What a pretraining trains on what: network, vocabulary, cells, stages."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tagscope.core.panel import GenePanel
from tagscope.errors import ArgumentError
from tagscope.io.cell_source import CellSource
from tagscope.jobs import JobContext
from tagscope.models.bundle import Bundle
from tagscope.models.device import choose_precision
from tagscope.training.corpus import (
    CellValues,
    Corpus,
    Encode,
    Ints,
    Part,
    held_out,
    mapped_values,
    part_of,
    values_of,
)
from tagscope.training.parallel import World
from tagscope.training.pretrain_loop import PretrainLoop
from tagscope.training.pretrain_recipe import PretrainConfig, Schedule

_MOST_HELD = 2000


@dataclass(frozen=True)
class Asked:
    """What a pretraining was asked for, and where it runs; what stays on disk of the data is kept
    in ``folder``."""

    sources: Sequence[CellSource]
    config: PretrainConfig
    init: Bundle | None
    device: torch.device
    world: World
    folder: Path
    context: JobContext

    @property
    def precision(self) -> torch.dtype:
        """bf16 by itself on cards that compute in it: the weights stay fp32."""
        wanted, device = self.config.precision, self.device
        if wanted == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported():
            return torch.bfloat16
        return choose_precision(wanted, device)

    def started_from(self, model: str) -> Bundle | None:
        """The bundle that is gone on from.

        Raises
        ------
        ArgumentError
            If it is of another model.
        """
        if self.init is not None and self.init.model != model:
            raise ArgumentError(
                f"{self.init.path} is a model of kind {self.init.model!r}.",
                f"A bundle of {model} is gone on from.",
                "Name one, or train anew.",
                {"init": None},
            )
        return self.init


@dataclass(frozen=True)
class Task(ABC):
    """What is trained on what, in one stage or several."""

    asked: Asked
    network: nn.Module
    vocabulary: GenePanel
    corpus: Corpus
    recipe: Schedule
    stages: tuple[str, ...]

    @property
    def request(self) -> str:
        """Tells the training from any other."""
        said = {
            "recipe": asdict(self.recipe), "seed": self.asked.config.seed,
            "data": self.corpus.digest(), "vocabulary": self.vocabulary.digest,
            "precision": self.asked.config.precision,
            "init": self.asked.init.digest if self.asked.init is not None else "",
        }  # fmt: skip
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    @abstractmethod
    def loop(self, number: int) -> PretrainLoop:
        """A stage, with an optimizer of its own."""

    @abstractmethod
    def contents(self, learned: Sequence[str]) -> dict[str, Any]:
        """What a bundle of weights says that have ``learned`` these stages: its model, config,
        preprocessing and capabilities."""

    def record(self) -> dict[str, Any]:
        """What else of the training the bundle's account says."""
        return {}


def corpus_of(
    asked: Asked,
    panels: Sequence[GenePanel],
    encode: Encode,
    rows_of: Callable[[GenePanel], Ints],
    *,
    neighbours: int = 0,
    um_per_unit: float = 1.0,
) -> Corpus:
    """All cells over the genes that are read of each source, some of them held out.

    ``rows_of`` gives the rows of the network's table that a cell of a panel is read over.
    """
    cells, config = sum(len(source) for source in asked.sources), asked.config
    held = held_out(cells, config.validation, _MOST_HELD, config.seed)
    parts: list[Part] = []
    for source, panel in zip(asked.sources, panels, strict=True):
        values = _values(asked, source, panel, encode, asked.folder / str(len(parts)))
        own, held = np.split(held, [len(source)])
        parts.append(part_of(source, values, rows_of(panel), own, neighbours, um_per_unit))
    return Corpus(tuple(parts))


def _values(
    asked: Asked, source: CellSource, panel: GenePanel, encode: Encode, scratch: Path
) -> CellValues:
    """What is read of a source; of a file on disk it is kept on disk, once for all processes."""
    if not source.on_disk:
        return values_of(source, panel, encode, None, asked.context)
    if asked.world.leads:
        scratch.mkdir(parents=True)
        values_of(source, panel, encode, scratch, asked.context)
    asked.world.wait()
    return mapped_values(scratch, len(panel))


def joined_panel(panels: Sequence[GenePanel]) -> GenePanel:
    """The genes of all panels, each once, in the order in which they come."""
    whole = panels[0]
    for panel in panels[1:]:
        fresh = panel.take(np.flatnonzero(panel.columns_in(whole) < 0))
        ids = None
        if whole.ensembl or fresh.ensembl:
            ids = (*(whole.ensembl or ("",) * len(whole)), *(fresh.ensembl or ("",) * len(fresh)))
        whole = GenePanel(whole.symbols + fresh.symbols, ids)
    return whole
