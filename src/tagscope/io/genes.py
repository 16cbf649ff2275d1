"""Which genes a table holds: names, Ensembl ids, species."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from tagscope.core.panel import GenePanel
from tagscope.io.findings import Finding, listed

GeneKind = Literal["symbols", "Ensembl ids", "missing"]
Species = Literal["human", "mouse", "unknown"]

# Columns of `var` in which scanpy, CELLxGENE, spatialdata-io, Seurat and others keep gene names.
_SYMBOL_COLUMNS = (
    "symbol", "gene_symbol", "gene_symbols", "feature_name", "gene_name", "gene_names", "gene",
    "genes", "name", "hgnc_symbol", "mgi_symbol",
)  # fmt: skip
_ENSEMBL_COLUMNS = (
    "ensembl", "ensembl_id", "ensembl_ids", "gene_ids", "gene_id", "feature_id", "ensemblid", "id",
)  # fmt: skip
_ENSEMBL = re.compile(r"^ENS[A-Z]*G\d{6,}(\.\d+)?$", re.IGNORECASE)
_NUMBER = re.compile(r"^\d+$")


@dataclass(frozen=True)
class Genes:
    """The genes of a table and what their names tell.

    ``column``: the column of ``var`` the shown names were taken from, ``"index"`` for its index.
    """

    panel: GenePanel
    kind: GeneKind
    species: Species
    column: str = "index"
    findings: tuple[Finding, ...] = ()


def read_genes(var: pd.DataFrame, names_elsewhere: str = "") -> Genes:
    """The genes of ``var``, with Ensembl ids beside symbols where the table has both.

    ``names_elsewhere`` says where names may be found that ``var`` lacks.
    """
    index = [str(name) for name in var.index]
    kind = kind_of_names(index)
    symbols = _column(var, _SYMBOL_COLUMNS, "symbols")
    ids = _column(var, _ENSEMBL_COLUMNS, "Ensembl ids")
    if kind == "symbols":
        panel = GenePanel(tuple(index), ids[1] if ids else None)
        return _told(panel, "symbols", "index")
    if kind == "Ensembl ids":
        shown = _filled(symbols[1], index) if symbols else tuple(index)
        return _told(GenePanel(shown, tuple(index)), kind, symbols[0] if symbols else "index")
    if symbols:
        panel = GenePanel(_filled(symbols[1], index), ids[1] if ids else None)
        return _told(panel, "symbols", symbols[0])
    if ids:
        return _told(GenePanel(ids[1], ids[1]), "Ensembl ids", ids[0])
    nameless = GenePanel(tuple(index))
    return Genes(nameless, "missing", "unknown", findings=(_no_names(index, names_elsewhere),))


def kind_of_names(names: Sequence[str]) -> GeneKind:
    """Whether most of ``names`` are gene symbols, Ensembl gene ids, or plain numbers."""
    if all(_NUMBER.match(name) for name in names):
        return "missing"
    if 2 * sum(bool(_ENSEMBL.match(name)) for name in names) >= len(names):
        return "Ensembl ids"
    return "symbols"


def species_of(panel: GenePanel) -> Species:
    """Human or mouse, by Ensembl prefix, else by how symbols are written (ACTB or Actb)."""
    ids = [e.upper() for e in panel.ensembl or () if e]
    if ids:
        human, mouse = _share(ids, "ENSG"), _share(ids, "ENSMUSG")
        return "human" if human > 0.5 else "mouse" if mouse > 0.5 else "unknown"
    words = [s for s in panel.symbols if sum(c.isalpha() for c in s) >= 2]
    if not words:
        return "unknown"
    upper = sum(word.isupper() or "orf" in word for word in words) / len(words)
    title = sum(word[0].isupper() and any(c.islower() for c in word) for word in words)
    if upper > 0.75:
        return "human"
    return "mouse" if title / len(words) > 0.5 else "unknown"


def _told(panel: GenePanel, kind: GeneKind, column: str) -> Genes:
    findings = []
    if panel.duplicates:
        findings.append(
            Finding(
                "warning",
                "duplicate-genes",
                f"{len(panel.duplicates)} genes occur more than once "
                f"({listed(panel.duplicates, 5)}).",
                "Of each, the first column is used.",
                "Merge or remove the others if that is not meant.",
            )
        )
    return Genes(panel, kind, species_of(panel), column, tuple(findings))


def _no_names(index: list[str], names_elsewhere: str) -> Finding:
    what = f"numbers ({listed(index, 3)})" if index else "missing"
    return Finding(
        "error",
        "gene-names-missing",
        f"Gene names are missing: the table's var_names are {what} and var has no column of names.",
        "Gene symbols or Ensembl ids are needed.",
        names_elsewhere or "Set table.var_names to the gene names, in the order of the columns.",
        opens=True,
    )


def _column(
    var: pd.DataFrame, names: Iterable[str], kind: GeneKind
) -> tuple[str, tuple[str, ...]] | None:
    """The first column of one of these names (in any case) that holds gene names of ``kind``."""
    by_name = {str(column).casefold(): column for column in var.columns}
    for name in names:
        if name not in by_name:
            continue
        values = var[by_name[name]].astype(object).where(var[by_name[name]].notna(), "")
        texts = tuple(str(value) for value in values)
        known = [text for text in texts if text]
        if known and kind_of_names(known) == kind:
            return str(by_name[name]), texts
    return None


def _filled(names: tuple[str, ...], fallback: list[str]) -> tuple[str, ...]:
    return tuple(name or other for name, other in zip(names, fallback, strict=True))


def _share(ids: list[str], prefix: str) -> float:
    return sum(re.match(rf"{prefix}\d", i) is not None for i in ids) / len(ids)
