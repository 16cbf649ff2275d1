"""What a person may have meant by a gene that is not in the panel."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

MOST = 4
_GREEK = str.maketrans({"α": "a", "β": "b", "γ": "g", "δ": "d", "ε": "e", "ζ": "z", "κ": "k"})


def near_matches(wanted: str, genes: Sequence[str], most: int = MOST) -> tuple[str, ...]:
    """Names of ``genes`` that come near to ``wanted``, the nearest first, at most ``most``.

    First those that differ in letter case, signs or Greek letters alone (``HLA-A``, ``HLA.A``),
    then those of its family, that begin with it (``CD3``, ``Cd3d``) or it with them, then those
    spelt much like it.
    """
    word = _plain(wanted)
    if not word:
        return ()
    names: dict[str, str] = {}
    for gene in genes:
        names.setdefault(_plain(gene), gene)
    same = [name for name in names if name == word]
    family = sorted((name for name in names if _related(name, word)), key=lambda n: (len(n), n))
    alike = get_close_matches(word, names, n=most, cutoff=0.7)
    return tuple(names[name] for name in dict.fromkeys([*same, *family, *alike]))[:most]


def _plain(name: str) -> str:
    return "".join(c for c in name.casefold().translate(_GREEK) if c.isalnum())


def _related(name: str, word: str) -> bool:
    """Whether one begins with the other, and neither is a mere letter or two."""
    shorter, longer = sorted((name, word), key=len)
    return len(shorter) > 2 and shorter != longer and longer.startswith(shorter)
