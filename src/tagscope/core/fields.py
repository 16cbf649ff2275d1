"""Fields of configs: their docstrings, which become ``--help`` texts and tooltips, and names."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from tagscope.errors import ArgumentError


def field_docs(config: type) -> dict[str, str]:
    """The string literal under each field of a dataclass, as one line per field."""
    body = ast.parse(textwrap.dedent(inspect.getsource(config))).body[0]
    assert isinstance(body, ast.ClassDef)
    docs: dict[str, str] = {}
    for field, after in zip(body.body, body.body[1:], strict=False):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            docs[field.target.id] = " ".join(str(after.value.value).split())
    return docs


def only_known(config: type, data: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Settings that were written as JSON, every one a field of the dataclass ``config``.

    Raises
    ------
    ArgumentError
        If one is not; it names ``what`` the settings are of, and those there are.
    """
    known = {field.name for field in fields(config)}
    unknown = sorted(set(data) - known)
    if unknown:
        raise ArgumentError(
            f"{what} has no setting {', '.join(unknown)}.",
            f"Its settings are {', '.join(sorted(known))}.",
            "Correct the name, or update TAGscope if the model was made by a newer one.",
        )
    return dict(data)
