"""TAGscope: annotate spatial transcriptomics and see which genes the model attends to.

The public names are those of :mod:`tagscope.api`, imported on first use, so that
``import tagscope`` stays quick.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# While they wait for each other, GNU OpenMP's threads spin 300,000 times. Where anything else wants
# the cores, the window's own drawing included, that makes a network run fifty times slower than
# letting them sleep soon. It is read once, when torch is first imported; a user's choice stands.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def __getattr__(name: str) -> Any:
    if not name.startswith("_"):
        api = import_module("tagscope.api")
        if name in api.__all__:
            return getattr(api, name)
    raise AttributeError(f"module 'tagscope' has no attribute {name!r}")


def __dir__() -> list[str]:
    return ["__version__", *import_module("tagscope.api").__all__]
