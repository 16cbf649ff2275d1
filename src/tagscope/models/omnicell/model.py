"""A trained OmniCell, as the rest of TAGscope asks it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from tagscope.core.neighbours import nearest_others
from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells, Section
from tagscope.errors import BundleError, InputError
from tagscope.io.findings import listed
from tagscope.models.base import Capability
from tagscope.models.omnicell.config import OmniCellConfig
from tagscope.models.omnicell.network import GeneTable, OmniCellNetwork, Sequences
from tagscope.models.omnicell.tokenise import OmniCellTokens, soft_ranks

KIND = "omnicell"
CAPABILITIES = frozenset({Capability.EMBED})
Pooling = Literal["genes", "expressed"]
NEIGHBOURS = 9  # read with a cell, in the paper (C = 10)
SMALLEST_NORM = 1e-7  # of an embedding that is divided by its length


@dataclass(frozen=True)
class Reading:
    """Which genes a section is read over, and how its cells are put into sequences.

    ``genes`` in the order they are read, as columns of the model's vocabulary, ``columns`` those of
    the section; ``neighbours`` of every cell are read with it; ``expressed`` leaves out of each
    cell the genes that it does not express.
    """

    genes: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    neighbours: int = 0
    expressed: bool = False


@dataclass
class OmniCell:
    """An OmniCell network with its vocabulary; the rows after it are start and end.

    ``um_per_unit``: how many µm a unit of the coordinates was that it learned with. ``pooling``:
    what a cell's embedding is the mean of, the hidden states of all its genes, as in pretraining,
    or of those that it expresses, as in the published code. ``neighbours`` of a cell that it
    learned to read with it.
    """

    network: OmniCellNetwork
    vocabulary: GenePanel
    um_per_unit: float = 1.0
    pooling: Pooling = "expressed"
    neighbours: int = NEIGHBOURS
    capabilities: frozenset[Capability] = CAPABILITIES
    _table: tuple[bytes, torch.dtype, GeneTable] | None = field(default=None, init=False)

    @property
    def config(self) -> OmniCellConfig:
        """The network's configuration."""
        return self.network.config

    @property
    def bytes_per_token(self) -> int:
        """Memory that one token takes while a batch is read, in bytes."""
        return 4 * (8 * self.config.width + 3 * self.config.ffn)

    def reading(
        self,
        panel: GenePanel,
        genes: Sequence[str] | None = None,
        neighbours: int = 0,
        *,
        expressed: bool = False,
    ) -> Reading:
        """How a section of ``panel`` is read: over ``genes``, by symbol or Ensembl id, in their
        order, or over all that the vocabulary knows, in the order of their names.

        Raises
        ------
        InputError
            If the vocabulary knows none of them.
        """
        names = tuple(sorted(panel.symbols) if genes is None else genes)
        asked = GenePanel(names, names).columns_in(panel)
        known = panel.columns_in(self.vocabulary)
        columns = asked[(asked >= 0) & (known[asked] >= 0)]
        _, firsts = np.unique(
            known[columns], return_index=True
        )  # a gene of two columns is read once
        columns = columns[np.sort(firsts)]
        if not len(columns):
            raise InputError(
                f"OmniCell knows none of the {len(names)} genes ({listed(names, 3)}).",
                f"It knows {len(self.vocabulary)} ({listed(self.vocabulary.symbols, 3)}).",
                "Check species and kind of gene ids; a table of orthologues takes mouse to human.",
                {"orthologues": None},
            )
        return Reading(known[columns], columns, neighbours, expressed)

    def over(self, panel: GenePanel) -> OmniCell:
        """The same network, whose vocabulary is the genes of ``panel`` that it knows.

        Raises
        ------
        InputError
            If it knows none of them.
        """
        genes, start = self.reading(panel).genes, len(self.vocabulary)
        rows = torch.from_numpy(np.concatenate((genes, [start, start + 1])))
        network, weight = copy.deepcopy(self.network), self.network.genes.weight.detach()
        kept = weight[rows.to(weight.device)]
        network.genes = nn.Embedding(len(rows), self.config.width, _weight=kept)
        return replace(self, network=network, vocabulary=self.vocabulary.take(genes))

    def read(self, asked: Section | Cells, reading: Reading) -> OmniCellTokens:
        """Cells as sequences; those of a section may be read with their neighbours.

        Raises
        ------
        InputError
            If values are negative or missing.
        """
        cells = asked.cells if isinstance(asked, Section) else asked
        values = cells.values[:, reading.columns]
        if not np.isfinite(values.data).all() or (values.data < 0).any():
            raise InputError(
                "The expression values hold negative or missing numbers.",
                "Counts are needed, or other values of which 0 is the least.",
                "Name the layer with counts; z-scores cannot be read.",
                {"layer": None},
            )
        ranks = soft_ranks(values)
        if reading.neighbours == 0:
            return OmniCellTokens(ranks, expressed=reading.expressed)
        if not isinstance(asked, Section):
            raise ValueError("cells without places have no neighbours")
        pieces = None if asked.pieces is None else asked.pieces.codes
        near = nearest_others(asked.own_xy, reading.neighbours, pieces)
        return OmniCellTokens(ranks, near, asked.own_xy / self.um_per_unit, reading.expressed)

    def rows(self, reading: Reading) -> npt.NDArray[np.int64]:
        """Rows of the embedding that are read: the start, the genes, the end."""
        start = len(self.vocabulary)
        return np.concatenate(([start], reading.genes, [start + 1]))

    def table(self, reading: Reading) -> GeneTable:
        """The genes that are read, between start and end, as the network takes them."""
        weight = self.network.genes.weight
        key = reading.genes.tobytes()
        if (
            self._table is None
            or self._table[:2] != (key, weight.dtype)
            or (self._table[2].names.device != weight.device)
        ):
            found = self.network.table(torch.from_numpy(self.rows(reading)).to(weight.device))
            self._table = key, weight.dtype, found
        return self._table[2]

    def to(self, device: torch.device, precision: torch.dtype = torch.float32) -> OmniCell:
        """Move the weights to ``device``, in ``precision``, and return the model."""
        self._table = None
        self.network.to(device, precision)
        return self

    @torch.inference_mode()
    def embed(
        self, tokens: OmniCellTokens, reading: Reading, rows: npt.NDArray[np.int64], *,
        cells: int | None = None,
    ) -> Tensor:  # fmt: skip
        """Embeddings of the given cells and their neighbours, (B, C', d) float32, of length 1.

        C' = ``cells``, the centre first; all if None. It is 0 where no gene is pooled.
        """
        read = tokens.sequences(rows).to(self.network.head.device)
        table, counted = self.table(reading), self.counted(read)
        hidden = self.network.eval().pooled(table, read, counted, cells=cells)
        return F.normalize(hidden, dim=-1, eps=SMALLEST_NORM)

    def counted(self, read: Sequences) -> Tensor:
        """The tokens that are pooled, (B, C, t) bool: neither start, end nor padding."""
        if self.pooling == "expressed" or read.genes.dim() > 1:  # of own genes, all are expressed
            return read.values > 0
        counted = torch.ones_like(read.values, dtype=torch.bool)
        counted[..., 0] = counted[..., -1] = False
        return counted if read.padding is None else counted & ~read.padding

    @torch.no_grad()
    def basis(self, threshold: float) -> Tensor:
        """Projection basis (d, m): eigenvectors of the head, by the size of their eigenvalues,
        as few as hold ``threshold`` of the sum of all sizes."""
        values, vectors = torch.linalg.eigh(self.network.symmetric_head().float().cpu())
        order = values.abs().argsort(descending=True)
        shares = values.abs()[order].cumsum(0) / values.abs().sum()
        found: Tensor = vectors[:, order[: int((shares < threshold).sum()) + 1]]
        return found


def neighbours_of(preprocessing: dict[str, Any]) -> int:
    """Cells that a bundle's network has learned to read with each; 9 where it does not say."""
    return int(preprocessing.get("neighbors", NEIGHBOURS))


def pooling_of(preprocessing: dict[str, Any]) -> Pooling:
    """What a bundle's embeddings are means of; the published way where it does not say.

    Raises
    ------
    BundleError
        If it names another way.
    """
    found: Pooling = preprocessing.get("pooling", "expressed")
    if found not in get_args(Pooling):
        raise BundleError(
            f"The bundle pools {found!r}.",
            "Its embeddings are means of genes or of expressed.",
            "Train or copy the model again.",
            {"bundle": None},
        )
    return found
