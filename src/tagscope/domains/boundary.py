"""The boundary between two domains, and which genes change across it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
from scipy.spatial import KDTree
from scipy.stats import rankdata

from tagscope.core.normalise import log_median
from tagscope.core.results import DomainMap
from tagscope.core.section import Section
from tagscope.domains.edits import code_of
from tagscope.domains.smoothed import neighbours_in
from tagscope.errors import ArgumentError, InputError
from tagscope.io.atomic import written_whole

Floats = npt.NDArray[np.float64]

_NEAR = 6  # cells beside each, the first ring of a hexagonal lattice
_AT_ONCE = 500  # genes made dense


@dataclass(frozen=True)
class BoundaryConfig:
    """How far from a boundary, and in what steps."""

    within: float = 100.0
    """Distance from the other domain up to which cells are compared, in µm."""
    bands: int = 4
    """Bands of equal width that the distance is cut into."""

    def __post_init__(self) -> None:
        if self.within <= 0 or self.bands < 1:
            raise ArgumentError(
                f"{self.bands} bands within {self.within:g} µm of the boundary were asked for.",
                "At least one band, of a width above 0, is needed.",
                "Give other numbers.",
                {"within": None, "bands": None},
            )


@dataclass(frozen=True)
class Boundary:
    """What changes from the domain ``first`` to ``second``, next to their boundary.

    ``distance`` (N,): how far every cell of the two domains is from the nearest cell of the other
    in its own section, in the section's unit; negative in ``first``, NaN for all other cells.
    ``frame`` has one row per gene and band:

    - ``gene``; ``nearest`` and ``farthest``, the ends of the band;
    - ``cells_first``, ``cells_second``: cells of either domain in the band;
    - ``mean_first``, ``mean_second``: mean of ln(1 + counts scaled to the median total);
    - ``log2_fold_change``: ``mean_second`` − ``mean_first`` over ln 2;
    - ``auc``: probability that a cell of ``second`` has a higher value than one of ``first``, ties
      counted half; missing, as the fold change, where the band has cells of one domain alone.

    Genes whose AUC is farthest from a half stand first, by the nearest band with cells of both.
    """

    first: str
    second: str
    distance: Floats
    frame: pd.DataFrame

    def to_text(self, top: int = 8) -> str:
        """The first genes with their values in the nearest band, for a terminal."""
        of_both = self.frame.dropna(subset="auc")
        nearest = of_both[of_both["nearest"] == of_both["nearest"].min()]
        lines = [f"{self.first} → {self.second}, next to their boundary:"]
        for row in nearest.head(top).itertuples():
            lines.append(
                f"  {row.gene}: log2 change {row.log2_fold_change:+.2f}, AUC {row.auc:.2f}"
            )
        return "\n".join(lines)

    def write_csv(self, path: Path | str, *, overwrite: bool = False) -> Path:
        """Write ``frame`` as CSV, whole or not at all."""
        path = Path(path)
        with written_whole(path, overwrite=overwrite) as beside:
            self.frame.to_csv(beside, index=False, float_format="%.6g")
        return path


def boundary_between(
    section: Section,
    found: DomainMap,
    first: str,
    second: str,
    config: BoundaryConfig | None = None,
) -> Boundary:
    """Compare the cells of two domains next to their boundary.

    Raises
    ------
    ArgumentError
        If there is no such domain, or both are one.
    InputError
        If no cells of the two are within that distance of each other.
    """
    config = config or BoundaryConfig()
    codes = [code_of(found, name) for name in (first, second)]
    if codes[0] == codes[1]:
        raise ArgumentError(
            f"{first!r} was named twice.", "A boundary lies between two domains.", "Name another."
        )
    distance = _signed_distance(section, found.codes, codes[0], codes[1])
    if not (np.abs(distance) <= config.within).any():
        raise InputError(
            f"No cells of {first} and {second} are within {config.within:g} {section.unit} of each "
            "other.",
            "Domains that adjoin have a boundary.",
            "Choose two others, or a larger distance.",
            {"within": None},
        )
    rows = np.flatnonzero(np.abs(distance) <= config.within)
    values, away = log_median(section.cells)[rows], np.abs(distance[rows])
    beyond = found.codes[rows] == codes[1]
    bands = []
    for near, far in pairwise(np.linspace(0, config.within, config.bands + 1)):
        there = (away <= far) & ((away > near) | (near == 0))
        band = _band(values[there], beyond[there])
        bands.append(band.assign(gene=section.panel.symbols, nearest=near, farthest=far))
    return Boundary(first, second, distance, _ordered(pd.concat(bands, ignore_index=True)))


def adjoining_domains(section: Section, found: DomainMap) -> npt.NDArray[np.int64]:
    """How long borders between domains are, (D, D) symmetric, 0 on the diagonal.

    A number counts pairs of a cell and one of its six nearest in the same section that lie on
    either side of the border.
    """
    near = neighbours_in(section, _NEAR)
    count = len(found.domains)
    own, place = np.nonzero(near >= 0)
    pairs = np.zeros((count, count), np.int64)
    np.add.at(pairs, (found.codes[own], found.codes[near[own, place]]), 1)
    pairs = pairs + pairs.T
    np.fill_diagonal(pairs, 0)
    return pairs


def _signed_distance(
    section: Section, codes: npt.NDArray[np.int64], first: int, second: int
) -> Floats:
    distance = np.full(len(section), np.nan)
    pieces = np.zeros(len(section), np.int64) if section.pieces is None else section.pieces.codes
    finite = np.isfinite(section.xy).all(axis=1)
    for piece in np.unique(pieces):
        here = finite & (pieces == piece)
        one, other = here & (codes == first), here & (codes == second)
        if one.any() and other.any():
            distance[one] = -KDTree(section.xy[other]).query(section.xy[one])[0]
            distance[other] = KDTree(section.xy[one]).query(section.xy[other])[0]
    return distance


def _band(values: sp.csr_matrix, beyond: npt.NDArray[np.bool_]) -> pd.DataFrame:
    """All genes over the cells of one band (n, G), a row each."""
    by_gene = values.tocsc()
    parts = [
        _compared(by_gene[:, start : start + _AT_ONCE].toarray().astype(np.float64), beyond)
        for start in range(0, values.shape[1], _AT_ONCE)
    ]
    means, auc = np.hstack([m for m, _ in parts]), np.hstack([a for _, a in parts])
    return pd.DataFrame(
        {
            "cells_first": int((~beyond).sum()),
            "cells_second": int(beyond.sum()),
            "mean_first": means[0],
            "mean_second": means[1],
            "log2_fold_change": (means[1] - means[0]) / np.log(2),
            "auc": auc,
        }
    )


def _compared(values: Floats, beyond: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Means (2, G) on either side and AUC (G,) of values (n, G); NaN where a side is empty."""
    sides = [values[~beyond], values[beyond]]
    means = [side.mean(axis=0) if len(side) else np.full(values.shape[1], np.nan) for side in sides]
    pairs = len(sides[0]) * len(sides[1])
    if not pairs:
        return np.array(means), np.full(values.shape[1], np.nan)
    ranks = rankdata(values, axis=0)[beyond].sum(axis=0)
    wins = ranks - len(sides[1]) * (len(sides[1]) + 1) / 2
    return np.array(means), wins / pairs


def _ordered(frame: pd.DataFrame) -> pd.DataFrame:
    """Genes that change most next to the boundary first, each with its bands from near to far."""
    change = (frame["auc"] - 0.5).abs().groupby(frame["gene"]).first()  # the first that is known
    order = frame.assign(change=frame["gene"].map(change))
    order = order.sort_values(["change", "gene", "nearest"], ascending=[False, True, True])
    ends = ["gene", "nearest", "farthest"]
    columns = [*ends, *order.columns.difference([*ends, "change"], sort=False)]
    return order[columns].reset_index(drop=True)
