"""What is wrong with a table's cells: their ids, their places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tagscope.io.findings import Finding, listed
from tagscope.io.placement import Placement

if TYPE_CHECKING:
    from anndata import AnnData


def identity_findings(table: AnnData) -> tuple[Finding, ...]:
    """Cell ids that occur more than once."""
    names = table.obs_names.astype(str)
    twice = names[names.duplicated()].unique()
    if not len(twice):
        return ()
    return (
        Finding(
            "error",
            "duplicate-ids",
            f"{len(twice)} cell ids occur more than once ({listed(twice, 3)}).",
            "Every cell needs an id of its own.",
            "Make them unique: table.obs_names_make_unique().",
        ),
    )


def missing_coordinates(placement: Placement) -> tuple[Finding, ...]:
    """Cells whose position is not a number."""
    if placement.xy is None or any(f.code == "rows-without-shapes" for f in placement.findings):
        return ()
    missing = int((~np.isfinite(placement.xy)).any(axis=1).sum())
    if not missing:
        return ()
    return (
        Finding(
            "error",
            "nan-coordinates",
            f"{missing} of {len(placement.xy)} cells have no coordinates (NaN or infinite).",
            "Every cell needs a position.",
            "Remove them: table = table[numpy.isfinite(table.obsm['spatial']).all(axis=1)].",
        ),
    )
