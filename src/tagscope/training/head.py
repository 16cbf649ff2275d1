"""Labels told from an OmniCell's embeddings: cells are embedded once, and a head is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells, Reference
from tagscope.io.cell_source import source_of
from tagscope.jobs import JobContext
from tagscope.models.base import CellBatch
from tagscope.models.bundle import Bundle
from tagscope.models.device import choose_device, choose_precision, reduced
from tagscope.models.novelty import NoveltyModel
from tagscope.models.omnicell.annotator import CAPABILITIES, annotator_state
from tagscope.models.omnicell.config import HeadConfig
from tagscope.models.omnicell.embedded import embedded
from tagscope.models.omnicell.head import LabelHead
from tagscope.models.omnicell.model import KIND, OmniCell
from tagscope.models.registry import load_omnicell
from tagscope.training.corpus import genes_of
from tagscope.training.loop import Examples, Loop
from tagscope.training.member import Contents, Member, shares_of
from tagscope.training.prepare import Prepared, prepare
from tagscope.training.recipe import Recipe, TrainConfig, recipe_of

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def default_head(recipe: Recipe) -> HeadConfig:
    """The head a recipe trains where none is asked for."""
    return HeadConfig(dropout=0.0, whiten=False) if recipe.name == "published" else HeadConfig()


@dataclass(frozen=True)
class Embedded:
    """N cells as a head reads them: ``values`` (N, d), every channel a token."""

    values: Floats

    def __len__(self) -> int:
        return len(self.values)

    @property
    def lengths(self) -> Ints:
        """d for every cell, (N,)."""
        return np.full(len(self.values), self.values.shape[1], np.int64)

    def batch(self, rows: Ints) -> CellBatch:
        """The given cells."""
        values = torch.from_numpy(self.values[rows])
        nothing = torch.zeros(1, 1, dtype=torch.int64).expand(values.shape)
        return CellBatch(nothing, nothing, nothing > 0, rows, values=values)


@dataclass(frozen=True)
class HeadLoop(Loop):
    """A head being trained."""

    network: LabelHead

    @property
    def width(self) -> int:
        """d, the width of the embedding."""
        return len(self.network.mean)

    @property
    def widest(self) -> int:
        """Numbers for every channel of an embedding."""
        return 1

    def ask(self, batch: CellBatch) -> tuple[Tensor, Tensor]:
        """Logits (B, C) and the embedding itself (B, d)."""
        assert batch.values is not None
        with reduced(self.precision, self.device):
            return self.network(batch.values), batch.values


@dataclass(frozen=True)
class HeadMember(Member):
    """A head on the embeddings ``values`` (N, d) that ``omnicell`` of ``init`` gives the cells."""

    model: HeadConfig
    omnicell: OmniCell
    init: Bundle
    values: Floats

    def training(self, epoch: int, context: JobContext) -> Examples:  # noqa: ARG002
        """The training cells, the same in every epoch."""
        return self._examples(self.split.training)

    def validation(self, context: JobContext) -> Examples:  # noqa: ARG002
        """The validation cells."""
        return self._examples(self.split.validation)

    def training_as_validation(self, most: int, context: JobContext) -> Examples:  # noqa: ARG002
        """At most so many training cells."""
        rng, rows = np.random.default_rng([self.seed, 6]), self.split.training
        if len(rows) > most:
            rows = np.sort(rng.choice(rows, most, replace=False))
        return self._examples(rows)

    def start(self, device: torch.device, precision: torch.dtype) -> HeadLoop:
        """The head with its first weights, ready for the first epoch."""
        torch.manual_seed(self.seed)
        head = LabelHead(self.model, self.values.shape[1], self.labels)
        if self.model.whiten:
            head.whiten(torch.from_numpy(self.values[self.split.training]))
        return HeadLoop(
            head, self._optimizer(head, device), self.recipe, self.seed, device, precision,
            self._weights(device), self._ancestors(device),
        )  # fmt: skip

    def settings(self) -> dict[str, Any]:
        """The head's configuration and the OmniCell that it reads."""
        return {"head": self.model.to_dict(), "init": self.init.digest}

    @property
    def inputs(self) -> dict[str, str]:
        """The OmniCell, and its digest."""
        return {"init": str(self.init.path), "init_digest": self.init.digest}

    def contents(
        self, states: Sequence[Mapping[str, Tensor]], usual: NoveltyModel | None
    ) -> Contents:
        """A bundle of the OmniCell over the genes that were read, and of these heads."""
        head = replace(self.model, networks=len(states))
        return Contents(
            KIND,
            {**self.omnicell.config.to_dict(), "head": head.to_dict()},
            self.omnicell.vocabulary,
            self.init.preprocessing,
            CAPABILITIES,
            annotator_state(self.omnicell.network.state_dict(), states, usual),
        )

    def _examples(self, rows: Ints) -> Examples:
        return Examples(Embedded(self.values[rows]), self.prepared.reference.codes[rows])


def head_members(
    reference: Reference,
    init: Bundle,
    config: TrainConfig,
    model: HeadConfig | None,
    panel: GenePanel | None,
    section: Cells | None,
    context: JobContext,
) -> list[Member]:
    """The heads to train: ``model``, the recipe's own if None, on embeddings by ``init``.

    All cells are embedded here, over the genes that the OmniCell knows, as the section measures
    them.
    """
    recipe = recipe_of(config, "omnicell")
    model = model or default_head(recipe)
    known = init.panel if panel is None else init.panel.take(init.panel.shared_with(panel))
    genes = genes_of(source_of(reference.cells, "the reference"), known, model.most_genes, context)
    prepared = prepare(reference, genes, recipe, section)
    prepared = replace(prepared, notes=(*prepared.notes, f"cells embedded by {init.path.name}"))
    device = choose_device(config.device)
    omnicell = load_omnicell(init, device).over(prepared.reference.cells.panel)
    with reduced(choose_precision(config.precision, device), device):
        values = _values(omnicell, prepared, config.seed, context)
    shares = shares_of(prepared, recipe, config)
    model = replace(model, networks=len(shares))
    return [HeadMember(*share, model, omnicell, init, values) for share in shares]


def _values(omnicell: OmniCell, prepared: Prepared, seed: int, context: JobContext) -> Floats:
    """Embeddings of all cells, (N, d)."""
    cells, measured = prepared.reference.cells, prepared.measured
    if measured is not None:
        cells = measured.of(cells, np.random.default_rng([seed, 3]))
    reading = omnicell.reading(cells.panel)
    return embedded(omnicell, omnicell.read(cells, reading), reading, context)
