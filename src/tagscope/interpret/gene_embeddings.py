"""Genes of a section as a model sees them: embeddings, modules, a map, markers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from anndata import AnnData

from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.core.provenance import Provenance
from tagscope.core.section import Cells, Section
from tagscope.errors import ArgumentError
from tagscope.inference.genes import (
    CellGeneStates,
    GeneConfig,
    cell_gene_states,
    genes_of_data_set,
    provenance_of,
)
from tagscope.interpret.embedded_markers import marker_scores, ranked_markers
from tagscope.interpret.patches import listed_genes
from tagscope.io.atomic import written_whole
from tagscope.jobs import JobContext
from tagscope.models.cellpatch.model import CellPatch
from tagscope.models.omnicell.model import OmniCell

_LIKE = 15  # genes that a gene is joined to, for modules
_FEWEST = 4
_DIGITS = 6


@dataclass(frozen=True)
class GeneEmbeddings:
    """Genes in the whole data set.

    ``values`` (n, m) float32 of the n genes of ``panel``; ``modules`` (n,) int64 the co-expression
    module of each, the largest 0; ``umap`` (n, 2) float32 a map on which genes of like embeddings
    are near each other; ``markers`` the markers of every label, None without labels, with columns
    group, rank, gene, score.
    """

    panel: GenePanel
    values: npt.NDArray[np.float32]
    modules: npt.NDArray[np.int64]
    umap: npt.NDArray[np.float32]
    markers: pd.DataFrame | None
    provenance: Provenance

    def nearest(self, symbol: str, count: int = 10) -> pd.DataFrame:
        """The genes most like one, by the cosine of their embeddings: columns gene, cosine.

        Raises
        ------
        ArgumentError
            If the gene is not among them.
        """
        position = self.panel.position(symbol)
        if position < 0:
            raise ArgumentError(
                f"The gene {symbol!r} is not among the {len(self.panel)} that were embedded.",
                "A gene that section and model know is needed.",
                "Check the spelling, or embed more genes.",
                {"nearest": None},
            )
        unit = _unit(self.values)
        likeness = unit @ unit[position]
        likeness[position] = -np.inf
        order = np.argsort(-likeness, kind="stable")[: min(count, len(self.panel) - 1)]
        names = [self.panel.symbols[row] for row in order]
        return pd.DataFrame({"gene": names, "cosine": likeness[order]})

    def leading(self, module: int, count: int = 3) -> tuple[str, ...]:
        """The genes most like the mean of a module, the most like first."""
        members = np.flatnonzero(self.modules == module)
        unit = _unit(self.values[members])
        order = np.argsort(-(unit @ unit.sum(axis=0)), kind="stable")[:count]
        return tuple(self.panel.symbols[row] for row in members[order])

    def write(self, folder: Path, *, overwrite: bool = False) -> Path:
        """``embeddings.parquet``, ``modules.csv``, ``map.csv`` and ``map.png``, ``markers.csv`` and
        ``provenance.json``."""
        from tagscope.interpret.gene_map import gene_map  # slow to import
        from tagscope.interpret.heatmap import write_figure

        with written_whole(Path(folder), overwrite=overwrite) as out:
            out.mkdir()
            frame = pd.DataFrame(self.values, index=pd.Index(self.panel.symbols, name="gene"))
            frame.columns = [f"e{column}" for column in frame]
            frame.to_parquet(out / "embeddings.parquet")
            modules = pd.DataFrame({"gene": self.panel.symbols, "module": self.modules})
            modules.sort_values(["module", "gene"]).to_csv(out / "modules.csv", index=False)
            places = {"gene": self.panel.symbols, "module": self.modules}
            places |= {"umap_1": self.umap[:, 0], "umap_2": self.umap[:, 1]}
            pd.DataFrame(places).round(_DIGITS).to_csv(out / "map.csv", index=False)
            write_figure(gene_map(self), out / "map.png")
            if self.markers is not None:
                self.markers.round(_DIGITS).to_csv(out / "markers.csv", index=False)
            (out / "provenance.json").write_text(self.provenance.to_json(), encoding="utf-8")
        return folder


def gene_embeddings(
    section: Section,
    model: OmniCell,
    config: GeneConfig | None = None,
    *,
    gene_list: tuple[str, ...] | None = None,
    labels: tuple[LabelSet, npt.NDArray[np.int64]] | None = None,
    top: int = 50,
    inputs: dict[str, str] | None = None,
    context: JobContext | None = None,
) -> GeneEmbeddings:
    """Embed the genes of a section (OmniCell's "GeneFormer"), and find modules and markers.

    ``labels`` are names and the cells' codes (N,), −1 for none; ``top`` markers of each are looked
    at. Cells are read alone.
    """
    config, context, began = config or GeneConfig(), context or JobContext(), time.monotonic()
    with cell_gene_states(section, model, config, gene_list=gene_list, context=context) as found:
        expression = section.cells.values[:, found.columns]
        values = genes_of_data_set(found, expression.toarray(), config, context)
        markers = None
        if labels is not None:
            names, codes = labels
            scores = _scores(found, codes, len(names), context)
            markers = ranked_markers(
                scores, expression, codes, names.names, found.panel.symbols, top=top
            )
        panel = found.panel
    extra = {"cells": len(section), "genes": len(panel), "top": top}
    record = provenance_of(config, dict(inputs or {}), time.monotonic() - began, extra)
    return GeneEmbeddings(panel, values, *modules_and_map(values, config.seed), markers, record)


def cellpatch_genes(
    cells: Cells,
    model: CellPatch,
    config: GeneConfig | None = None,
    *,
    gene_list: tuple[str, ...] | None = None,
    inputs: dict[str, str] | None = None,
) -> GeneEmbeddings:
    """The tokens of a CellPatch's genes, of those that a section measures.

    They are the model's first network's and the same in all cells, so that there are no markers.

    Raises
    ------
    ArgumentError
        If a listed gene is not known to section and model.
    InputError
        If they share fewer than two genes.
    """
    config, began = config or GeneConfig(), time.monotonic()
    panel = cells.panel.take(
        listed_genes(cells, model.vocabulary, config.n_genes or len(cells.panel), gene_list)
    )
    rows = torch.from_numpy(panel.columns_in(model.vocabulary))
    table = model.networks[0].genes.weight.detach().cpu()
    values = np.asarray(table[rows].numpy(), np.float32)
    grouped = modules_and_map(values, config.seed)
    extra = {"genes": len(panel), "network": 0, "networks": len(model.networks)}
    record = provenance_of(config, dict(inputs or {}), time.monotonic() - began, extra)
    return GeneEmbeddings(panel, values, *grouped, None, record)


def modules_and_map(
    values: npt.NDArray[np.float32], seed: int = 0
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Groups of genes of like embeddings, (n,), the largest 0, and places on a map, (n, 2).

    Leiden and UMAP on a graph of neighbours by cosine; fewer than four genes have no map.
    """
    if len(values) < _FEWEST:
        return np.zeros(len(values), np.int64), np.zeros((len(values), 2), np.float32)
    import scanpy as sc  # slow to import

    table = AnnData(np.ascontiguousarray(values))
    near = min(_LIKE, len(values) - 1)
    sc.pp.neighbors(table, n_neighbors=near, use_rep="X", metric="cosine", random_state=seed)
    sc.tl.leiden(table, flavor="igraph", n_iterations=2, directed=False, random_state=seed)
    codes = table.obs["leiden"].astype(int).to_numpy()
    by_size = np.argsort(-np.bincount(codes), kind="stable")
    sc.tl.umap(table, random_state=seed)
    modules = np.asarray(np.argsort(by_size)[codes], dtype=np.int64)
    return modules, np.asarray(table.obsm["X_umap"], dtype=np.float32)


def _unit(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Rows of length 1."""
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.maximum(lengths, 1e-12), np.float32)


def _scores(
    found: CellGeneStates, codes: npt.NDArray[np.int64], groups: int, context: JobContext
) -> npt.NDArray[np.float64]:
    columns = []
    for gene in range(len(found.panel)):
        context.step("comparing genes", gene, len(found.panel))
        columns.append(marker_scores(np.asarray(found.states[:, gene]), codes, groups))
    return np.stack(columns, axis=1)
