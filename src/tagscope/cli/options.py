"""Options that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


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
    group.add_argument("--region", help="region the table annotates, where it has several")
    group.add_argument("--coordinate-system", help="coordinate system, where there are several")


def cells_choices(options: argparse.Namespace) -> dict[str, Any]:
    """The choices that :func:`tagscope.api.read_reference` takes."""
    return {name: getattr(options, name) for name in ("table", "layer", "where", "normalised")}


def section_choices(options: argparse.Namespace) -> dict[str, Any]:
    """The choices that :func:`tagscope.api.open_section` takes."""
    tissue = {name: getattr(options, name) for name in ("region", "coordinate_system")}
    return {**cells_choices(options), **tissue}


def add_compute_options(parser: argparse.ArgumentParser) -> None:
    """Where and how the networks run."""
    group = parser.add_argument_group("computing")
    group.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    group.add_argument(
        "--batch-size", type=_auto_or_positive, default=None, help="auto (the default) or cells"
    )
    group.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"))
    group.add_argument("--seed", type=int, default=0)


def add_out(parser: argparse.ArgumentParser, what: str, *, required: bool = True) -> None:
    """``--out`` and ``--overwrite``."""
    parser.add_argument("--out", type=Path, required=required, help=what)
    parser.add_argument(
        "--overwrite", action="store_true", help="replace what is there, once the new is whole"
    )


def _auto_or_positive(text: str) -> int | None:
    if text == "auto":
        return None
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be auto or at least 1")
    return number
