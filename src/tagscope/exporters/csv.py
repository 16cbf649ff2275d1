"""One row per cell, for a spreadsheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from tagscope.core.keys import Slots
from tagscope.core.results import read_provenance
from tagscope.core.section import Section
from tagscope.errors import ArgumentError

if TYPE_CHECKING:
    from anndata import AnnData

ALTERNATIVES = 2


def cells_frame(
    section: Section, table: AnnData, key: str = "cellmemory", alternatives: int = ALTERNATIVES
) -> pd.DataFrame:
    """One row per cell: ``cell_id``, position, label, confidence, and the likeliest other labels.

    Positions are those in a cell's own section: ``x_um`` and ``y_um``, or ``x`` and ``y`` where the
    unit is not known; of sections side by side the column ``section`` tells which. The label stands
    in ``<key>``, its probability in ``<key>_confidence``; ``<key>_alternative_1`` and on are the
    likeliest labels other than the one given (of an Unassigned cell, of all), with their
    ``…_probability``.

    Raises
    ------
    ArgumentError
        If the table has no annotation under ``key``.
    """
    slots = Slots(key)
    if slots.label not in table.obs:
        raise ArgumentError(
            f"The table has no annotation {key!r}.",
            f"obs[{slots.label!r}] is needed.",
            "Annotate first, or choose another result.",
            {"key": None},
        )
    suffix = "_um" if section.unit == "µm" else ""
    frame = pd.DataFrame(
        {
            "cell_id": section.ids,
            f"x{suffix}": np.round(section.own_xy[:, 0], 3),
            f"y{suffix}": np.round(section.own_xy[:, 1], 3),
            slots.label: table.obs[slots.label].astype(str).to_numpy(),
        }
    )
    if section.pieces is not None:
        frame.insert(1, "section", np.array(section.pieces.names)[section.pieces.codes])
    if slots.confidence in table.obs:
        frame[slots.confidence] = table.obs[slots.confidence].to_numpy()
    names = _label_names(table, key)
    if names is not None:
        _add_alternatives(
            frame, np.asarray(table.obsm[slots.probabilities]), names, key, alternatives
        )
    return frame


def _label_names(table: AnnData, key: str) -> npt.NDArray[np.str_] | None:
    """Names of the columns of the probabilities, as the run recorded them."""
    provenance = read_provenance(table, key)
    if provenance is None or Slots(key).probabilities not in table.obsm:
        return None
    return np.array(provenance.extra["labels"])


def _add_alternatives(
    frame: pd.DataFrame,
    probabilities: npt.NDArray[np.float32],
    names: npt.NDArray[np.str_],
    key: str,
    count: int,
) -> None:
    others = probabilities.copy()
    given = pd.Index(names).get_indexer(pd.Index(frame[Slots(key).label]))
    labelled = np.flatnonzero(given >= 0)
    others[labelled, given[labelled]] = -1
    cells = np.arange(len(frame))
    for place in range(1, min(count, len(names) - 1) + 1):
        best = others.argmax(axis=1)
        frame[f"{key}_alternative_{place}"] = names[best]
        frame[f"{key}_alternative_{place}_probability"] = others[cells, best]
        others[cells, best] = -1
