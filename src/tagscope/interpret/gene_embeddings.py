"""Genes of a section as a model sees them: embeddings, modules, markers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from anndata import AnnData

from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.core.provenance import Provenance
from tagscope.core.section import Section
from tagscope.inference.genes import (
    CellGeneStates,
    GeneConfig,
    cell_gene_states,
    genes_of_data_set,
    provenance_of,
)
from tagscope.interpret.embedded_markers import marker_scores, ranked_markers
from tagscope.io.atomic import written_whole
from tagscope.jobs import JobContext
from tagscope.models.omnicell.model import OmniCell

_LIKE = 15  # genes that a gene is joined to, for modules
_DIGITS = 6


@dataclass(frozen=True)
class GeneEmbeddings:
    """Genes in the whole data set.

    ``values`` (n, m) float32 of the n genes of ``panel``; ``modules`` (n,) int64 the co-expression
    module of each, the largest 0; ``markers`` the markers of every label, None without labels, with
    columns group, rank, gene, score.
    """

    panel: GenePanel
    values: npt.NDArray[np.float32]
    modules: npt.NDArray[np.int64]
    markers: pd.DataFrame | None
    provenance: Provenance

    def nearest(self, symbol: str, count: int = 10) -> pd.DataFrame:
        """The genes most like one, by the cosine of their embeddings: columns gene, cosine.

        Raises
        ------
        KeyError
            If the gene is not among them.
        """
        position = self.panel.position(symbol)
        if position < 0:
            raise KeyError(symbol)
        unit = self.values / np.maximum(np.linalg.norm(self.values, axis=1, keepdims=True), 1e-12)
        likeness = unit @ unit[position]
        likeness[position] = -np.inf
        order = np.argsort(-likeness, kind="stable")[: min(count, len(self.panel) - 1)]
        names = [self.panel.symbols[row] for row in order]
        return pd.DataFrame({"gene": names, "cosine": likeness[order]})

    def write(self, folder: Path, *, overwrite: bool = False) -> Path:
        """``embeddings.parquet``, ``modules.csv``, ``markers.csv`` and ``provenance.json``."""
        with written_whole(Path(folder), overwrite=overwrite) as out:
            out.mkdir()
            frame = pd.DataFrame(self.values, index=pd.Index(self.panel.symbols, name="gene"))
            frame.columns = [f"e{column}" for column in frame]
            frame.to_parquet(out / "embeddings.parquet")
            modules = pd.DataFrame({"gene": self.panel.symbols, "module": self.modules})
            modules.sort_values(["module", "gene"]).to_csv(out / "modules.csv", index=False)
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
    return GeneEmbeddings(panel, values, modules_of(values, config.seed), markers, record)


def modules_of(values: npt.NDArray[np.float32], seed: int = 0) -> npt.NDArray[np.int64]:
    """Groups of genes of like embeddings, (n,), the largest 0: Leiden on a graph by cosine."""
    if len(values) < 3:
        return np.zeros(len(values), np.int64)
    import scanpy as sc  # slow to import

    table = AnnData(np.ascontiguousarray(values))
    near = min(_LIKE, len(values) - 1)
    sc.pp.neighbors(table, n_neighbors=near, use_rep="X", metric="cosine", random_state=seed)
    sc.tl.leiden(table, flavor="igraph", n_iterations=2, directed=False, random_state=seed)
    codes = table.obs["leiden"].astype(int).to_numpy()
    by_size = np.argsort(-np.bincount(codes), kind="stable")
    return np.asarray(np.argsort(by_size)[codes], dtype=np.int64)


def _scores(
    found: CellGeneStates, codes: npt.NDArray[np.int64], groups: int, context: JobContext
) -> npt.NDArray[np.float64]:
    columns = []
    for gene in range(len(found.panel)):
        context.step("comparing genes", gene, len(found.panel))
        columns.append(marker_scores(np.asarray(found.states[:, gene]), codes, groups))
    return np.stack(columns, axis=1)
