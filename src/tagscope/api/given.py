"""What the verbs take: paths may be strings, a bundle its path, a section where it is."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from tagscope.core.section import Section
from tagscope.errors import ArgumentError
from tagscope.io.readers import OpenedSection, open_section
from tagscope.models.bundle import Bundle, load_bundle

AnyPath = str | PathLike[str]


def bundle_of(bundle: Bundle | AnyPath) -> Bundle:
    """The bundle, verified where it has to be read."""
    return bundle if isinstance(bundle, Bundle) else load_bundle(Path(bundle))


def opened_of(
    section: Section | OpenedSection | AnyPath, out: AnyPath | None, choices: dict[str, Any]
) -> tuple[Section, OpenedSection | None]:
    """The cells, and the file behind them if there is one, which ``out`` needs.

    Raises
    ------
    ArgumentError
        If it is to be written, and has no file behind it.
    InputError
        If what was opened has errors.
    """
    if isinstance(section, Section):
        if out is None:
            return section, None
        raise ArgumentError(
            "A section without a file behind it cannot be written as a store.",
            "A path or an opened section is needed with out=.",
            "Pass what open_section returned.",
        )
    if not isinstance(section, OpenedSection):
        section = open_section(Path(section), **choices)
    section.refuse_errors()
    return section.section, section


def said_of(section: Section, opened: OpenedSection | None) -> dict[str, str]:
    """What a record says of a section: where it is, and how it was opened."""
    inputs = {}
    if opened is not None:
        inputs["section"] = str(opened.source.path)
        names = ("layer", "where", "genes", "orthologues")
        chosen = {name: getattr(opened.source, name) for name in names}
        inputs |= {name: str(choice) for name, choice in chosen.items() if choice}
    if section.cells.normalised:
        inputs["values"] = "log-normalised"
    return inputs
