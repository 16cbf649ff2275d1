"""Checkpoints of the original tools, read as weights and numbers alone."""

from __future__ import annotations

import hashlib
import json
import pickle
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from tagscope.core.provenance import Provenance
from tagscope.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

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


def weights_of(stored: Mapping[str, Any], file: Path, model: str) -> dict[str, Tensor]:
    """Named weights as float32, without the prefix of DataParallel.

    Raises
    ------
    InputError
        If there are none, or an entry is not a tensor of finite numbers.
    """
    wrong = [str(key) for key, value in stored.items() if not _is_weight(key, value)]
    if wrong or not stored:
        raise InputError(
            f"{file} holds entries that are not tensors of finite numbers: {', '.join(wrong[:5])}."
            if wrong else f"{file} holds no weights.",
            f"{model} saves its weights by name, and every weight must be finite.",
            f"Name a checkpoint of {model}.",
        )  # fmt: skip
    prefix = "module." if all(key.startswith("module.") for key in stored) else ""
    return {key.removeprefix(prefix): value.detach().float() for key, value in stored.items()}


def _is_weight(key: Any, value: Any) -> bool:
    if not (isinstance(key, str) and isinstance(value, Tensor) and value.is_floating_point()):
        return False
    plain = value.layout == torch.strided and value.device.type == "cpu"
    return plain and bool(torch.isfinite(value).all())


def read_json(file: Path, needed: str) -> Mapping[str, Any]:
    """A file that holds a JSON object, ``needed`` for what is said where it does not.

    Raises
    ------
    InputError
        If it cannot be read, or holds something else.
    """
    try:
        said = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{file} cannot be read ({error}).", "A JSON file is needed.", "Copy it again."
        ) from error
    if not isinstance(said, dict):
        raise InputError(f"{file} holds no JSON object.", needed, "Copy it again.")
    return said


def origin_of(
    checkpoint: Path, config: DataclassInstance, name: str, **said: Any
) -> dict[str, Any]:
    """Where converted weights come from, in the place of a training's account; ``said`` is what
    the file says of its training."""
    with checkpoint.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    parameters = {
        key: str(value) if isinstance(value, Path) else value
        for key, value in asdict(config).items()
    }
    provenance = Provenance(
        verb="convert",
        parameters=parameters,
        inputs={"checkpoint": str(checkpoint), "checkpoint_sha256": sha256},
    )
    return {
        "accuracy": None,
        "macro_f1": None,
        "converted": {"from": name, "sha256": sha256, **said},
        "provenance": json.loads(provenance.to_json()),
    }
