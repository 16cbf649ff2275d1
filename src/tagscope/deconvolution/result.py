"""What spots are made of, as a result that writes itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tagscope.core.keys import Slots
from tagscope.core.labels import LabelSet
from tagscope.core.provenance import Provenance
from tagscope.core.results import refuse_existing, rows_of, write_provenance

if TYPE_CHECKING:
    from anndata import AnnData


Shares = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Proportions:
    """``values`` (S, C) float32: the share of every type of ``labels`` in each of S spots."""

    key: str
    ids: npt.NDArray[np.str_]
    labels: LabelSet
    values: npt.NDArray[np.float32]
    provenance: Provenance

    @property
    def dominant(self) -> npt.NDArray[np.int64]:
        """The type with the largest share, (S,)."""
        return np.asarray(self.values.argmax(axis=1), dtype=np.int64)

    def write_to(self, table: AnnData, *, overwrite: bool = False) -> None:
        """Write ``obsm["<key>_proportions"]`` and the provenance, which names the columns."""
        rows, slot = rows_of(self.ids, table), Slots(self.key).proportions
        refuse_existing(slot in table.obsm, "obsm", slot, overwrite)
        table.obsm[slot] = self.values[rows]
        write_provenance(table, self.key, self.provenance)


def errors_of(found: Shares, truth: Shares) -> dict[str, float]:
    """How near proportions (S, C) come to the truth.

    ``rmse`` over all numbers; ``pearson`` the correlation over spots, its mean over types whose
    share varies; ``divergence`` the mean Jensen–Shannon divergence of a spot, in bits.
    """
    found, truth = found.astype(np.float64), truth.astype(np.float64)
    centred = [values - values.mean(axis=0) for values in (found, truth)]
    norms = [np.linalg.norm(values, axis=0) for values in centred]
    varies = norms[1] > 0
    product = (centred[0] * centred[1]).sum(axis=0)[varies]
    scale = (norms[0] * norms[1])[varies]
    correlation = np.divide(product, scale, out=np.zeros_like(product), where=scale > 0)
    middle = (found + truth) / 2
    return {
        "rmse": float(np.sqrt(((found - truth) ** 2).mean())),
        "pearson": float(correlation.mean()) if varies.any() else float("nan"),
        "divergence": float(((_bits(found, middle) + _bits(truth, middle)) / 2).mean()),
    }


def _bits(of: Shares, against: Shares) -> npt.NDArray[np.float64]:
    """Kullback–Leibler divergence by row, in bits."""
    share = np.where(of > 0, of, 1.0)
    ratio = share / np.where(of > 0, against, 1.0)
    return np.asarray((share * np.log2(ratio) * (of > 0)).sum(axis=1), dtype=np.float64)
