"""What the verbs take: paths may be strings, and a bundle its path."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from tagscope.models.bundle import Bundle, load_bundle

AnyPath = str | PathLike[str]


def bundle_of(bundle: Bundle | AnyPath) -> Bundle:
    """The bundle, verified where it has to be read."""
    return bundle if isinstance(bundle, Bundle) else load_bundle(Path(bundle))
