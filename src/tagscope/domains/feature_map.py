"""A graph of cells by the features that domains were found by, and its UMAP."""

from __future__ import annotations

import warnings

import numpy as np

from tagscope.core.feature_map import FeatureMap
from tagscope.core.results import Embedding
from tagscope.core.section import Section
from tagscope.domains.config import DomainConfig
from tagscope.domains.smoothed import smoothed
from tagscope.errors import InputError
from tagscope.jobs import JobContext

_NEAREST = 15  # scanpy's own number
_STEPS = 2


def feature_map(
    section: Section,
    features: Embedding,
    config: DomainConfig | None = None,
    *,
    key: str | None = None,
    context: JobContext | None = None,
) -> FeatureMap:
    """Features as :func:`domains_of` clusters them, each cell's 15 nearest, and a UMAP of these.

    ``context`` hears of the stage ``drawing a map``. The same ``config.seed`` gives the same map.

    Raises
    ------
    InputError
        If there are fewer than four cells.
    """
    import scanpy as sc  # slow to import
    from anndata import AnnData

    config, context = config or DomainConfig(), context or JobContext()
    if len(section) < 4:
        raise InputError(
            f"There are {len(section)} cells.",
            "At least four are needed to draw a map.",
            "Leave the map out, or keep more cells.",
        )
    context.step("drawing a map", 0, _STEPS)
    values = smoothed(features.values, section, config.neighbors)
    table = AnnData(obsm={"X": values})
    near = min(_NEAREST, len(section) - 1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="n_jobs value")  # umap, of its own seed
        sc.pp.neighbors(table, n_neighbors=near, use_rep="X", random_state=config.seed)
        context.step("drawing a map", 1, _STEPS)
        sc.tl.umap(table, random_state=config.seed)
    context.step("drawing a map", _STEPS, _STEPS)
    return FeatureMap(
        key or config.key or features.key,
        section.ids,
        np.asarray(values, np.float32),
        table.obsp["distances"],
        table.obsp["connectivities"],
        dict(table.uns["neighbors"]["params"]),
        np.asarray(table.obsm["X_umap"], np.float32),
    )
