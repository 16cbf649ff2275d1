"""Columns of a table's ``obs`` that a request names."""

from __future__ import annotations

import pandas as pd

from tagscope.errors import ArgumentError
from tagscope.io.findings import listed


def column_of(obs: pd.DataFrame, name: str, choice: str) -> pd.Series:
    """The column ``name``; ``choice`` is the argument that names it.

    Raises
    ------
    ArgumentError
        If there is no such column; it lists those there are.
    """
    if name not in obs:
        raise ArgumentError(
            f"The table has no column {name!r}.",
            f"Its columns are: {listed(obs.columns)}.",
            "Choose one of these.",
            {choice: None},
        )
    return obs[name]
