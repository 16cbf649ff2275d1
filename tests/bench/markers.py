"""Markers by how far OmniCell's embeddings of a gene lie apart, beside Wilcoxon's of expression.

    python tests/bench/markers.py run --out rows.jsonl --bundles DIR --task mpfc --seed 0 ...
    python tests/bench/markers.py table rows.jsonl

For every type of 20 cells or more, against all other cells, over the genes that the model reads:
the first genes of ``tagscope genes --label`` (Wasserstein distance of the gene's embeddings, of
genes that the type expresses more), and as many of scanpy's ``rank_genes_groups`` (Wilcoxon,
log-normalised counts). "AUC" is the mean over types and genes of a gene's AUC for its type by
expression: what Wilcoxon ranks by, so that its own is the best there is; "any gene" is the mean
over all genes. "By chance" is the share of genes that two random choices have in common.
"""

from __future__ import annotations

import argparse
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scanpy as sc
import scipy.sparse as sp
from anndata import AnnData

import tagscope as ts
from annotation_accuracy import shown
from omnicell_uses import DATASETS, bundle_of, cells_of, command_line, known_to
from tagscope.core.normalise import log_median
from tagscope.interpret.statistics import group_auc

TASKS = ("mpfc", "osmfish", "by3", "hypothalamus")
LEAST = 20  # cells of a type
TOP = (5, 10, 20)


@dataclass(frozen=True)
class Row:
    """The first ``top`` of ``genes`` genes, means over ``types`` types; ``found`` by embedding."""

    task: str
    seed: int
    top: int
    types: int
    genes: int
    found: float
    jaccard: float
    overlap: float
    auc: float
    wilcoxon_auc: float
    any_auc: float


@dataclass(frozen=True)
class Choices:
    """Genes of every type, the best first, as columns of the panel; AUC (types, genes) of all."""

    embedded: list[np.ndarray]
    wilcoxon: list[np.ndarray]
    auc: np.ndarray

    def row(self, task: str, seed: int, top: int) -> Row:
        """Compare the first ``top`` of every type, or as many as there are by embedding."""
        pairs = [
            (own[:top], other[: min(top, len(own))])
            for own, other in zip(self.embedded, self.wilcoxon, strict=True)
        ]
        sizes = [len(own) for own, _ in pairs]
        both = np.array([len(np.intersect1d(*pair)) for pair in pairs])
        either = np.array([len(np.union1d(*pair)) for pair in pairs])
        reached = [
            np.mean([self.auc[code, pair[side]].mean() for code, pair in enumerate(pairs)])
            for side in (0, 1)
        ]
        means = (sizes, both / either, both / sizes)
        return Row(
            task, seed, top, *self.auc.shape, *(float(np.mean(one)) for one in means),
            *map(float, reached), float(self.auc.mean()),
        )  # fmt: skip


def scored(task: str, seed: int, options: argparse.Namespace) -> Iterator[Row]:
    bundle, given = bundle_of(task, seed, options), cells_of(task)
    cells = known_to(bundle, given.cells)
    names, counts = np.unique(given.types, return_counts=True)
    names = names[counts >= LEAST]
    codes, expression = pd.Index(names).get_indexer(given.types), log_median(cells)
    genes = pd.Index(cells.panel.symbols)
    found = embedded_markers(task, seed, bundle), wilcoxon(expression, genes, names, codes)
    ranked = [
        [genes.get_indexer(one.loc[one["group"] == name, "gene"]) for name in names]
        for one in found
    ]
    choices = Choices(*ranked, areas(expression, codes, len(names)))
    yield from (choices.row(task, seed, top) for top in TOP if top <= len(genes) / 6)


def embedded_markers(task: str, seed: int, bundle: ts.Bundle) -> pd.DataFrame:
    """Columns group and gene, the best first."""
    dataset = DATASETS[task]
    config = ts.GeneConfig(epochs=1, seed=seed, device="cpu")  # markers need no more of it
    found = ts.gene_embeddings(
        dataset.path, bundle, config, label=dataset.types, top=len(bundle.panel),
        sections=dataset.batch or None,
    )  # fmt: skip
    assert found.markers is not None
    return found.markers


def wilcoxon(
    expression: sp.csr_matrix, genes: pd.Index, names: np.ndarray, codes: np.ndarray
) -> pd.DataFrame:
    """Columns group and gene, the best first; cells of no group are among the others."""
    groups = np.where(codes >= 0, names[codes], "other")
    rows = np.arange(len(groups)).astype(str)
    table = AnnData(expression, pd.DataFrame({"type": pd.Categorical(groups)}, index=rows))
    table.var_names = genes
    with warnings.catch_warnings():  # scanpy adds columns one by one
        warnings.simplefilter("ignore", pd.errors.PerformanceWarning)
        sc.tl.rank_genes_groups(table, "type", groups=list(names), method="wilcoxon")
    return sc.get.rank_genes_groups_df(table, None).rename(columns={"names": "gene"})


def areas(expression: sp.csr_matrix, codes: np.ndarray, types: int) -> np.ndarray:
    """AUC of every gene for every type, (types, genes)."""
    columns, sizes = sp.csc_matrix(expression), np.bincount(codes[codes >= 0], minlength=types)
    return np.stack(
        [group_auc(columns, gene, codes, sizes) for gene in range(columns.shape[1])], axis=1
    )


def table(rows: list[dict[str, Any]]) -> None:
    of: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        of[row["task"], row["top"]].append(row)
    print("| data | types | genes | first | found | seeds | Jaccard | overlap | by chance "
          "| AUC: embedding | Wilcoxon | any gene |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for (task, top), group in of.items():
        types, genes = group[0]["types"], group[0]["genes"]
        found = shown(group, "found")
        said = [shown(group, name) for name in ("jaccard", "overlap")]
        reached = [shown(group, name) for name in ("auc", "wilcoxon_auc", "any_auc")]
        chance = f"{top / genes:.3f}"
        line = [DATASETS[task].name, types, genes, top, found, len(group), *said, chance]
        print("| " + " | ".join(map(str, (*line, *reached))) + " |")


if __name__ == "__main__":
    command_line(__doc__, TASKS, scored, table)
