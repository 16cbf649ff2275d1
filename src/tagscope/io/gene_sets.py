"""Gene sets (GMT) and tables of orthologous genes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tagscope.errors import InputError
from tagscope.io.names import read_text

_NEEDED = "A GMT file is needed: a set a line, name, description and genes between tabs."
_SPECIES = ("human_symbol", "mouse_symbol")


@dataclass(frozen=True)
class GeneSet:
    """A named set of gene symbols, each once, in the file's order."""

    name: str
    genes: tuple[str, ...]


def read_gmt(path: Path | str) -> tuple[GeneSet, ...]:
    """The sets of a GMT file.

    The description may be empty, genes may occur twice and lines may end in tabs; empty lines
    count for nothing, and so does a weight behind a comma (``GENE,1.0``, as Enrichr writes it).

    Raises
    ------
    InputError
        If it cannot be read, or a line is no set, or two sets have one name: with its number.
    """
    sets: dict[str, GeneSet] = {}
    first: dict[str, int] = {}
    for number, line in enumerate(read_text(path, _NEEDED).splitlines(), 1):
        if not line.strip():
            continue
        found = _set_of(line)
        if isinstance(found, str):
            raise _unusable(path, number, found)
        if found.name in sets:
            raise _unusable(path, number, f"has the name of line {first[found.name]} once more")
        sets[found.name], first[found.name] = found, number
    if not sets:
        raise InputError(f"{path} holds no gene set.", _NEEDED, "Check how it was written.")
    return tuple(sets.values())


def _set_of(line: str) -> GeneSet | str:
    """The set of a line, or what is wrong with the line."""
    fields = [field.strip() for field in line.split("\t")]
    if len(fields) < 3:
        return f"has {len(fields) - 1} tabs"
    if not fields[0]:
        return "has no name"
    genes = dict.fromkeys(field.split(",", 1)[0] for field in fields[2:] if field)
    return GeneSet(fields[0], tuple(genes)) if genes else "has no genes"


def _unusable(path: Path | str, number: int, problem: str) -> InputError:
    return InputError(f"Line {number} of {path} {problem}.", _NEEDED, "Correct or remove the line.")


@dataclass(frozen=True)
class Orthologues:
    """Pairs of human and mouse symbols; a gene may have several partners."""

    human: tuple[str, ...]
    mouse: tuple[str, ...]

    def other_species(self, genes: Iterable[str]) -> tuple[str, dict[str, tuple[str, ...]]]:
        """Which species the genes are of, and the symbols of their partners in the other.

        The species is the one whose symbols most of them are, as they are written. Letter case
        counts for that alone. A gene without a partner is left out.
        """
        genes = list(genes)
        human, mouse = set(self.human), set(self.mouse)
        is_human = sum(g in human for g in genes) > sum(g in mouse for g in genes)
        pairs = zip(self.human, self.mouse, strict=True)
        partners = _folded(pairs if is_human else ((m, h) for h, m in pairs))
        found = {g: partners[g.casefold()] for g in genes if g.casefold() in partners}
        return ("human" if is_human else "mouse"), found


def read_orthologues(path: Path | str) -> Orthologues:
    """A CSV with the columns ``human_symbol`` and ``mouse_symbol``.

    Raises
    ------
    InputError
        If it cannot be read or lacks a column.
    """
    needed = f"A CSV with the columns {' and '.join(_SPECIES)} is needed."
    read_text(path, needed)
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except pd.errors.ParserError as error:
        raise InputError(f"{path} is no CSV ({error}).", needed, "Check the file.") from error
    missing = [name for name in _SPECIES if name not in frame]
    if missing:
        raise InputError(
            f"{path} has no column {missing[0]!r}; it has {', '.join(map(repr, frame.columns))}.",
            needed,
            "Rename its columns, or choose another file.",
        )
    paired = frame[(frame[_SPECIES[0]] != "") & (frame[_SPECIES[1]] != "")]
    return Orthologues(tuple(paired[_SPECIES[0]]), tuple(paired[_SPECIES[1]]))


def _folded(pairs: Iterable[tuple[str, str]]) -> Mapping[str, tuple[str, ...]]:
    partners: dict[str, list[str]] = {}
    for own, other in pairs:
        partners.setdefault(own.casefold(), []).append(other)
    return {own: tuple(dict.fromkeys(others)) for own, others in partners.items()}
