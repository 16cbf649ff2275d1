"""A CellPatch as it is pretrained: masked gene modelling on cells read alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from tagscope.core.panel import GenePanel
from tagscope.models.bundle import Bundle
from tagscope.models.cellpatch.config import CellPatchConfig
from tagscope.models.cellpatch.model import KIND, PRETRAINED
from tagscope.models.cellpatch.network import CellPatchNetwork
from tagscope.models.cellpatch.objective import told_loss
from tagscope.models.cellpatch.start import start_from, unknown_to
from tagscope.models.cellpatch.tokenise import CellPatchPreprocessing
from tagscope.models.device import reduced
from tagscope.models.preprocessing import Preprocessing
from tagscope.training.corpus import Ints, Part, genes_of, median_total
from tagscope.training.initial import corpus_components, relate_genes
from tagscope.training.pretrain_loop import PretrainLoop
from tagscope.training.pretrain_recipe import PatchPretrainRecipe, patch_recipe_of
from tagscope.training.pretrain_task import Asked, Task, corpus_of, joined_panel


@dataclass(frozen=True)
class CellPatchPretrainLoop(PretrainLoop):
    """A CellPatch that learns to tell hidden genes of cells."""

    network: CellPatchNetwork
    recipe: PatchPretrainRecipe

    def width_of(self, part: Part) -> int:
        """Numbers in the widest activations of a cell: scores of its genes by all patches, or of
        the genes that are asked for by each other."""
        config, masking = self.network.config, self.recipe.masking
        expressed = int(np.diff(part.values.starts).max(initial=1))
        asked = min(int(expressed * masking.share * (1 + masking.zeros)) + 1, masking.most_asked)
        read = min(expressed, masking.most_read)
        return config.heads * max(config.patches * read, asked * asked)

    def loss(
        self,
        part: Part,
        rows: Ints,
        seed: int,
        tally: Tensor,  # noqa: ARG002 - nothing is counted
        *,
        training: bool,  # noqa: ARG002 - what is held out is asked alike
    ) -> tuple[Tensor, int]:
        """Sum of the squared errors of the genes that were asked for, and how many they were."""
        values = part.values.take(rows)
        cells = [
            (values.indices[start:end].astype(np.int64), values.data[start:end])
            for start, end in zip(values.indptr[:-1], values.indptr[1:], strict=True)
        ]
        rng = np.random.default_rng(seed)
        masked = self.recipe.masking.draw(cells, part.genes, rng).to(self.device)
        torch.manual_seed(seed)
        with reduced(self.precision, self.device):
            patches = self.network(masked.read).patches
            told = self.network.told(patches, masked.asked, masked.padding)
            return told_loss(told, masked), int((~masked.padding).sum())


@dataclass(frozen=True)
class CellPatchTask(Task):
    """A pretraining in one stage, ``"cells"``."""

    network: CellPatchNetwork
    recipe: PatchPretrainRecipe
    target_sum: float

    def loop(self, number: int) -> CellPatchPretrainLoop:
        """The stage, with an optimizer of its own: Adam with all weights in the loss."""
        asked = self.asked
        optimizer = torch.optim.Adam(
            self.network.parameters(),
            self.recipe.learning_rate,
            weight_decay=self.recipe.weight_decay,
            fused=asked.device.type in ("cpu", "cuda"),
        )
        return CellPatchPretrainLoop(
            self.network, optimizer, self.recipe, self.corpus, self.stages[number], number,
            asked.config.seed, asked.device, asked.precision, asked.world,
        )  # fmt: skip

    def contents(self, learned: Sequence[str]) -> dict[str, Any]:  # noqa: ARG002 - there is one
        """What a bundle of the weights says."""
        return {
            "model": KIND,
            "config": self.network.config.to_dict(),
            "preprocessing": CellPatchPreprocessing(self.target_sum, "measured").to_dict(),
            "capabilities": PRETRAINED,
        }

    def record(self) -> dict[str, Any]:
        """The genes that the bundle it started from does not know."""
        if self.asked.init is None:
            return {}
        return {"new_genes": list(unknown_to(self.asked.init, self.vocabulary))}


def cellpatch_task(asked: Asked) -> CellPatchTask:
    """Read the data, and make the network, from the weights of a bundle if there is one.

    Genes that the bundle does not know are added behind its own.
    """
    init, recipe = asked.started_from(KIND), patch_recipe_of(asked.config)
    panels = [genes_of(one, None, recipe.most_genes, asked.context) for one in asked.sources]
    vocabulary = joined_panel(panels if init is None else [init.panel, *panels])
    scaled = Preprocessing(_target_sum(asked, recipe, init))
    network = _network(recipe, vocabulary, init)

    def rows_of(panel: GenePanel) -> Ints:
        return panel.columns_in(vocabulary)

    def encode(block: sp.csr_matrix, columns: Ints) -> sp.csr_matrix:
        totals = np.asarray(block.sum(axis=1), np.float64).ravel()
        return scaled.logged(block[:, columns], False, totals)

    corpus = corpus_of(asked, panels, encode, rows_of)
    if recipe.related and init is None:
        width, seed = network.config.width, asked.config.seed
        relate_genes(
            network.genes.weight[:-1], corpus_components(corpus, len(vocabulary), width, seed)
        )
    network.to(asked.device)
    return CellPatchTask(asked, network, vocabulary, corpus, recipe, ("cells",), scaled.target_sum)


def _target_sum(asked: Asked, recipe: PatchPretrainRecipe, init: Bundle | None) -> float:
    """The total that counts are scaled to: that which ``init`` has learned to read."""
    if init is not None:
        return CellPatchPreprocessing.from_dict(init.preprocessing).target_sum
    return recipe.target_sum or median_total(asked.sources, asked.context)


def _network(
    recipe: PatchPretrainRecipe, vocabulary: GenePanel, init: Bundle | None
) -> CellPatchNetwork:
    """The network with its first weights, those of ``init`` if there is one."""
    if init is None:
        return CellPatchNetwork(recipe.network, len(vocabulary))
    known = CellPatchConfig.from_dict(init.config)
    config = replace(known, compat="none", padded_together=1, networks=1)
    network = CellPatchNetwork(config, len(vocabulary))
    start_from(network, vocabulary, init)
    return network
