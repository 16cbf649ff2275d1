"""Cells as their rims alone, so that what lies below them is seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tagscope.canvas.labels import LabelLevel, split_key

WIDTH = 3  # pixels of the level on view: about as many of the screen


class RimLevel:
    """A level of a label pyramid in which only the outermost pixels of cells are left."""

    def __init__(self, labels: LabelLevel) -> None:
        self._labels = labels
        self.shape = labels.shape

    def __getitem__(self, key: Any) -> npt.NDArray[np.int32]:
        (r0, r1, c0, c1), rest = split_key(key, self.shape)
        top, left = max(r0 - WIDTH, 0), max(c0 - WIDTH, 0)
        labels = rims(self._labels[top : r1 + WIDTH, left : c1 + WIDTH])
        kept: npt.NDArray[np.int32] = labels[r0 - top : r1 - top, c0 - left : c1 - left][rest]
        return kept

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        return np.asarray(rims(np.asarray(self._labels)), dtype=dtype)


def rims(labels: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """``labels`` with 0 wherever all pixels within ``WIDTH`` along rows and columns are alike.

    What lies outside is unlike all.
    """
    inner = np.zeros(labels.shape, np.bool_)
    inner[WIDTH:-WIDTH, WIDTH:-WIDTH] = True
    for step in range(1, WIDTH + 1):
        down = labels[step:] == labels[:-step]
        right = labels[:, step:] == labels[:, :-step]
        inner[:-step] &= down
        inner[step:] &= down
        inner[:, :-step] &= right
        inner[:, step:] &= right
    return np.where(inner, np.int32(0), labels)
