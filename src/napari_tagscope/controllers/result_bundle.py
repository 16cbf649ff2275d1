"""The model that gave a result, from what the result says of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tagscope.errors import ArgumentError

if TYPE_CHECKING:
    from tagscope.api import AnnotationResult, Bundle


def run_of(result: AnnotationResult | None) -> tuple[str, str] | None:
    """Which run of a model gave a result; another colour or bound is of the same run."""
    return None if result is None else (result.key, result.provenance.finished)


def bundle_of(result: AnnotationResult, chosen: Path | None) -> Bundle:
    """Load the bundle that annotated, from where it was then or from ``chosen``.

    Raises
    ------
    ArgumentError
        If it is not known or no longer there, or ``chosen`` is another.
    BundleError
        If it is damaged.
    """
    from tagscope import api

    inputs = result.provenance.inputs
    known = inputs.get("bundle", "any known place")
    path = chosen or Path(known)
    if chosen is None and not (path / "bundle.json").is_file():
        raise ArgumentError(
            f"The bundle that annotated the cells is not at {known}.",
            "The model that gave the labels is asked again.",
            "Choose its folder with “Bundle…”.",
        )
    bundle = api.load_bundle(path)
    if inputs.get("bundle_digest", bundle.digest) != bundle.digest:
        raise ArgumentError(
            f"The cells were annotated by another model than {path}.",
            "The model that gave the labels is asked again.",
            f"Choose the bundle that annotated them ({known}).",
        )
    return bundle
