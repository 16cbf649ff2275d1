"""Features of cells with what scanpy draws of them: a graph of like cells, and a picture of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tagscope.core.keys import Slots
from tagscope.core.results import refuse_existing, rows_of

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True)
class FeatureMap:
    """``features`` (N, D) float32 that domains were found by, the graph of each cell's nearest
    among them, ``distances`` and ``connectivities`` (N, N), and its UMAP ``picture`` (N, 2).

    ``neighbors`` is what scanpy keeps of how the graph was made.
    """

    key: str
    ids: npt.NDArray[np.str_]
    features: npt.NDArray[np.float32]
    distances: sp.csr_matrix
    connectivities: sp.csr_matrix
    neighbors: dict[str, Any]
    picture: npt.NDArray[np.float32]

    def write_to(self, table: AnnData, *, overwrite: bool = False) -> None:
        """Write ``obsm["X_<key>_domain"]`` and ``"X_<key>_domain_umap"``, and the graph as scanpy's
        own under the name ``<key>_domain``: ``sc.tl.paga(table, groups="<key>_domain",
        neighbors_key="<key>_domain")``."""
        rows, slots = rows_of(self.ids, table), Slots(self.key)
        graph = {"distances": self.distances, "connectivities": self.connectivities}
        matrices = {slots.domain_features: self.features, slots.domain_picture: self.picture}
        for name in matrices:
            refuse_existing(name in table.obsm, "obsm", name, overwrite)
        refuse_existing(slots.domain in table.uns, "uns", slots.domain, overwrite)
        for name, values in matrices.items():
            table.obsm[name] = values[rows]
        for part, matrix in graph.items():
            table.obsp[f"{slots.domain}_{part}"] = sp.csr_matrix(matrix[rows][:, rows])
        keys = {f"{part}_key": f"{slots.domain}_{part}" for part in graph}
        table.uns[slots.domain] = {**keys, "params": dict(self.neighbors)}
