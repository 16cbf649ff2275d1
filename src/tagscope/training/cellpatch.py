"""CellPatch as it is trained to tell labels: from scratch, or from weights that were pretrained."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells, Reference
from tagscope.jobs import JobContext
from tagscope.models.base import CellBatch
from tagscope.models.bundle import Bundle
from tagscope.models.cellpatch.config import CellPatchConfig
from tagscope.models.cellpatch.model import CAPABILITIES, KIND, genes_of
from tagscope.models.cellpatch.network import CellPatchNetwork
from tagscope.models.cellpatch.start import start_from, unknown_to
from tagscope.models.cellpatch.tokenise import CellPatchPreprocessing, tokenise
from tagscope.models.device import reduced
from tagscope.models.ensemble import joined_state
from tagscope.models.novelty import NoveltyModel
from tagscope.models.preprocessing import Preprocessing
from tagscope.training.initial import Floats, gene_components, relate_genes
from tagscope.training.loop import Examples, Loop
from tagscope.training.member import Contents, shares_of
from tagscope.training.prepare import prepare
from tagscope.training.reading import Ints, ReadingMember, hide_genes
from tagscope.training.recipe import Recipe, TrainConfig, recipe_of

_PREPARING = 2  # steps: the cells, how genes vary together
_HIDDEN = 100  # width of the last hidden layer
_MOST = 5.0  # of a value, by the published script
_VALUES = {
    "default": CellPatchPreprocessing(),
    "published": CellPatchPreprocessing(most=_MOST, steps="truncated"),
    "paper": CellPatchPreprocessing(most=_MOST, steps="rounded"),
}


def default_patches(recipe: Recipe) -> CellPatchConfig:
    """The network a recipe trains where none is asked for."""
    if recipe.name == "published":
        return CellPatchConfig()
    if recipe.name == "paper":
        return CellPatchConfig(head_dropout=0.1)
    # Patches that do not attend to each other told labels as well, in half the time.
    return CellPatchConfig(head_dropout=0.3, layers=0)


@dataclass(frozen=True)
class CellPatchLoop(Loop):
    """A CellPatch being trained."""

    network: CellPatchNetwork

    @property
    def width(self) -> int:
        """Width of the last hidden layer."""
        return _HIDDEN

    @property
    def widest(self) -> int:
        """Numbers in the widest activations of a token: its scores by all patches."""
        return self.network.config.heads * self.network.config.patches

    def ask(self, batch: CellBatch) -> tuple[Tensor, Tensor]:
        """Logits (B, C) and the last hidden layer (B, 100)."""
        with reduced(self.precision, self.device):
            found = self.network(genes_of(batch))
            return self.network.logits(found.patches)

    def hide(self, batch: CellBatch, share: float, rng: np.random.Generator) -> CellBatch:
        """Cells without a random ``share`` of their genes."""
        return hide_genes(batch, share, rng)


@dataclass(frozen=True)
class CellPatchMember(ReadingMember):
    """A CellPatch, from the weights of ``init`` if any; ``components`` (G, k) are what other gene
    embeddings start from, if anything."""

    model: CellPatchConfig
    preprocessing: CellPatchPreprocessing
    components: Floats | None
    init: Bundle | None

    def start(self, device: torch.device, precision: torch.dtype) -> CellPatchLoop:
        """The network with its first weights, ready for the first epoch."""
        torch.manual_seed(self.seed)
        network = CellPatchNetwork(self.model, len(self.panel), self.labels)
        if self.init is not None:
            start_from(network, self.panel, self.init)
        elif self.components is not None:
            relate_genes(network.genes.weight[: len(self.panel)], self.components)
        return CellPatchLoop(
            network, self._optimizer(network, device), self.recipe, self.seed, device, precision,
            self._weights(device), self._ancestors(device),
        )  # fmt: skip

    def settings(self) -> dict[str, Any]:
        """The network's configuration and what it starts from."""
        start = self.components
        known = start is not None and hashlib.sha256(start.tobytes()).hexdigest()
        init = "" if self.init is None else self.init.digest
        return {"model": self.model.to_dict(), "components": known, "init": init}

    @property
    def record(self) -> dict[str, Any]:
        """The genes that the bundle it started from does not know."""
        return {} if self.init is None else {"new_genes": list(unknown_to(self.init, self.panel))}

    @property
    def panel(self) -> GenePanel:
        """The genes that it reads."""
        return self.prepared.reference.cells.panel

    @property
    def inputs(self) -> dict[str, str]:
        """The bundle it started from, and its digest."""
        if self.init is None:
            return {}
        return {"init": str(self.init.path), "init_digest": self.init.digest}

    def contents(
        self, states: Sequence[Mapping[str, Tensor]], usual: NoveltyModel | None
    ) -> Contents:
        """A bundle of the weights of this network and of others like it."""
        return Contents(
            KIND,
            replace(self.model, networks=len(states)).to_dict(),
            self.panel,
            self.preprocessing.to_dict(),
            CAPABILITIES,
            joined_state(states, usual),
        )

    def examples(self, cells: Cells, codes: Ints, context: JobContext) -> Examples:
        """Cells, encoded."""
        tokens = tokenise(cells, cells.panel, self.model, self.preprocessing, context=context)
        return Examples(tokens, codes)


def cellpatch_members(
    reference: Reference,
    init: Bundle | None,
    config: TrainConfig,
    model: CellPatchConfig | None,
    panel: GenePanel | None,
    section: Cells | None,
    context: JobContext,
) -> list[CellPatchMember]:
    """The networks to train: ``model``, the recipe's own if None, of the sizes of ``init``."""
    context.step("preparing", 0, _PREPARING)
    recipe = recipe_of(config, "cellpatch")
    prepared = prepare(reference, panel, recipe, section)
    context.step("preparing", 1, _PREPARING)
    scale = prepared.target_sum
    if init is not None:  # values as it has learned to read them
        scale = CellPatchPreprocessing.from_dict(init.preprocessing).target_sum
    values = replace(_VALUES[recipe.name], target_sum=scale)
    model = model or default_patches(recipe)
    if init is not None:
        known = CellPatchConfig.from_dict(init.config)
        model = replace(
            known, compat="none", padded_together=1, head_dropout=model.head_dropout,
            bottleneck=model.bottleneck,
        )  # fmt: skip
    shares = shares_of(prepared, recipe, config)
    model, components = replace(model, networks=len(shares)), None
    if recipe.components and init is None:
        cells = prepared.reference.cells
        sources = [cells] if section is None else [cells, section.restrict(cells.panel)]
        counted = Preprocessing(prepared.target_sum)
        components = gene_components(sources, counted, model.width, config.seed)
    return [CellPatchMember(*share, model, values, components, init) for share in shares]
