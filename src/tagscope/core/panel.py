"""The ordered genes an assay measured, or a model knows."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt


def _without_version(ensembl_id: str) -> str:
    return ensembl_id.split(".", 1)[0].upper()


def _first_positions(names: tuple[str, ...]) -> dict[str, int]:
    positions: dict[str, int] = {}
    for index, name in enumerate(names):
        if name:
            positions.setdefault(name, index)
    return positions


@dataclass(frozen=True)
class GenePanel:
    """Ordered genes; the same class is a model's vocabulary.

    ``symbols`` (G,) are the names shown to people. ``ensembl`` (G,), where known, are Ensembl gene
    ids, ``""`` for a gene without one. A panel that came with Ensembl ids alone has them in both.
    ``aliases`` (G,), where given, are other names that the genes are found by, those of another
    species' orthologues, ``""`` for a gene without one; they do not count for its identity.
    """

    symbols: tuple[str, ...]
    ensembl: tuple[str, ...] | None = None
    aliases: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for what, names in (("Ensembl ids", self.ensembl), ("aliases", self.aliases)):
            if names is not None and len(names) != len(self.symbols):
                raise ValueError(f"{len(names)} {what} for {len(self.symbols)} gene symbols")

    def __len__(self) -> int:
        return len(self.symbols)

    @cached_property
    def _by_symbol(self) -> dict[str, int]:
        return _first_positions(self.symbols)

    @cached_property
    def _by_folded_symbol(self) -> dict[str, int]:
        aliases = self.aliases or ("",) * len(self)
        folded = ("" if a else s.casefold() for s, a in zip(self.symbols, aliases, strict=True))
        return _first_positions(tuple(folded))

    @cached_property
    def _by_folded_alias(self) -> dict[str, int]:
        return _first_positions(tuple(a.casefold() for a in self.aliases or ()))

    @cached_property
    def _by_ensembl(self) -> dict[str, int]:
        return _first_positions(tuple(_without_version(e) for e in self.ensembl or ()))

    def position(self, symbol: str, ensembl: str = "", alias: str = "") -> int:
        """Position of one gene, −1 where absent.

        The exact symbol is tried first, then the alias, then, of genes without one, the symbol
        without regard to case (seqFISH+ and others write it otherwise), then the Ensembl id without
        its version. A gene that is looked for with an ``alias`` of its own is so by that, in place
        of the symbol, wherever not the exact one counts.
        """
        if symbol in self._by_symbol:
            return self._by_symbol[symbol]
        folded = (alias or symbol).casefold()
        for names in (self._by_folded_alias, self._by_folded_symbol):
            if folded in names:
                return names[folded]
        return self._by_ensembl.get(_without_version(ensembl), -1) if ensembl else -1

    def columns_in(self, other: GenePanel) -> npt.NDArray[np.int64]:
        """Position of every gene of this panel in ``other``, (G,) int64, −1 where absent."""
        none = ("",) * len(self)
        names = zip(self.symbols, self.ensembl or none, self.aliases or none, strict=True)
        return np.array([other.position(*gene) for gene in names], dtype=np.int64)

    def shared_with(self, other: GenePanel) -> npt.NDArray[np.int64]:
        """Columns of this panel's genes that ``other`` has too, ascending, each gene once."""
        firsts = self.columns_in(self) == np.arange(len(self))
        return np.flatnonzero(firsts & (self.columns_in(other) >= 0))

    def take(self, columns: npt.NDArray[np.int64] | list[int]) -> GenePanel:
        """The panel of the given columns, in their order."""

        def taken(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
            return None if names is None else tuple(names[int(c)] for c in columns)

        symbols = tuple(self.symbols[int(c)] for c in columns)
        return GenePanel(symbols, taken(self.ensembl), taken(self.aliases))

    def named_as(self, other: GenePanel) -> GenePanel:
        """This panel in ``other``'s symbols, where it has aliases that tell genes of the two."""
        if other.aliases is None:
            return self
        columns = self.columns_in(other)
        named = (
            other.symbols[c] if c >= 0 else own
            for own, c in zip(self.symbols, columns, strict=True)
        )
        return GenePanel(tuple(named))

    @property
    def duplicates(self) -> tuple[str, ...]:
        """Symbols that occur more than once, in order of first occurrence."""
        counts: dict[str, int] = {}
        for symbol in self.symbols:
            counts[symbol] = counts.get(symbol, 0) + 1
        return tuple(symbol for symbol, count in counts.items() if count > 1)

    @cached_property
    def digest(self) -> str:
        """sha256 of the ordered genes, hexadecimal."""
        return hashlib.sha256(json.dumps(self.to_dict()).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"symbols": list(self.symbols), "ensembl": list(self.ensembl or ()) or None}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> GenePanel:
        """Inverse of :meth:`to_dict`."""
        ensembl = data.get("ensembl")
        return cls(tuple(data["symbols"]), tuple(ensembl) if ensembl else None)
