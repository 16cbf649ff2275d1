"""What a pretraining trains on what: network, vocabulary, cells, stages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tagscope.core.panel import GenePanel
from tagscope.errors import ArgumentError
from tagscope.io.cell_source import CellSource
from tagscope.jobs import JobContext
from tagscope.models.bundle import Bundle
from tagscope.models.device import choose_precision
from tagscope.models.omnicell.config import OmniCellConfig
from tagscope.models.omnicell.model import neighbours_of
from tagscope.models.omnicell.network import OmniCellNetwork
from tagscope.training.corpus import (
    Corpus,
    Part,
    Ranks,
    genes_of,
    held_out,
    mapped_ranks,
    part_of,
    ranks_of,
)
from tagscope.training.parallel import World
from tagscope.training.pretrain_loop import PretrainLoop
from tagscope.training.pretrain_recipe import PretrainConfig, PretrainRecipe, pretrain_recipe_of

_MOST_HELD = 2000


@dataclass(frozen=True)
class Task:
    """What is trained on what.

    ``um_per_unit``: µm in a unit of the coordinates that the network sees, ``unit`` what their
    files tell of them; ``request`` tells the training from any other.
    """

    network: OmniCellNetwork
    vocabulary: GenePanel
    corpus: Corpus
    stages: tuple[str, ...]
    recipe: PretrainRecipe
    config: PretrainConfig
    um_per_unit: float
    unit: str
    init: Bundle | None
    device: torch.device
    precision: torch.dtype
    world: World
    request: str

    def loop(self, number: int) -> PretrainLoop:
        """A stage, with an optimizer of its own."""
        optimizer = torch.optim.AdamW(
            _groups(self.network, self.recipe.weight_decay),
            lr=self.recipe.learning_rate,
            betas=self.recipe.betas,
            fused=self.device.type in ("cpu", "cuda"),
        )
        return PretrainLoop(
            self.network, optimizer, self.recipe, self.corpus, self.stages[number], number,
            self.config.seed, self.device, self.precision, self.world,
        )  # fmt: skip


def make_task(
    sources: Sequence[CellSource],
    config: PretrainConfig,
    init: Bundle | None,
    device: torch.device,
    world: World,
    folder: Path,
    context: JobContext,
) -> Task:
    """Read the data; what stays on disk is kept in ``folder``."""
    recipe = pretrain_recipe_of(config, None if init is None else neighbours_of(init.preprocessing))
    known = None if init is None else init.panel
    panels = [genes_of(source, known, recipe.most_genes, context) for source in sources]
    vocabulary = known or _joined_panel(panels)
    network = _network(recipe.network, vocabulary, init)
    um = recipe.um_per_unit if init is None else float(init.preprocessing["um_per_unit"])
    corpus = _corpus(sources, panels, vocabulary, config, recipe, um, world, folder, context)
    asked = {
        "network": network.config.to_dict(), "recipe": asdict(recipe), "seed": config.seed,
        "data": corpus.digest(), "vocabulary": vocabulary.digest, "precision": config.precision,
        "init": init.digest if init is not None else "",
    }  # fmt: skip
    request = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    return Task(
        network.to(device), vocabulary, corpus, _stages(recipe, config, corpus), recipe, config,
        um, _unit(sources), init, device, _precision(config, device), world, request,
    )  # fmt: skip


def _joined_panel(panels: Sequence[GenePanel]) -> GenePanel:
    """The genes of all panels, each once, in the order in which they come."""
    whole = panels[0]
    for panel in panels[1:]:
        fresh = panel.take(np.flatnonzero(panel.columns_in(whole) < 0))
        ids = None
        if whole.ensembl or fresh.ensembl:
            ids = (*(whole.ensembl or ("",) * len(whole)), *(fresh.ensembl or ("",) * len(fresh)))
        whole = GenePanel(whole.symbols + fresh.symbols, ids)
    return whole


def _network(config: OmniCellConfig, vocabulary: GenePanel, init: Bundle | None) -> OmniCellNetwork:
    if init is None:
        return OmniCellNetwork(config, len(vocabulary) + 2)
    if init.model != "omnicell":
        raise ArgumentError(
            f"{init.path} is a model of kind {init.model!r}.",
            "An OmniCell is gone on from.",
            "Name a bundle of one, or train anew.",
            {"init": None},
        )
    state = init.state()
    network = OmniCellNetwork(OmniCellConfig.from_dict(init.config), len(state["genes.weight"]))
    network.load_state_dict(state)
    return network


def _corpus(
    sources: Sequence[CellSource],
    panels: Sequence[GenePanel],
    vocabulary: GenePanel,
    config: PretrainConfig,
    recipe: PretrainRecipe,
    um_per_unit: float,
    world: World,
    folder: Path,
    context: JobContext,
) -> Corpus:
    cells = sum(len(source) for source in sources)
    held = held_out(cells, config.validation, _MOST_HELD, config.seed)
    parts: list[Part] = []
    for source, panel in zip(sources, panels, strict=True):
        ranks = _ranks(source, panel, folder / str(len(parts)), world, context)
        rows = np.array([len(vocabulary), *panel.columns_in(vocabulary), len(vocabulary) + 1])
        own, held = np.split(held, [len(source)])
        parts.append(part_of(source, ranks, rows, own, recipe.neighbors, um_per_unit))
    return Corpus(tuple(parts))


def _ranks(
    source: CellSource, panel: GenePanel, scratch: Path, world: World, context: JobContext
) -> Ranks:
    """A source's ranks; those of a file on disk are kept on disk, once for all processes."""
    if not source.on_disk:
        return ranks_of(source, panel, None, context)
    if world.leads:
        scratch.mkdir(parents=True)
        ranks_of(source, panel, scratch, context)
    world.wait()
    return mapped_ranks(scratch, len(panel))


def _stages(recipe: PretrainRecipe, config: PretrainConfig, corpus: Corpus) -> tuple[str, ...]:
    if corpus.in_tissue:
        return recipe.stages
    if config.stage in ("spatial", "both"):
        raise ArgumentError(
            "Some of the files have no coordinates.",
            "Cells are read with their neighbours where they have places.",
            "Read cells alone, or give sections.",
            {"stage": "cells"},
        )
    return ("cells",)


def _unit(sources: Sequence[CellSource]) -> str:
    units = {source.unit for source in sources if source.xy is not None}
    return units.pop() if len(units) == 1 else "unknown"


def _precision(config: PretrainConfig, device: torch.device) -> torch.dtype:
    """bf16 by itself on cards that compute in it: the weights stay fp32."""
    if config.precision == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.bfloat16
    return choose_precision(config.precision, device)


def _groups(network: OmniCellNetwork, decay: float) -> list[dict[str, Any]]:
    """Weight decay on matrices alone."""
    matrices = [p for p in network.parameters() if p.ndim > 1]
    gains = [p for p in network.parameters() if p.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": decay},
        {"params": gains, "weight_decay": 0.0},
    ]
