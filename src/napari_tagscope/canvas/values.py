"""What is painted: a value or a colour per cell, looked up by label."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.colors import to_rgba_array

from tagscope.core.labels import UNASSIGNED_COLOR

UNASSIGNED_CODE = -1
MISSING_CODE = -2
SAMPLE = 100_000
GHOST = "#80808038"  # cells of other categories beside an isolated one, on black and on white

Codes = npt.NDArray[np.integer[Any]]


class ValueTable:
    """One float32 per cell. Background and NaN are transparent.

    ``values`` (N,); what is not finite counts as missing.
    """

    dtype: np.dtype[Any] = np.dtype(np.float32)
    channels: tuple[int, ...] = ()

    def __init__(self, values: npt.ArrayLike) -> None:
        given = np.asarray(values, dtype=np.float32).reshape(-1)
        self._table = np.full(len(given) + 1, np.nan, np.float32)
        np.copyto(self._table[1:], given, where=np.isfinite(given))

    def __len__(self) -> int:
        return len(self._table) - 1

    @property
    def values(self) -> npt.NDArray[np.float32]:
        """Value of every cell, (N,), NaN where missing."""
        return self._table[1:]

    def update(self, rows: npt.NDArray[np.int64], values: npt.ArrayLike) -> None:
        """Replace the values of some cells."""
        self._table[rows + 1] = values

    def limits(self) -> tuple[float, float]:
        """The 1st and 99th percentile of the values, apart from each other.

        Of many cells a regular sample tells them: their place among 100,000 is sure to 0.1 %.
        """
        sample = self.values[:: max(1, len(self) // SAMPLE)]
        sample = sample[~np.isnan(sample)]
        if len(sample) == 0:
            return self.range()
        low, high = (float(q) for q in np.percentile(sample, [1, 99]))
        # nearly all cells alike (a rare gene): the full range says more than its percentiles
        return (low, high) if low < high else self.range()

    def range(self) -> tuple[float, float]:
        """Lowest and highest value, apart from each other; 0 to 1 without values."""
        low = float(np.fmin.reduce(self.values, initial=np.inf))
        high = float(np.fmax.reduce(self.values, initial=-np.inf))
        if low > high:
            return 0.0, 1.0
        return low, high if high > low else low + 1.0

    def look_up(self, labels: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """Values of a label image, float32."""
        return self._table.take(labels)


class CategoryTable:
    """One colour per cell from its category. Hidden and missing cells are transparent.

    ``codes`` (N,) positions in ``colors``; −1 is ``Unassigned`` and grey; any other code (−2 by
    convention) is missing, never an error. Colours are names or ``#rrggbb``.
    """

    dtype: np.dtype[Any] = np.dtype(np.uint8)
    channels: tuple[int, ...] = (4,)

    def __init__(
        self,
        codes: Codes,
        colors: Sequence[str],
        *,
        hidden: Iterable[int] = (),
        isolated: int | None = None,
    ) -> None:
        self.colors = tuple(colors)
        self._hidden = frozenset(hidden)
        self._isolated = isolated
        self._counts: npt.NDArray[np.int64] | None = None
        self._slots = self._slots_of(codes)
        self._rgba = np.zeros(len(codes) + 1, np.uint32)
        self._paint()

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def codes(self) -> npt.NDArray[np.int64]:
        """Code of every cell, (N,), −2 where missing."""
        return self._slots.astype(np.int64) + MISSING_CODE

    @property
    def hidden(self) -> frozenset[int]:
        """Codes that are not drawn."""
        return self._hidden

    @property
    def isolated(self) -> int | None:
        """The one code drawn in colour, if any."""
        return self._isolated

    def update(self, rows: npt.NDArray[np.int64], codes: Codes) -> None:
        """Replace the codes of some cells: costs per row given."""
        slots = self._slots_of(codes)
        self._slots[rows] = slots
        self._counts = None
        self._rgba[rows + 1] = self._palette[slots]

    def set_hidden(self, hidden: Iterable[int]) -> None:
        """Draw all but these codes; −1 hides ``Unassigned``."""
        self._hidden = frozenset(hidden)
        self._paint()

    def isolate(self, code: int | None) -> None:
        """Draw one code in its colour and the others faintly; ``None`` draws all again."""
        self._isolated = code
        self._paint()

    def draws(self, code: int) -> bool:
        """Whether a code is drawn in its colour."""
        return code not in self._hidden and self._isolated in (None, code)

    def counts(self) -> npt.NDArray[np.int64]:
        """Cells of every colour, (C,), and last those ``Unassigned``."""
        if self._counts is None:
            counts = np.bincount(self._slots, minlength=len(self.colors) + 2)
            self._counts = np.append(counts[2:], counts[1]).astype(np.int64)
        return self._counts

    def look_up(self, labels: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
        """Colours of a label image, uint8 RGBA."""
        # one 4-byte gather for all channels
        return self._rgba.take(labels).view(np.uint8).reshape(*labels.shape, 4)

    def _slots_of(self, codes: Codes) -> npt.NDArray[np.int32]:
        """Positions in the palette: missing 0, unassigned 1, category c at c + 2."""
        slots = np.asarray(codes).astype(np.int32) - MISSING_CODE
        slots[(slots < 0) | (slots >= len(self.colors) + 2)] = 0
        return slots

    def _paint(self) -> None:
        colors = to_rgba_array([UNASSIGNED_COLOR, *self.colors])
        if self._isolated is not None:
            others = np.arange(len(colors)) != self._isolated + 1
            colors[others] = to_rgba_array(GHOST)
        colors[[code + 1 for code in self._hidden if -1 <= code < len(colors) - 1]] = 0.0
        rgba = np.round(np.vstack([np.zeros((1, 4)), colors]) * 255).astype(np.uint8)
        self._palette = rgba.view(np.uint32).reshape(-1)
        self._rgba[1:] = self._palette[self._slots]


Table = ValueTable | CategoryTable
