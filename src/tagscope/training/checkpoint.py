"""Where a training stands, kept beside its bundle until it has finished."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tagscope.errors import ArgumentError, InputError
from tagscope.io.atomic import written_whole

_FORMAT = 2


@dataclass(frozen=True)
class Checkpoint:
    """The state after an epoch.

    ``request`` identifies data and settings; ``standings`` are the parts so far
    (:class:`tagscope.training.sitting.Standing`), the last of them with the state of its
    ``network`` and ``optimizer``. Random numbers need no state: every epoch seeds its own.
    """

    request: str
    standings: list[dict[str, Any]]
    network: dict[str, Tensor]
    optimizer: dict[str, Any]
    seconds: float


def checkpoint_path(out: Path) -> Path:
    """The checkpoint that belongs to a bundle."""
    return out.with_name(out.name + ".checkpoint")


def write_checkpoint(out: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint beside ``out``, in one step."""
    with written_whole(checkpoint_path(out), overwrite=True) as path:
        torch.save({"format": _FORMAT, **vars(checkpoint)}, path)


def read_checkpoint(out: Path, request: str) -> Checkpoint:
    """The checkpoint beside ``out``.

    Raises
    ------
    ArgumentError
        If there is none, or it belongs to other data or settings.
    InputError
        If it cannot be read.
    """
    path = checkpoint_path(out)
    if not path.is_file():
        raise ArgumentError(
            f"There is no unfinished training beside {out}.",
            f"Resuming needs {path.name}.",
            "Train anew.",
            {"resume": False},
        )
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        if stored.pop("format") != _FORMAT:
            raise KeyError("format")
        checkpoint = Checkpoint(**stored)
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} cannot be read ({type(error).__name__}).",
            "A checkpoint of this version of TAGscope is needed.",
            "Remove it and train again.",
        ) from error
    if checkpoint.request != request:
        raise ArgumentError(
            f"{path} belongs to a training with other cells or settings.",
            "A training is resumed with the same data, labels, genes and options.",
            "Give them as before, or train anew.",
            {"resume": False},
        )
    return checkpoint
