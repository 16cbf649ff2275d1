"""Which genes a table holds: names, Ensembl ids, species."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd

from tagscope.core.panel import GenePanel
from tagscope.io.columns import column_of
from tagscope.io.findings import Finding, listed
from tagscope.io.gene_sets import Orthologues

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
INDEX = "index"


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


def read_genes(var: pd.DataFrame, names_elsewhere: str = "", *, column: str | None = None) -> Genes:
    """The genes of ``var``, with Ensembl ids beside symbols where the table has both.

    ``names_elsewhere`` says where names may be found that ``var`` lacks. ``column`` is the one that
    names genes, ``"index"`` for the index; it is found by its name and content where None.

    Raises
    ------
    ArgumentError
        If there is no such column.
    """
    if column is not None:
        return _named_by(var, column, names_elsewhere)
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
    finding = _no_names(index, names_elsewhere, name_columns(var))
    return Genes(nameless, "missing", "unknown", findings=(finding,))


def name_columns(var: pd.DataFrame) -> tuple[str, ...]:
    """Columns of ``var``, and ``"index"``, that may name genes: mostly different, no numbers."""
    texts = {INDEX: var.index.to_series()}
    texts |= {str(name): var[name] for name in var if var[name].dtype.kind not in "biufc"}
    return tuple(name for name, column in texts.items() if _may_name(column))


def _may_name(column: pd.Series) -> bool:
    known = _texts(column[column.notna()])
    distinct = 2 * len(set(known)) > len(column)
    return distinct and kind_of_names(known) != "missing"


def _named_by(var: pd.DataFrame, column: str, names_elsewhere: str) -> Genes:
    """The genes by the names of a column, those without one by their number in the index."""
    index = [str(name) for name in var.index]
    asked = var.index.to_series()
    if column != INDEX:
        asked = column_of(var, column, "genes")
    names = _filled(_texts(asked), index)
    kind = kind_of_names(names)
    if kind == "missing":
        finding = _no_names(list(names), names_elsewhere, name_columns(var))
        return Genes(GenePanel(names), kind, "unknown", column, (finding,))
    ids = _column(var, _ENSEMBL_COLUMNS, "Ensembl ids")
    if kind == "Ensembl ids" or kind_of_names(index) == "Ensembl ids":
        ids = (column, names if kind == "Ensembl ids" else tuple(index))
    return _told(GenePanel(names, ids[1] if ids else None), kind, column)


def with_orthologues(genes: Genes, pairs: Orthologues, told: str) -> Genes:
    """The genes, to be found by the names of their orthologues in the other species too.

    Only genes with one partner, which is no other's, get its name. ``told`` names the table.
    """
    symbols = genes.panel.symbols
    species, partners = pairs.other_species(symbols)
    single = {gene: names[0] for gene, names in partners.items() if len(names) == 1}
    claims = Counter(name.casefold() for name in single.values())
    known = {gene: name for gene, name in single.items() if claims[name.casefold()] == 1}
    panel = replace(genes.panel, aliases=tuple(known.get(symbol, "") for symbol in symbols))
    other = "mouse" if species == "human" else "human"
    text = f"{len(known)} of {len(symbols)} {species} genes have one {other} orthologue in {told}."
    finding = Finding("info", "orthologues", text, "The others go by their own names.")
    if not known:
        fix = "Choose a table of human and mouse symbols."
        finding = Finding("warning", "no-orthologues", text, "", fix, ask="orthologues")
    return replace(genes, panel=panel, findings=(*genes.findings, finding))


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


def _no_names(index: list[str], names_elsewhere: str, columns: tuple[str, ...]) -> Finding:
    what = f"numbers ({listed(index, 3)})" if index else "missing"
    finding = Finding(
        "error",
        "gene-names-missing",
        f"Gene names are missing: the table's var_names are {what} and var has no column of names.",
        "Gene symbols or Ensembl ids are needed.",
        names_elsewhere or "Set table.var_names to the gene names, in the order of the columns.",
        opens=True,
    )
    if not columns:
        return finding
    found = f"Gene names are missing: the genes' names are {what}."
    fix = f"Names may be in {listed(columns, 4)}: choose that column."
    return replace(finding, found=found, fix=fix, offer={"genes": columns[0]}, among=columns)


def _column(
    var: pd.DataFrame, names: Iterable[str], kind: GeneKind
) -> tuple[str, tuple[str, ...]] | None:
    """The first column of one of these names (in any case) that holds gene names of ``kind``."""
    by_name = {str(column).casefold(): column for column in var.columns}
    for name in names:
        if name not in by_name:
            continue
        texts = _texts(var[by_name[name]])
        known = [text for text in texts if text]
        if known and kind_of_names(known) == kind:
            return str(by_name[name]), texts
    return None


def _texts(column: pd.Series) -> tuple[str, ...]:
    values = column.astype(object).where(column.notna(), "")
    return tuple(str(value) for value in values)


def _filled(names: tuple[str, ...], fallback: list[str]) -> tuple[str, ...]:
    return tuple(name or other for name, other in zip(names, fallback, strict=True))


def _share(ids: list[str], prefix: str) -> float:
    return sum(re.match(rf"{prefix}\d", i) is not None for i in ids) / len(ids)
