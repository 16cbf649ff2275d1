"""What a person makes of domains that were found: merged, renamed, in other colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from tagscope.core.labels import NO_LABEL, LabelSet, default_colors
from tagscope.core.results import DomainMap
from tagscope.domains.clusters import by_size
from tagscope.errors import ArgumentError

EDITS = "edits"  # in a record: what a person did, in order


def code_of(found: DomainMap, name: str) -> int:
    """Code of a domain.

    Raises
    ------
    ArgumentError
        If there is no such domain.
    """
    code = found.domains.code(name)
    if code < 0:
        raise ArgumentError(
            f"There is no domain {name!r}.",
            f"The domains are {', '.join(found.domains.names)}.",
            "Name one of these.",
        )
    return code


def merge_domains(found: DomainMap, names: Sequence[str]) -> DomainMap:
    """Make several domains one, which keeps name and colour of the first in ``found``, the largest.

    The record tells which were merged, and when.

    Raises
    ------
    ArgumentError
        If fewer than two are named, or there is no such domain.
    """
    merged = sorted({code_of(found, name) for name in names})
    if len(merged) < 2:
        raise ArgumentError(
            f"{len(merged)} domain was named to be merged.",
            "At least two are needed.",
            "Name others beside it.",
        )
    codes = found.codes.copy()
    codes[np.isin(codes, merged)] = merged[0]
    ordered = by_size(codes)
    of_new = np.empty(len(np.unique(codes)), np.int64)
    of_new[ordered] = codes
    domains = found.domains
    labels = LabelSet(
        tuple(domains.names[code] for code in of_new),
        tuple(domains.colors[code] for code in of_new),
    )
    said = {"merged": [domains.names[code] for code in merged], "into": domains.names[merged[0]]}
    return _edited(replace(found, domains=labels, codes=ordered), said)


def rename_domain(found: DomainMap, name: str, shown: str) -> DomainMap:
    """Give a domain another name; the record keeps both.

    Raises
    ------
    ArgumentError
        If there is no such domain, or the new name is empty, stands for no label, or is taken.
    """
    code, shown = code_of(found, name), shown.strip()
    if not shown or shown in NO_LABEL:
        raise ArgumentError(
            f"{shown!r} stands for cells without a domain." if shown else "The name is empty.",
            "A domain needs a name.",
            "Type one, or keep the name it has.",
        )
    if found.domains.code(shown) not in (-1, code):
        raise ArgumentError(
            f"Another domain is called {shown!r} already.",
            "Every domain needs a name of its own.",
            "Choose another name, or merge the two.",
        )
    names = list(found.domains.names)
    names[code] = shown
    labels = LabelSet(tuple(names), found.domains.colors)
    return _edited(replace(found, domains=labels), {"renamed": name, "to": shown})


def recolour_domain(found: DomainMap, name: str, color: str) -> DomainMap:
    """Give a domain another colour, ``#rrggbb``.

    Raises
    ------
    ArgumentError
        If there is no such domain.
    """
    colors = list(found.domains.colors)
    colors[code_of(found, name)] = color
    return replace(found, domains=LabelSet(found.domains.names, tuple(colors)))


def coloured_like(found: DomainMap, before: DomainMap) -> DomainMap:
    """The same domains, each in the colour of the one ``before`` that it shares most cells with.

    Pairs are chosen so that as many cells as possible keep their colour. A colour that would not be
    needed for so few domains is not kept, since later ones are less easily told apart, unless a
    person chose it; who keeps none gets one that is free. Domains of other cells stay as they are.
    """
    if not np.array_equal(found.ids, before.ids):
        return found
    shared = np.zeros((len(found.domains), len(before.domains)), np.int64)
    np.add.at(shared, (found.codes, before.codes), 1)
    pairs = dict(zip(*(place.tolist() for place in linear_sum_assignment(-shared)), strict=True))
    needed = default_colors(len(found.domains))
    late = set(default_colors(len(before.domains))) - set(needed)
    kept = {code: before.domains.colors[other] for code, other in pairs.items()}
    kept = {code: color for code, color in kept.items() if color not in late}
    free = (color for color in needed if color not in kept.values())
    colors = tuple(kept.get(code) or next(free) for code in range(len(found.domains)))
    return replace(found, domains=LabelSet(found.domains.names, colors))


def _edited(found: DomainMap, said: dict[str, Any]) -> DomainMap:
    """With an edit in the record."""
    extra = found.provenance.extra
    edit = {**said, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    told = {"domains": list(found.domains.names), EDITS: [*extra.get(EDITS, ()), edit]}
    return replace(found, provenance=replace(found.provenance, extra={**extra, **told}))
