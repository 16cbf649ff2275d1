"""Genes that tell a domain from all others, by their expression."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata

from tagscope.core.normalise import log_median
from tagscope.core.results import DomainMap
from tagscope.core.section import Section
from tagscope.errors import ArgumentError
from tagscope.io.atomic import written_whole
from tagscope.jobs import JobContext

Floats = npt.NDArray[np.float64]

_AT_ONCE = 2_000_000  # values made dense: a fraction of a second, after which a cancel is answered


@dataclass(frozen=True)
class DomainMarkers:
    """How every gene differs between each domain and all other cells.

    ``frame`` has one row per domain and gene, the genes that are highest in a domain first:

    - ``domain``, ``rank`` from 1, ``gene``;
    - ``auc``: probability that a cell of the domain has a higher value than one of the others,
      ties counted half: the statistic of Wilcoxon's rank-sum test, between 0 and 1;
    - ``log2_fold_change``: difference of the means of ln(1 + counts scaled to the median total)
      over ln 2;
    - ``mean_inside``, ``mean_outside``; ``share_inside``, ``share_outside``: share of cells in
      which the gene was seen.

    No p-values: domains were found by expression, and differ in it whatever the tissue is like.
    """

    frame: pd.DataFrame

    def of(self, domain: str, top: int | None = None) -> pd.DataFrame:
        """The genes of one domain, best first."""
        own = self.frame[self.frame["domain"] == domain]
        return own if top is None else own.head(top)

    def to_text(self, top: int = 5) -> str:
        """The first genes of every domain, for a terminal."""
        names = self.frame["domain"].unique()
        return "\n".join(f"{name}: {', '.join(self.of(name, top)['gene'])}" for name in names)

    def write_csv(self, path: Path | str, *, overwrite: bool = False) -> Path:
        """Write ``frame`` as CSV, whole or not at all."""
        path = Path(path)
        with written_whole(path, overwrite=overwrite) as beside:
            self.frame.to_csv(beside, index=False, float_format="%.6g")
        return path


def domain_markers(
    section: Section, found: DomainMap, *, context: JobContext | None = None
) -> DomainMarkers:
    """Compare every gene in each domain with all other cells.

    Genes come in blocks, and between two of them a cancel is answered.

    Raises
    ------
    ArgumentError
        If all cells are of one domain.
    """
    context = context or JobContext()
    if len(found.domains) < 2:
        raise ArgumentError(
            f"All cells are of one domain, {found.domains.names[0]!r}.",
            "Marker genes tell a domain from others.",
            "Ask for more domains.",
        )
    by_gene = log_median(section.cells).tocsc()
    block, genes = max(1, _AT_ONCE // max(1, len(section))), by_gene.shape[1]
    inside = (found.codes == np.arange(len(found.domains))[:, None]).astype(np.float64)
    parts = []
    for start in range(0, genes, block):
        context.step("comparing genes", start, genes)
        parts.append(_compared(by_gene[:, start : start + block].toarray(), inside))
    context.step("comparing genes", genes, genes)
    columns = {name: np.hstack([part[name] for part in parts]) for name in parts[0]}
    return DomainMarkers(_ranked(columns, found.domains.names, section.panel.symbols))


def _compared(values: npt.NDArray[np.float32], inside: Floats) -> dict[str, Floats]:
    """Values (N, G) by members (D, N) of each domain and of the rest: statistics (D, G)."""
    sizes = inside.sum(axis=1)[:, None]
    others = inside.shape[1] - sizes
    wins = inside @ rankdata(values, axis=0) - sizes * (sizes + 1) / 2
    found = {"auc": wins / (sizes * others)}
    for name, of_cells in (("mean", values.astype(np.float64)), ("share", values > 0)):
        own, every = inside @ of_cells, of_cells.sum(axis=0)
        found[f"{name}_inside"], found[f"{name}_outside"] = own / sizes, (every - own) / others
    found["log2_fold_change"] = (found["mean_inside"] - found["mean_outside"]) / np.log(2)
    return found


def _ranked(
    columns: dict[str, Floats], domains: tuple[str, ...], genes: tuple[str, ...]
) -> pd.DataFrame:
    """One row per domain and gene, by domain, the highest AUC first."""
    names = ["auc", "log2_fold_change", "mean_inside", "mean_outside"]
    names += ["share_inside", "share_outside"]
    frames = []
    for code, domain in enumerate(domains):
        frame = pd.DataFrame({name: columns[name][code] for name in names})
        frame = frame.assign(gene=genes).sort_values("auc", ascending=False, kind="stable")
        frames.append(frame.assign(domain=domain, rank=np.arange(1, len(genes) + 1)))
    order = ["domain", "rank", "gene", *names]
    return pd.concat(frames, ignore_index=True)[order]
