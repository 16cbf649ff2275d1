"""An OmniCell as it is pretrained: cells alone or with their neighbours, genes hidden from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from tagscope.core.panel import GenePanel
from tagscope.errors import ArgumentError
from tagscope.io.cell_source import CellSource
from tagscope.models.bundle import Bundle
from tagscope.models.device import reduced
from tagscope.models.omnicell.config import OmniCellConfig
from tagscope.models.omnicell.model import CAPABILITIES, KIND, neighbours_of, pooling_of
from tagscope.models.omnicell.network import OmniCellNetwork, Sequences, balance
from tagscope.models.omnicell.objective import HIDDEN, balance_weight, hide, rank_loss
from tagscope.models.omnicell.tokenise import OmniCellTokens, soft_ranks
from tagscope.training.corpus import Corpus, Ints, Part, genes_of
from tagscope.training.pretrain_loop import PretrainLoop
from tagscope.training.pretrain_recipe import PretrainRecipe, pretrain_recipe_of
from tagscope.training.pretrain_task import Asked, Task, corpus_of, joined_panel


@dataclass(frozen=True)
class OmniCellPretrainLoop(PretrainLoop):
    """An OmniCell in the stage ``"cells"``, read alone, or ``"spatial"``, with neighbours."""

    network: OmniCellNetwork
    recipe: PretrainRecipe

    @property
    def alone(self) -> bool:
        """Whether cells are read without neighbours."""
        return self.stage == "cells"

    def width_of(self, part: Part) -> int:
        """Numbers in the widest activations of a cell and of its neighbours."""
        config = self.network.config
        beside = 0 if self.alone or part.neighbours is None else part.neighbours.shape[1]
        return max(config.ffn, config.width) * (1 + beside) * len(part.genes)

    def tally(self) -> Tensor:
        """How often each gene was read."""
        return torch.zeros(len(self.network.genes.weight))

    def loss(
        self, part: Part, rows: Ints, seed: int, tally: Tensor, *, training: bool
    ) -> tuple[Tensor, int]:
        """Sum of the Huber losses of the hidden genes' ranks, and how many were hidden."""
        read, members = sequences(part, rows, alone=self.alone)
        generator, masking = torch.Generator().manual_seed(seed), self.recipe.masking[self.stage]
        hidden = masking.draw(read, generator, asked_about(part, members, training=training))
        torch.manual_seed(seed)
        genes = torch.from_numpy(part.genes).to(self.device)
        seen, ranks = hide(read, hidden).to(self.device), read.values.to(self.device)
        with reduced(self.precision, self.device):
            scores = self.network.scores(self.network(self.network.table(genes), seen))
            loss = rank_loss(scores, ranks, hidden.to(self.device))
        tally[part.genes] += int((members >= 0).sum())
        return loss, int(hidden.sum())

    def settle(self, tally: Tensor, loss: float) -> None:
        """Add the gradient of how unevenly experts are used by the genes that were read."""
        genes = torch.from_numpy(np.flatnonzero(tally.numpy())).to(self.device)
        uneven = balance(self.network.table(genes), tally.to(self.device)[genes])
        (balance_weight(loss) * uneven).backward()  # type: ignore[no-untyped-call]


def ranked(block: sp.csr_matrix, columns: Ints) -> sp.csr_matrix:
    """Soft ranks of cells over the columns that are read."""
    return soft_ranks(block[:, columns])


def sequences(part: Part, rows: Ints, *, alone: bool) -> tuple[Sequences, Ints]:
    """Cells, ``alone`` or with their neighbours, and the rows in every sequence, (B, C)."""
    members = rows[:, None]
    if alone or part.neighbours is None:
        tokens = OmniCellTokens(part.values.take(rows))
        return tokens.sequences(np.arange(len(rows))), members
    members = np.concatenate((members, part.neighbours[rows]), axis=1)
    there = np.unique(members[members >= 0])
    places = np.where(members >= 0, np.searchsorted(there, members), -1)
    near = np.full((len(there), members.shape[1] - 1), -1)
    near[places[:, 0]] = places[:, 1:]
    assert part.xy is not None
    tokens = OmniCellTokens(part.values.take(there), near, part.xy[there])
    return tokens.sequences(places[:, 0]), members


