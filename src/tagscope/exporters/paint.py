"""What colour every cell gets: by category, or by a measured value."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
from matplotlib import colormaps
from matplotlib.colors import Normalize, to_rgba_array

from tagscope.core.keys import Slots
from tagscope.core.labels import UNASSIGNED, UNASSIGNED_COLOR, default_colors
from tagscope.core.normalise import log_cp10k_of
from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells
from tagscope.errors import ArgumentError
from tagscope.io.columns import column_of
from tagscope.io.genes import read_genes

if TYPE_CHECKING:
    from anndata import AnnData

NO_VALUE = "no value"
_NO_VALUE_COLOR = "#d9d9d9"
# the share of cells whose values the colour bar spans; single bright cells must not darken the rest
_SPAN = 0.995


@dataclass(frozen=True)
class Categories:
    """Cells by category: ``codes`` (N,) into ``names`` and ``colors``, −1 for no value.

    ``ordered``: the order of ``names`` means something, as that of layers does.
    """

    title: str
    names: tuple[str, ...]
    colors: tuple[str, ...]
    codes: npt.NDArray[np.int64]
    ordered: bool = False

    def rgba(self) -> npt.NDArray[np.float64]:
        """A colour for every cell, (N, 4)."""
        return np.asarray(to_rgba_array([*self.colors, _NO_VALUE_COLOR])[self.codes])

    def order(self) -> npt.NDArray[np.int64]:
        """In which order to draw the cells."""
        return np.arange(len(self.codes))

    def legend(self) -> list[tuple[str, str, int]]:
        """Name, colour and number of cells of every category that occurs.

        Those of most cells first unless they are ``ordered``; cells without one come last.
        """
        counts = np.bincount(self.codes + 1, minlength=len(self.names) + 1).tolist()
        entries = [*zip(self.names, self.colors, counts[1:], strict=True)]
        if not self.ordered:
            entries.sort(key=lambda entry: (entry[0] == UNASSIGNED, -entry[2]))
        entries.append((NO_VALUE, _NO_VALUE_COLOR, counts[0]))
        return [entry for entry in entries if entry[2]]


@dataclass(frozen=True)
class Measured:
    """Cells by a value, (N,): dark where small, bright where large, grey where not a number.

    ``scale`` says what the numbers of the colour bar are.
    """

    title: str
    values: npt.NDArray[np.float64]
    scale: str = ""

    @cached_property
    def limits(self) -> tuple[float, float]:
        """What the colour bar spans: from 0, or the least if negative, to all but the top 0.5 %."""
        known = self.values[np.isfinite(self.values)]
        if not len(known):
            return 0.0, 1.0
        low = min(0.0, float(known.min()))
        high = float(np.quantile(known, _SPAN))
        high = high if high > low else float(known.max())
        return low, high if high > low else low + 1.0

    @property
    def is_clipped(self) -> bool:
        """Whether some values lie above the colour bar."""
        return bool((self.values > self.limits[1]).any())

    def rgba(self) -> npt.NDArray[np.float64]:
        """A colour for every cell, (N, 4)."""
        colors = np.asarray(colormaps["viridis"](Normalize(*self.limits)(self.values)))
        colors[~np.isfinite(self.values)] = to_rgba_array(_NO_VALUE_COLOR)
        return colors

    def order(self) -> npt.NDArray[np.int64]:
        """In which order to draw the cells: bright ones last, so that none is hidden."""
        return np.argsort(np.nan_to_num(self.values, nan=-np.inf), kind="stable")


def paint_of_attention(table: AnnData, gene: str, key: str) -> Measured:
    """The attention score of a gene.

    Raises
    ------
    ArgumentError
        If the table has no attention of ``key``, or not this gene.
    """
    layer = Slots(key).attention
    if layer not in table.layers:
        raise ArgumentError(
            f"The table has no attention scores of {key!r}.",
            f"layers[{layer!r}] is needed.",
            "Annotate with attention kept, choose another result, or ask for the expression.",
            {"attention": True, "key": None},
        )
    column = _position(read_genes(table.var).panel, gene)
    values = sp.csr_matrix(table.layers[layer])[:, [column]].toarray().ravel()
    return Measured(f"attention of {gene}", values.astype(np.float64), "attention score")


def paint_of_expression(cells: Cells, gene: str) -> Measured:
    """The expression of a gene.

    Raises
    ------
    ArgumentError
        If the gene was not measured.
    """
    values = log_cp10k_of(cells, _position(cells.panel, gene))
    scale = "normalised value" if cells.normalised else "ln(1 + counts per 10,000)"
    return Measured(f"expression of {gene}", values, scale)


def _position(panel: GenePanel, gene: str) -> int:
    position = panel.position(gene, gene)
    if position < 0:
        near = difflib.get_close_matches(gene, panel.symbols, n=3)
        raise ArgumentError(
            f"The gene {gene!r} was not measured.",
            f"A gene of the section's {len(panel)} is needed.",
            f"Did you mean {' or '.join(near)}?" if near else "Check the spelling of the gene.",
            {"gene": None},
        )
    return position


def paint_of_column(table: AnnData, column: str) -> Categories | Measured:
    """A column of ``obs``: numbers as measured values, all else as categories.

    Raises
    ------
    ArgumentError
        If there is no such column.
    """
    values = column_of(table.obs, column, "color")
    title = column.replace("_", " ")
    if pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype):
        return Measured(title, values.to_numpy(dtype=np.float64), title)
    if not isinstance(values.dtype, pd.CategoricalDtype):
        values = values.where(values.isna(), values.astype(str)).astype("category")
    names = tuple(str(name) for name in values.cat.categories)
    colors = _colors_of(table, column, names)
    codes = values.cat.codes.to_numpy(dtype=np.int64)
    return Categories(title, names, colors, codes, bool(values.cat.ordered))


def _colors_of(table: AnnData, column: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """The colours kept with the column, as scanpy keeps them, or default ones."""
    kept = table.uns.get(f"{column}_colors")
    if kept is not None and len(kept) == len(names):
        return tuple(str(color) for color in kept)
    defaults = iter(default_colors(len(names)))
    return tuple(UNASSIGNED_COLOR if name == UNASSIGNED else next(defaults) for name in names)
