"""A small section with two halves, and what is known of it."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

GENES = tuple(f"G{number}" for number in range(12))
CELLS = 160


def halves() -> ad.AnnData:
    """Left and right half, each with six genes of its own; types A and B on the left, C on the
    right; two cells in three have a region, the others ``NA``."""
    rng = np.random.default_rng(3)
    xy = np.column_stack([np.arange(CELLS) % 16, np.arange(CELLS) // 16]) * 10.0
    xy += rng.uniform(0, 2, xy.shape)
    left = xy[:, 0] < 80
    means = np.full((CELLS, len(GENES)), 0.5)
    means[left, :6] = 6.0
    means[~left, 6:] = 6.0
    types = np.where(left, np.where(np.arange(CELLS) % 2, "A", "B"), "C")
    region = np.where(np.arange(CELLS) % 3, np.where(left, "west", "east"), "NA")
    obs = pd.DataFrame(
        {"cell_type": pd.Categorical(types), "region": pd.Categorical(region)},
        index=[f"c{i}" for i in range(CELLS)],
    )
    counts = sp.csr_matrix(rng.poisson(means).astype(np.float32))
    table = ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=list(GENES)))
    table.uns["cell_type_colors"] = np.array(["#111111", "#222222", "#333333"])
    table.obsm["spatial"] = xy
    return table


def written(folder: Path) -> Path:
    """The section as a file."""
    path = folder / "halves.h5ad"
    halves().write_h5ad(path)
    return path