def asked_about(part: Part, members: Ints, *, training: bool) -> Tensor:
    """About which cells of a sequence to ask, (B, C) bool: in training about all but those held
    out, which are never learned from, in validation about the centre."""
    if training:
        return torch.from_numpy((members >= 0) & ~part.held[members])
    centre = np.zeros(members.shape, bool)
    centre[:, 0] = True
    return torch.from_numpy(centre)


@dataclass(frozen=True)
class OmniCellTask(Task):
    """``um_per_unit``: µm in a unit of the coordinates that the network sees."""

    network: OmniCellNetwork
    recipe: PretrainRecipe
    um_per_unit: float

    def loop(self, number: int) -> OmniCellPretrainLoop:
        """A stage, with an optimizer of its own."""
        asked = self.asked
        optimizer = torch.optim.AdamW(
            _groups(self.network, self.recipe.weight_decay),
            lr=self.recipe.learning_rate,
            betas=self.recipe.betas,
            fused=asked.device.type in ("cpu", "cuda"),
        )
        return OmniCellPretrainLoop(
            self.network, optimizer, self.recipe, self.corpus, self.stages[number], number,
            asked.config.seed, asked.device, asked.precision, asked.world,
        )  # fmt: skip

    def contents(self, learned: Sequence[str]) -> dict[str, Any]:
        """Pooled as in training, unless weights are gone on from that are pooled otherwise."""
        init, neighbours = self.asked.init, 0
        if "spatial" in learned:
            neighbours = self.recipe.neighbors
        elif init is not None:
            neighbours = neighbours_of(init.preprocessing)
        return {
            "model": KIND,
            "config": self.network.config.to_dict(),
            "preprocessing": {
                "transform": "soft rank",
                "um_per_unit": self.um_per_unit,
                "unit": _unit(self.asked.sources),
                "neighbors": neighbours,
                "hidden_value": HIDDEN,
                "pooling": "genes" if init is None else pooling_of(init.preprocessing),
            },
            "capabilities": CAPABILITIES,
        }


def omnicell_task(asked: Asked) -> OmniCellTask:
    """Read the data, and make the network or take that of a bundle."""
    init = asked.started_from(KIND)
    recipe = pretrain_recipe_of(
        asked.config, None if init is None else neighbours_of(init.preprocessing)
    )
    known = None if init is None else init.panel
    panels = [genes_of(one, known, recipe.most_genes, asked.context) for one in asked.sources]
    vocabulary = known or joined_panel(panels)
    network = _network(recipe.network, vocabulary, init)
    um = recipe.um_per_unit if init is None else float(init.preprocessing["um_per_unit"])

    def rows_of(panel: GenePanel) -> Ints:
        start = len(vocabulary)
        return np.array([start, *panel.columns_in(vocabulary), start + 1])

    corpus = corpus_of(asked, panels, ranked, rows_of, neighbours=recipe.neighbors, um_per_unit=um)
    stages = _stages(asked, recipe, corpus)
    return OmniCellTask(asked, network.to(asked.device), vocabulary, corpus, recipe, stages, um)


def _network(config: OmniCellConfig, vocabulary: GenePanel, init: Bundle | None) -> OmniCellNetwork:
    if init is None:
        return OmniCellNetwork(config, len(vocabulary) + 2)
    state = init.state()
    network = OmniCellNetwork(OmniCellConfig.from_dict(init.config), len(state["genes.weight"]))
    network.load_state_dict(state)
    return network


def _stages(asked: Asked, recipe: PretrainRecipe, corpus: Corpus) -> tuple[str, ...]:
    if corpus.in_tissue:
        return recipe.stages
    if asked.config.stage in ("spatial", "both"):
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


def _groups(network: OmniCellNetwork, decay: float) -> list[dict[str, Any]]:
    """Weight decay on matrices alone."""
    matrices = [p for p in network.parameters() if p.ndim > 1]
    gains = [p for p in network.parameters() if p.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": decay},
        {"params": gains, "weight_decay": 0.0},
    ]
