"""TAGscope: annotate spatial transcriptomics and see which genes the model attends to.

The verbs live in :mod:`tagscope.api` and are imported on first use, so that ``import tagscope``
stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_VERBS = (
    "annotate", "check", "evaluate", "export", "info", "load_bundle", "open_section",
    "read_reference", "read_section", "simulate", "tags", "train",
)  # fmt: skip

__all__ = ["__version__", *_VERBS]


def __getattr__(name: str) -> Any:
    if name in _VERBS:
        return getattr(import_module("tagscope.api"), name)
    raise AttributeError(f"module 'tagscope' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
