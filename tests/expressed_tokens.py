"""How the small models of tests read cells."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch

from tagscope.models.base import CellBatch


class ExpressedTokens:
    """One token for every gene that a cell expresses."""

    def __init__(self, values: sp.csr_matrix):
        self._values = values

    def __len__(self):
        return self._values.shape[0]

    @property
    def lengths(self):
        return np.diff(self._values.indptr).astype(np.int64)

    def batch(self, rows):
        longest = int(self.lengths[rows].max(initial=0))
        tokens = torch.zeros((len(rows), longest), dtype=torch.int64)
        genes = torch.full((len(rows), longest), -1)
        for place, row in enumerate(rows):
            own = self._values[int(row)]
            tokens[place, : own.nnz] = torch.from_numpy(own.data.astype(np.int64))
            genes[place, : own.nnz] = torch.from_numpy(own.indices.astype(np.int64))
        return CellBatch(tokens, genes, genes < 0, np.asarray(rows))
