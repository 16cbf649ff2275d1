"""Field docstrings of configs, which become ``--help`` texts and tooltips."""

from __future__ import annotations

import ast
import inspect
import textwrap


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
