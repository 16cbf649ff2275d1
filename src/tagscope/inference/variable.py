"""The genes of a section that vary most."""

from __future__ import annotations

import numpy as np
from anndata import AnnData

from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells


def most_variable(cells: Cells, vocabulary: GenePanel, count: int) -> tuple[str, ...]:
    """The symbols of the ``count`` genes that vary most, of those in ``vocabulary``, by name.

    By the variance of standardised counts (Stuart et al. 2019; scanpy's ``seurat_v3``); all where
    there are no more.
    """
    known = np.flatnonzero(cells.panel.columns_in(vocabulary) >= 0)
    names = np.array(cells.panel.symbols)[known]
    if len(known) > count:
        import scanpy as sc  # slow to import

        table = AnnData(cells.values[:, known].copy())
        sc.pp.highly_variable_genes(table, n_top_genes=count, flavor="seurat_v3")
        names = names[table.var["highly_variable"].to_numpy()]
    return tuple(sorted(map(str, names)))
