"""CellMemory as it is trained: tokens of cells, hidden genes, first weights."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells, Reference
from tagscope.jobs import JobContext
from tagscope.models.base import CellBatch
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.cellmemory.model import CAPABILITIES, KIND
from tagscope.models.cellmemory.network import CellMemoryNetwork
from tagscope.models.cellmemory.tokenise import tokenise
from tagscope.models.device import reduced
from tagscope.models.ensemble import joined_state
from tagscope.models.novelty import NoveltyModel
from tagscope.models.preprocessing import Preprocessing
from tagscope.training.initial import Floats, gene_components, order_tokens, relate_genes
from tagscope.training.loop import Examples, Loop
from tagscope.training.member import Contents, Member, shares_of
from tagscope.training.prepare import Prepared, prepare
from tagscope.training.reading import ReadingMember, hide_genes
from tagscope.training.recipe import Recipe, TrainConfig, recipe_of

Ints = npt.NDArray[np.int64]

_PREPARING = 3  # steps: the cells, their values, how genes vary together
_CELLS = 1 << 16  # that are looked at between two reports


def default_model(recipe: Recipe) -> CellMemoryConfig:
    """The network a recipe trains where none is asked for."""
    if recipe.published:
        return CellMemoryConfig()
    return CellMemoryConfig(encoding="both", resolution=4.0, width=64, ffn=128, layers=2)


@dataclass(frozen=True)
class CellMemoryLoop(Loop):
    """A CellMemory being trained."""

    network: CellMemoryNetwork

    @property
    def width(self) -> int:
        """d, the width of the CLS vector."""
        return self.network.config.width

    @property
    def widest(self) -> int:
        """Numbers in the widest activations of a token."""
        return max(self.network.config.ffn, self.network.config.width)

    def ask(self, batch: CellBatch) -> tuple[Tensor, Tensor]:
        """Logits (B, C) and CLS vectors (B, d)."""
        with reduced(self.precision, self.device):
            said = self.network(batch.tokens, batch.genes, batch.padding)
        return said.logits, said.embedding

    def hide(self, batch: CellBatch, share: float, rng: np.random.Generator) -> CellBatch:
        """Cells without a random ``share`` of their genes."""
        return hide_genes(batch, share, rng, alike=self.network.config.mode == "full")


@dataclass(frozen=True)
class CellMemoryMember(ReadingMember):
    """A CellMemory; ``components`` (G, k) are what its gene embeddings start from, if anything."""

    model: CellMemoryConfig
    preprocessing: Preprocessing
    components: Floats | None

    def start(self, device: torch.device, precision: torch.dtype) -> CellMemoryLoop:
        """The network with its first weights, ready for the first epoch."""
        torch.manual_seed(self.seed)
        genes = len(self.prepared.reference.cells.panel)
        network = CellMemoryNetwork(self.model, genes, self.labels)
        if not self.recipe.published:
            order_tokens(network)
        if self.components is not None:
            relate_genes(network.genes.weight[1 : genes + 1], self.components)
        return CellMemoryLoop(
            network, self._optimizer(network, device), self.recipe, self.seed, device, precision,
            self._weights(device), self._ancestors(device),
        )  # fmt: skip

    def settings(self) -> dict[str, Any]:
        """The network's configuration and what it starts from."""
        start = self.components
        known = start is not None and hashlib.sha256(start.tobytes()).hexdigest()
        return {"model": self.model.to_dict(), "components": known}

    def contents(
        self, states: Sequence[Mapping[str, Tensor]], usual: NoveltyModel | None
    ) -> Contents:
        """A bundle of the weights of this network and of others like it."""
        return Contents(
            KIND,
            replace(self.model, networks=len(states)).to_dict(),
            self.prepared.reference.cells.panel,
            self.preprocessing.to_dict(),
            CAPABILITIES,
            joined_state(states, usual),
        )

    def examples(self, cells: Cells, codes: Ints, context: JobContext) -> Examples:
        """Cells, encoded."""
        tokens = tokenise(
            cells, cells.panel, self.model, self.preprocessing, seed=self.seed, context=context
        )
        return Examples(tokens, codes)


def cellmemory_members(
    reference: Reference,
    config: TrainConfig,
    model: CellMemoryConfig | None,
    panel: GenePanel | None,
    section: Cells | None,
    context: JobContext,
) -> list[Member]:
    """The networks to train: ``model``, the recipe's own if None."""
    context.step("preparing", 0, _PREPARING)
    recipe = recipe_of(config)
    prepared = prepare(reference, panel, recipe, section)
    preprocessing = Preprocessing(prepared.target_sum)
    context.step("preparing", 1, _PREPARING)
    shares = shares_of(prepared, recipe, config)
    model = _sized(model or default_model(recipe), prepared, preprocessing, context)
    model = replace(model, networks=len(shares))
    components = None
    context.step("preparing", 2, _PREPARING)
    if recipe.components:
        cells = prepared.reference.cells
        sources = [cells] if section is None else [cells, section.restrict(cells.panel)]
        components = gene_components(sources, preprocessing, model.width, config.seed)
    return [CellMemoryMember(*share, model, preprocessing, components) for share in shares]


def _sized(
    model: CellMemoryConfig, prepared: Prepared, preprocessing: Preprocessing, context: JobContext
) -> CellMemoryConfig:
    """Rounded values need no more tokens than the reference has."""
    if model.encoding == "bins":
        return model
    value, cells = np.float32(0), prepared.reference.cells
    for start in range(0, len(cells), _CELLS):
        context.step("preparing", 1, _PREPARING)
        block = cells.take(np.arange(start, min(start + _CELLS, len(cells))))
        value = preprocessing.apply(block).data.max(initial=value)
    largest = math.ceil(value * model.resolution)
    if model.encoding == "both":
        return replace(model, max_value=max(1, min(model.max_value, largest)))
    return replace(model, max_bin=max(2, min(model.max_bin, largest)))
