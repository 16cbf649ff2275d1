"""Which columns of a table could hold labels."""

from __future__ import annotations

from typing import Any

MOST_TYPES = 1000


def holds_labels(column: Any) -> bool:
    """Whether a pandas column holds categories or text, and not clearly more than 1,000 of them.

    Of text only the beginning is looked at: ids of a million cells take a second to tell apart.
    """
    if column.dtype.name == "category":
        return len(column.cat.categories) <= MOST_TYPES
    return column.dtype.kind in "OUT" and column[: 5 * MOST_TYPES].nunique() <= MOST_TYPES
