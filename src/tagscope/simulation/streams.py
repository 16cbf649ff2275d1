"""One stream of random numbers a purpose, so that a change in one leaves the others as they are."""

from __future__ import annotations

import zlib

import numpy as np


def stream(seed: int, purpose: str, part: int = 0) -> np.random.Generator:
    """The generator of one purpose (and one part of the work, where it is done in parts)."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), part])
