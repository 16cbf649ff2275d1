"""Cells as CellPatch reads them: the genes that they express, each with its value."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch

from tagscope.core.fields import only_known
from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells
from tagscope.errors import ArgumentError
from tagscope.jobs import JobContext
from tagscope.models.base import CellBatch
from tagscope.models.cellpatch.config import CellPatchConfig
from tagscope.models.preprocessing import Preprocessing, stored_values
from tagscope.models.ragged import laid_out

Ints = npt.NDArray[np.int64]
Steps = Literal["none", "rounded", "truncated"]
Totals = Literal["known", "measured"]

_CELLS = 1 << 15  # read at a time, which is how soon a cancel is noticed


@dataclass(frozen=True)
class CellPatchPreprocessing:
    """How counts become the values a CellPatch reads.

    Counts are scaled to ``target_sum`` a cell, then log(1 + x), at most ``most``, and to whole
    numbers as ``steps`` says. A cell's total is over the genes that the model ``known``s, or over
    all that were ``measured``, as in the published code. Cells that come normalised are not scaled.
    """

    target_sum: float = 1e4
    totals: Totals = "known"
    most: float | None = None
    steps: Steps = "none"

    def __post_init__(self) -> None:
        for name, kinds in (("totals", Totals), ("steps", Steps)):
            if getattr(self, name) not in get_args(kinds):
                raise ArgumentError(
                    f"Values cannot be made with {name} = {getattr(self, name)!r}.",
                    f"Needed: one of {', '.join(get_args(kinds))}.",
                    "Give another.",
                    {name: None},
                )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> CellPatchPreprocessing:
        """Inverse of :meth:`to_dict`.

        Raises
        ------
        ArgumentError
            If a key is unknown or a value out of range.
        """
        return cls(**only_known(cls, data, "CellPatch's preprocessing"))

    def apply(self, cells: Cells, vocabulary: GenePanel) -> sp.csr_matrix:
        """Values over a vocabulary (N, V) CSR float32; a zero is stored where a value became one.

        Raises
        ------
        InputError
            If a value is negative or missing.
        """
        totals = cells.totals if self.totals == "measured" else None
        known = cells if cells.panel == vocabulary else cells.restrict(vocabulary)
        values = Preprocessing(self.target_sum).logged(
            stored_values(known), cells.normalised, totals
        )
        if self.most is not None:
            np.minimum(values.data, np.float32(self.most), out=values.data)
        if self.steps != "none":
            (np.rint if self.steps == "rounded" else np.trunc)(values.data, out=values.data)
        return values


@dataclass(frozen=True)
class CellPatchTokens:
    """Encoded cells: cell i owns ``values[offsets[i]:offsets[i + 1]]`` and the same ``columns``.

    ``values`` float32; ``columns`` int32 vocabulary columns, ascending in a cell; ``offsets``
    (N + 1,); ``pads`` (N,) how much padding each is read with, where that takes part in attention.
    """

    values: npt.NDArray[np.float32]
    columns: npt.NDArray[np.int32]
    offsets: Ints
    pads: Ints | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Ints:
        """Genes per cell, (N,)."""
        return np.diff(self.offsets)

    def batch(self, rows: Ints) -> CellBatch:
        """The given cells, padded to the longest of them."""
        rows = np.asarray(rows, dtype=np.int64)
        lengths = self.offsets[rows + 1] - self.offsets[rows]
        present, where = laid_out(self.offsets, rows, max(1, int(lengths.max(initial=0))))
        genes = np.full(present.shape, -1, np.int64)
        genes[present] = self.columns[where]
        values = np.zeros(present.shape, np.float32)
        values[present] = self.values[where]
        pads = None if self.pads is None else torch.from_numpy(self.pads[rows].astype(np.float32))
        named = torch.from_numpy(genes)
        return CellBatch(
            named, named, torch.from_numpy(~present), rows, pads, values=torch.from_numpy(values)
        )


def tokenise(
    cells: Cells,
    vocabulary: GenePanel,
    config: CellPatchConfig,
    preprocessing: CellPatchPreprocessing,
    *,
    context: JobContext | None = None,
) -> CellPatchTokens:
    """Encode cells over ``vocabulary``, genes aligned by name.

    ``context`` hears ``step("reading genes", cells done, N)``.

    Raises
    ------
    InputError
        If a value is negative or missing.
    """
    context, parts = context or JobContext(), []
    for start in range(0, max(len(cells), 1), _CELLS):
        context.step("reading genes", start, len(cells))
        block = cells
        if len(cells) > _CELLS:
            block = cells.take(np.arange(start, min(start + _CELLS, len(cells))))
        values = preprocessing.apply(block, vocabulary)
        parts.append((values.data, values.indices.astype(np.int32), np.diff(values.indptr)))
    values, columns, lengths = (np.concatenate(part) for part in zip(*parts, strict=True))
    offsets = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
    pads = _pads(lengths, config.padded_together) if config.compat == "published" else None
    return CellPatchTokens(values, columns, offsets, pads)


def _pads(lengths: Ints, together: int) -> Ints:
    """Padding of every cell where so many of them, in their order, are padded to the longest."""
    firsts = np.arange(0, len(lengths), together)
    longest = np.maximum.reduceat(lengths, firsts) if len(lengths) else lengths
    return np.repeat(longest, together)[: len(lengths)] - lengths
