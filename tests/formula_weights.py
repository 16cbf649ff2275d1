"""Weights of the cases that store a formula in place of a file."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from fnmatch import fnmatch
from typing import Any

import numpy as np
import torch
from torch import Tensor

_OTHERS = ("all others", "all other parameters")
_NORMS = 'names containing "norm" and ending in weight'


def drawn_weights(formula: Mapping[str, Any]) -> dict[str, Tensor]:
    """w = mean + sd · (numbers drawn by the name and the seed), by the first rule that matches."""
    return {key: _drawn(key, shape, formula) for key, shape in formula["shapes"].items()}


def _drawn(key: str, shape: list[int], formula: Mapping[str, Any]) -> Tensor:
    mean, sd = next((mean, sd) for rule, mean, sd in formula["rules"] if _matches(key, rule))
    seed = (zlib.crc32(key.encode()) ^ formula["seed"]) & 0xFFFFFFFF
    drawn = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    return torch.tensor(mean + sd * drawn, dtype=torch.float32)


def _matches(key: str, rule: str) -> bool:
    if rule == _NORMS:
        return "norm" in key and key.endswith("weight")
    return rule in _OTHERS or any(fnmatch(key, one.strip()) for one in rule.split(","))
