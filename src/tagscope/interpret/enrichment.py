"""Over-representation of gene sets among TAGs and the programs of slots and patches, offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
from scipy.stats import false_discovery_control, hypergeom

from tagscope.core.panel import GenePanel
from tagscope.errors import ArgumentError, InputError
from tagscope.interpret.patches import PatchPrograms
from tagscope.interpret.slots import SlotSummary
from tagscope.interpret.stored import genes_read
from tagscope.interpret.tags import TagTable
from tagscope.io.atomic import written_whole
from tagscope.io.findings import listed
from tagscope.io.gene_sets import GeneSet, Orthologues
from tagscope.io.genes import species_of
from tagscope.io.names import BACKGROUND_SUFFIX, read_names, read_text
from tagscope.io.store import read_table

Ints = npt.NDArray[np.int64]

_KEYS = ("slot", "patch", "group")
_SIGNIFICANT = 0.05
COLUMNS = (
    "set", "overlap", "set_size", "tags", "background", "expected", "fold", "p_value", "fdr",
    "genes",
)  # fmt: skip


@dataclass(frozen=True)
class EnrichConfig:
    """Which gene sets are tested, and with how many TAGs."""

    top: int | None = None
    """Genes per group and slot, from rank 1; all that are listed if not given."""
    min_size: int = 3
    """Sets with fewer genes in the background are not tested."""
    max_size: int = 500
    """Sets with more genes in the background are not tested."""

    def __post_init__(self) -> None:
        if self.top is not None and self.top < 1:
            raise _out_of_range("top", self.top, "At least one gene is tested.")
        if not 1 <= self.min_size <= self.max_size:
            raise _out_of_range(
                "min_size", self.min_size, f"It lies from 1 to the largest size, {self.max_size}."
            )


@dataclass(frozen=True)
class Enrichment:
    """Gene sets over-represented in each group, slot or patch.

    ``frame`` has one row per group and set with at least one gene in common, best first:

    - ``slot``, ``patch``, ``group`` as in the TAG table; ``set``;
    - ``overlap`` genes in common, of ``tags`` in the group and ``set_size`` in the set, both cut to
      the ``background``, the number of genes that could have been TAGs;
    - ``expected``: overlap to expect by chance, tags · set_size / background; ``fold`` the overlap
      divided by it;
    - ``p_value``: probability of such an overlap or a larger one when the TAGs are drawn from the
      background without replacement (upper tail of the hypergeometric distribution, which is
      Fisher's exact test, one-sided);
    - ``fdr``: Benjamini and Hochberg (1995) over all sets tested in the group and slot, those
      without an overlap included;
    - ``genes`` in common, separated by semicolons, under the names of the TAG table.

    ``sets_tested`` of ``sets_given`` had a size within the limits. ``notes`` say how genes were
    matched and what is doubtful about it.
    """

    frame: pd.DataFrame
    background: tuple[str, ...]
    sets_tested: int
    sets_given: int
    notes: tuple[str, ...]

    def to_text(self, top: int = 3) -> str:
        """Notes, then the best sets of every group (and slot), a line each."""
        keys = [key for key in _KEYS if key in self.frame]
        lines = [*self.notes]
        lines.append(
            f"{self.sets_tested:,} of {self.sets_given:,} sets tested against a background of "
            f"{len(self.background):,} genes"
        )
        for names, rows in self.frame.groupby(keys, sort=False, observed=True):
            title = ", ".join(
                str(n) if k == "group" else f"{k} {n}" for k, n in zip(keys, names, strict=True)
            )
            significant = int((rows["fdr"] < _SIGNIFICANT).sum())
            best = (
                f"{r.set} ({r.overlap}/{r.set_size}, FDR {r.fdr:.2g})"
                for r in rows.head(top).itertuples()
            )
            lines.append(f"{title}: {significant} below FDR {_SIGNIFICANT}; {'; '.join(best)}")
        return "\n".join(lines)

    def write_csv(self, path: Path | str, *, overwrite: bool = False) -> Path:
        """Write ``frame`` as CSV; the file appears whole or not at all."""
        path = Path(path)
        with written_whole(path, overwrite=overwrite) as beside:
            self.frame.to_csv(beside, index=False, float_format="%.6g")
        return path


def enrich_tags(
    tags: pd.DataFrame,
    background: Sequence[str],
    sets: Sequence[GeneSet],
    *,
    config: EnrichConfig | None = None,
    orthologues: Orthologues | None = None,
) -> Enrichment:
    """Test every set in every group (and slot) of a TAG table.

    Parameters
    ----------
    tags
        A table with the columns ``gene``, ``rank``, and some of ``group``, ``slot`` and ``patch``.
    background
        All genes that could have been TAGs, as the TAG table names them.
    sets
        Symbols are compared without regard to letter case.
    orthologues
        Turns the background into the other species' symbols before it is compared; a gene with
        several orthologues is in a set that holds any of them, and counts once.

    Raises
    ------
    InputError
        If a column is missing, TAGs lie outside the background, or no set can be tested.
    """
    config = config or EnrichConfig()
    keys = _keys_of(tags)
    genes = _distinct(background)
    places = {gene.casefold(): place for place, gene in enumerate(genes)}
    _require_within(tags["gene"], places)
    names, notes = _names_in_sets(genes, sets, orthologues)
    members = _members(sets, names)
    sizes = np.asarray(members.sum(axis=1)).ravel()
    known = len(np.unique(members.indices))
    notes = (*notes, f"{known} of {len(genes)} background genes are in at least one set.")
    tested = np.flatnonzero((sizes >= config.min_size) & (sizes <= config.max_size))
    if not len(tested):
        raise _nothing_to_test(genes, sets, sizes, config)
    test = _Test(genes, [sets[int(i)] for i in tested], members[tested])
    if config.top is not None:
        tags = tags[tags["rank"] <= config.top]
    frames = []
    for values, rows in tags.groupby(keys, sort=False, observed=True):
        found = test.of(np.unique([places[gene.casefold()] for gene in rows["gene"]]))
        for position, (key, value) in enumerate(zip(keys, values, strict=True)):
            found.insert(position, key, value)
        frames.append(found)
    empty = pd.DataFrame(columns=[*keys, *COLUMNS])
    frame = pd.concat(frames, ignore_index=True) if frames else empty
    return Enrichment(frame, genes, len(tested), len(sets), notes)


def read_tags(path: Path | str) -> pd.DataFrame:
    """A TAG table or programs of slots or patches, as they were written.

    Raises
    ------
    InputError
        If it cannot be read as CSV.
    """
    needed = "A CSV of TAGs, of slots or of patches, as TAGscope writes it, is needed."
    read_text(path, needed)
    text = {"group": str, "gene": str}
    try:
        return pd.read_csv(path, dtype=text, keep_default_na=False, na_values={"auc": ""})
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path} is no CSV ({error}).", needed, "Check the file.") from error


def background_of(path: Path | str) -> tuple[str, ...]:
    """The genes that could have been TAGs, from the list that was written beside the table.

    Raises
    ------
    ArgumentError
        If the list is not there: it is not guessed.
    """
    beside = Path(path).with_suffix(BACKGROUND_SUFFIX)
    if not beside.is_file():
        raise ArgumentError(
            f"Which genes could have been TAGs is not known: there is no {beside}.",
            "Enrichment is measured against all genes that the cells were read with.",
            "Give the background: the annotated store, or a file with one gene a line.",
            {"background": None},
        )
    return read_names(beside)


def table_and_background(
    tags: TagTable | SlotSummary | PatchPrograms | str | PathLike[str],
    background: Sequence[str] | PathLike[str] | None,
    key: str,
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The table to test and all genes that could have been in it.

    ``background`` holds names, or is the path of a list or of an annotated store, whose result
    ``key`` is read; if None, the table knows it, or the list that was written beside it.
    """
    if isinstance(tags, TagTable | SlotSummary | PatchPrograms):
        frame = tags.frame if isinstance(tags, TagTable) else tags.programs
    else:
        frame = read_tags(Path(tags))
    if isinstance(background, PathLike):
        path = Path(background)
        stored = path.is_dir() or path.suffix == ".h5ad"
        return frame, genes_read(read_table(path), key) if stored else read_names(path)
    if background is not None:
        return frame, tuple(background)
    if isinstance(tags, TagTable | SlotSummary | PatchPrograms):
        return frame, tags.background
    return frame, background_of(Path(tags))


class _Test:
    """Sets cut to the background: ``members`` (sets, background genes), 0 or 1."""

    def __init__(
        self, genes: tuple[str, ...], sets: Sequence[GeneSet], members: sp.csr_matrix
    ) -> None:
        self._genes = np.array(genes, dtype=object)
        self._names = np.array([found.name for found in sets], dtype=object)
        self._members = members
        self._sizes = np.asarray(members.sum(axis=1)).ravel()

    def of(self, tags: Ints) -> pd.DataFrame:
        """The table of one group, whose TAGs stand at these places of the background."""
        chosen = np.zeros(len(self._genes), np.int64)
        chosen[tags] = 1
        overlaps = self._members @ chosen
        p_values = upper_tail(overlaps, self._sizes, len(tags), len(self._genes))
        fdr = false_discovery_control(p_values, method="bh")
        order = np.lexsort((self._names, -overlaps, p_values))
        order = order[overlaps[order] > 0]
        expected = self._sizes[order] * (len(tags) / len(self._genes))
        return pd.DataFrame(
            {
                "set": self._names[order],
                "overlap": overlaps[order],
                "set_size": self._sizes[order],
                "tags": len(tags),
                "background": len(self._genes),
                "expected": expected,
                "fold": overlaps[order] / expected,
                "p_value": p_values[order],
                "fdr": fdr[order],
                "genes": [self._in_common(row, chosen) for row in order],
            }
        )

    def _in_common(self, row: int, chosen: Ints) -> str:
        columns = self._members.indices[self._members.indptr[row] : self._members.indptr[row + 1]]
        return ";".join(self._genes[columns[chosen[columns] > 0]])


def upper_tail(overlaps: Ints, sizes: Ints, drawn: int, background: int) -> npt.NDArray[np.float64]:
    """P(X ≥ overlap) for X hypergeometric, of every set.

    ``overlaps`` and ``sizes`` (sets,); ``drawn`` genes of ``background``.
    """
    pairs, which = np.unique(np.stack([overlaps, sizes], axis=1), axis=0, return_inverse=True)
    tails = hypergeom.sf(pairs[:, 0] - 1, background, pairs[:, 1], drawn)
    return np.asarray(np.clip(tails, 0.0, 1.0)[which.ravel()], dtype=np.float64)


def _keys_of(tags: pd.DataFrame) -> list[str]:
    keys = [key for key in _KEYS if key in tags]
    missing = [name for name in ("gene", "rank") if name not in tags]
    if missing or not keys:
        raise InputError(
            f"The TAG table has no column {(missing or ['group'])[0]!r}; "
            f"it has {listed(tags.columns)}.",
            "The columns gene, rank, and group, slot or patch are needed.",
            "Write the table of TAGs, of slots or of patches first.",
        )
    return keys


def _distinct(background: Sequence[str]) -> tuple[str, ...]:
    """Genes that are the same but for letter case count once."""
    first: dict[str, str] = {}
    for gene in background:
        first.setdefault(gene.casefold(), gene)
    return tuple(first.values())


def _require_within(tags: pd.Series, places: Mapping[str, int]) -> None:
    outside = [gene for gene in dict.fromkeys(tags) if str(gene).casefold() not in places]
    if outside:
        raise InputError(
            f"{len(outside)} TAGs are not in the background ({listed(outside, 3)}).",
            "The background holds every gene that could have been a TAG.",
            "Give the store that the TAGs came from as background.",
            {"background": None},
        )


def _names_in_sets(
    genes: tuple[str, ...], sets: Sequence[GeneSet], orthologues: Orthologues | None
) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """The symbols under which sets may hold each gene, and notes on how they were found."""
    if orthologues is not None:
        species, partners = orthologues.other_species(genes)
        other = "mouse" if species == "human" else "human"
        note = (
            f"{len(partners)} of {len(genes)} {species} genes have {other} orthologues; "
            f"the sets are taken to be of {other}."
        )
        return [partners.get(gene, ()) for gene in genes], (note,)
    notes = []
    own = species_of(GenePanel(genes))
    theirs = species_of(GenePanel(tuple(gene for found in sets[:200] for gene in found.genes)))
    if {own, theirs} == {"human", "mouse"}:
        notes.append(
            f"The background looks like {own} genes and the sets like {theirs} ones: they were "
            "matched by spelling alone, which misses orthologues of another name. "
            "A table of orthologues matches them."
        )
    return [(gene,) for gene in genes], tuple(notes)


def _members(sets: Sequence[GeneSet], names: list[tuple[str, ...]]) -> sp.csr_matrix:
    """Which set (rows) holds which gene of the background (columns), 0 or 1."""
    columns: dict[str, list[int]] = {}
    for column, symbols in enumerate(names):
        for symbol in symbols:
            columns.setdefault(symbol.casefold(), []).append(column)
    held = [
        sorted({c for gene in found.genes for c in columns.get(gene.casefold(), ())})
        for found in sets
    ]
    indptr = np.concatenate(([0], np.cumsum([len(row) for row in held]))).astype(np.int64)
    indices = np.array([c for row in held for c in row], dtype=np.int64)
    shape = (len(sets), len(names))
    return sp.csr_matrix((np.ones(len(indices), np.int64), indices, indptr), shape=shape)


def _nothing_to_test(
    genes: tuple[str, ...], sets: Sequence[GeneSet], sizes: Ints, config: EnrichConfig
) -> InputError:
    return InputError(
        f"None of the {len(sets)} sets has {config.min_size} to {config.max_size} genes among the "
        f"{len(genes)} of the background ({listed(genes, 3)}); the largest has "
        f"{int(sizes.max(initial=0))}.",
        "Sets and background must name genes in the same way.",
        "Check species and kind of gene ids, use a table of orthologues, or allow smaller sets.",
        {"orthologues": None, "min_size": None},
    )


def _out_of_range(name: str, value: int, needed: str) -> ArgumentError:
    words = name.replace("_", " ")
    return ArgumentError(f"{words} is {value}.", needed, "Give another number.", {name: None})
