"""Checkpoints of the original tools, read as weights and numbers alone."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tagscope.errors import InputError

# What torch raises over a file that is cut short, damaged, or something else altogether.
_READ_ERRORS = (
    OSError, RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError,
    AssertionError, OverflowError, MemoryError,
)  # fmt: skip
# The accuracy may be a numpy scalar, which numpy 1 and 2 write under different names.
_SCALAR: Any = np.float64().__reduce__()[0]
_NUMPY_SCALARS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(name)) for name in ("float16", "float32", "float64", "int32", "int64")),
]


def read_checkpoint(file: Path) -> Mapping[str, Any]:
    """A file of ``torch.save`` as tensors and numbers; anything else in it is refused, not run.

    Raises
    ------
    InputError
        If it holds anything else, or cannot be read.
    """
    try:
        with torch.serialization.safe_globals(_NUMPY_SCALARS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch warns of here ends in one of these errors
            stored = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{file} holds more than weights and numbers, or is damaged ({_first_line(error)}).",
            "A checkpoint is read as weights alone, so that it cannot run a program.",
            "Copy it again, and do not open one whose origin you do not know.",
        ) from error
    except _READ_ERRORS as error:
        raise InputError(
            f"{file} cannot be read ({type(error).__name__}: {_first_line(error)}).",
            "A checkpoint as torch.save writes it is needed.",
            "Copy it again: it is damaged or was not copied completely.",
        ) from error
    return stored if isinstance(stored, Mapping) else {}


def _first_line(error: BaseException) -> str:
    """What torch says of a file, without its advice to load it by force."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = next(
        (line for line in lines if "nsupported" in line), lines[0] if lines else "no reason"
    )
    return told[:200].rstrip(".")


def is_weight(key: Any, value: Any) -> bool:
    """Whether an entry is a named tensor of finite numbers."""
    if not (isinstance(key, str) and isinstance(value, Tensor) and value.is_floating_point()):
        return False
    plain = value.layout == torch.strided and value.device.type == "cpu"
    return plain and bool(torch.isfinite(value).all())
