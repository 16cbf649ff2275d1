"""Options that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from tagscope.core.fields import field_docs


def add_cells_options(parser: argparse.ArgumentParser) -> None:
    """Which table, values and cells of a file are meant."""
    group = parser.add_argument_group("cells")
    group.add_argument("--table", help="table of the store, where it has several")
    group.add_argument("--layer", help="layer that holds the counts, where X does not")
    group.add_argument(
        "--where", metavar="EXPR", help="""keep cells, by obs columns: 'animal == "7"'"""
    )
    group.add_argument(
        "--normalised",
        action="store_true",
        help="the values are log-normalised already, and meant to be used so",
    )


def add_section_options(parser: argparse.ArgumentParser) -> None:
    """As :func:`add_cells_options`, and where in the tissue."""
    add_cells_options(parser)
    group = parser.add_argument_group("tissue")
    group.add_argument(
        "--region",
        help="region the table annotates, where it has several; '*' lays all side by side",
    )
    group.add_argument(
        "--sections",
        metavar="COLUMN",
        help="obs column that tells sections apart which share coordinates: lay them side by side",
    )
    group.add_argument("--coordinate-system", help="coordinate system, where there are several")
    group.add_argument(
        "--um-per-unit", type=float, metavar="UM", help="µm per coordinate unit, if you know it"
    )
    group = parser.add_argument_group("genes")
    group.add_argument(
        "--genes", metavar="COLUMN", help="var column that names genes; 'index' for its index"
    )
    group.add_argument(
        "--orthologues",
        type=Path,
        metavar="CSV",
        help="pairs of genes (human_symbol, mouse_symbol), for a model of the other species",
    )


def cells_choices(options: argparse.Namespace) -> dict[str, Any]:
    """The choices that :func:`tagscope.api.read_reference` takes."""
    return {name: getattr(options, name) for name in ("table", "layer", "where", "normalised")}


def section_choices(options: argparse.Namespace) -> dict[str, Any]:
    """The choices that :func:`tagscope.api.open_section` takes."""
    names = ("region", "coordinate_system", "sections", "um_per_unit", "genes", "orthologues")
    tissue = {name: getattr(options, name) for name in names}
    return {**cells_choices(options), **tissue}


def add_config_options(
    parser: argparse._ActionsContainer, config: type, names: Sequence[str] | None = None
) -> None:
    """One option per field of a config dataclass (or per field of ``names``), with its docs.

    Options that are not given leave no trace, so that the config's own defaults hold.
    """
    docs, hints = field_docs(config), get_type_hints(config)
    for field in fields(config):
        if names is not None and field.name not in names:
            continue
        option = "--" + field.name.replace("_", "-")
        shown = "" if field.default is None else f" (default: {field.default})"
        described: dict[str, Any] = {
            "default": argparse.SUPPRESS,
            "help": (docs.get(field.name, "") + shown).replace("%", "%%").replace("``", ""),
        }
        parser.add_argument(option, **_parsed_as(hints[field.name]), **described)


def given_options(options: argparse.Namespace, config: type) -> dict[str, Any]:
    """The options of :func:`add_config_options` that were given, by field name."""
    return {f.name: getattr(options, f.name) for f in fields(config) if hasattr(options, f.name)}


def _parsed_as(hint: Any) -> dict[str, Any]:
    """What argparse has to know of a field's type."""
    optional = type(None) in get_args(hint)
    if optional:
        hint = next(part for part in get_args(hint) if part is not type(None))
    if hint is bool:
        return {"action": argparse.BooleanOptionalAction}
    if get_origin(hint) is Literal:
        return {"choices": get_args(hint)}
    if optional and hint is not str:
        return {"type": _auto_or(hint), "metavar": f"auto|{hint.__name__.upper()}"}
    return {"type": hint}


def _auto_or(kind: type) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        return None if text == "auto" else kind(text)

    parse.__name__ = kind.__name__  # argparse names it in its message
    return parse


def add_out(parser: argparse.ArgumentParser, what: str, *, required: bool = True) -> None:
    """``--out`` and ``--overwrite``."""
    parser.add_argument("--out", type=Path, required=required, help=what)
    parser.add_argument(
        "--overwrite", action="store_true", help="replace what is there, once the new is whole"
    )


def picture(text: str) -> Path:
    """The path of a picture to draw, refused before anything is computed if it cannot be one."""
    from tagscope.interpret.heatmap import PICTURES  # drawing is slow to import

    path = Path(text)
    if path.suffix.lower() not in PICTURES:
        raise argparse.ArgumentTypeError(f"{text} does not end in {', '.join(PICTURES)}")
    return path


def percentages(text: str) -> tuple[float, ...]:
    """Numbers between commas."""
    return tuple(float(part) for part in text.split(","))
