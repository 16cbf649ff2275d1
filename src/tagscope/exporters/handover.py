"""Hand an annotated section over: ``.h5ad``, CSV or figure, with ``manifest.json`` beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from tagscope.errors import ArgumentError
from tagscope.exporters.manifest import NAME, read_manifest, write_manifest
from tagscope.io.atomic import written_whole
from tagscope.io.readers import OpenedSection, open_section
from tagscope.io.store import write_results

if TYPE_CHECKING:
    from anndata import AnnData

Format = Literal["h5ad", "csv", "figure"]
What = Literal["attention", "expression"]


@dataclass(frozen=True)
class ExportConfig:
    """What to export. ``color``, ``gene``, ``what`` and ``dpi`` are of figures alone."""

    key: str = "cellmemory"
    """Annotation to take."""
    color: str | None = None
    """Column of obs to colour cells by; the annotation's labels if not given."""
    gene: str | None = None
    """Gene to colour cells by, in place of a column."""
    what: What = "attention"
    """What to show of the gene: attention or expression."""
    dpi: int = 300
    """Dots per inch, of PNG and of the cells inside large SVG and PDF files."""

    def __post_init__(self) -> None:
        if self.color is not None and self.gene is not None:
            raise ArgumentError(
                f"Both a column ({self.color!r}) and a gene ({self.gene!r}) were given.",
                "A figure shows one of them.",
                "Leave out the column or the gene.",
                {"color": None, "gene": None},
            )
        if self.what not in get_args(What):
            raise _unknown("what is shown of a gene", self.what, get_args(What))
        if not 30 <= self.dpi <= 2400:
            raise ArgumentError(
                f"A resolution of {self.dpi} dots per inch was asked for.",
                "30 to 2400 are possible; journals ask for 300 to 600.",
                "Choose a resolution within these bounds.",
                {"dpi": None},
            )


def export(
    section: OpenedSection | Path | str,
    to: Format,
    out: Path | str,
    config: ExportConfig | None = None,
    *,
    overwrite: bool = False,
    table: str | None = None,
    region: str | None = None,
    coordinate_system: str | None = None,
    layer: str | None = None,
    normalised: bool = False,
    **options: Any,
) -> Path:
    """Write an annotated section in another tool's format.

    Parameters
    ----------
    section
        An opened section, or the path of a store or ``.h5ad``; ``table`` to ``normalised`` then
        choose within it as in ``open_section``.
    to
        ``"h5ad"``: the whole table; ``"csv"``: a row per cell; ``"figure"``: the tissue, as PNG,
        SVG or PDF by the suffix of ``out``.
    options
        Fields of :class:`ExportConfig`, where no ``config`` is given.

    Returns
    -------
    Path
        The file. ``manifest.json`` in its folder holds its sha256 and every provenance record.

    Raises
    ------
    ArgumentError
        If format, suffix, column or gene do not exist.
    OutputError
        If something is in the way or the disk is full; nothing is half-written.
    """
    out = Path(out)
    config = config or _config(options)
    if to not in _WRITERS:
        raise _unknown("the format", to, tuple(_WRITERS))
    _require_suffix(out, *_SUFFIXES[to])
    read_manifest(out.parent)
    if not isinstance(section, OpenedSection):
        section = open_section(
            Path(section),
            table=table,
            region=region,
            layer=layer,
            coordinate_system=coordinate_system,
            normalised=normalised,
        )
    _WRITERS[to](section, out, config, overwrite)
    write_manifest(out, to, section.source.path, section.table, asdict(config))
    return out


def _write_h5ad(opened: OpenedSection, out: Path, config: ExportConfig, overwrite: bool) -> None:
    del config  # the whole table goes
    write_results(opened.source, _unchanged, out, overwrite=overwrite)


def _unchanged(table: AnnData) -> None:
    """Write nothing into the copy."""


def _write_csv(opened: OpenedSection, out: Path, config: ExportConfig, overwrite: bool) -> None:
    from tagscope.exporters.csv import cells_frame

    frame = cells_frame(opened.section, opened.table, config.key)
    with written_whole(out, overwrite=overwrite) as beside:
        frame.to_csv(beside, index=False, float_format="%.6g")


def _write_figure(opened: OpenedSection, out: Path, config: ExportConfig, overwrite: bool) -> None:
    from tagscope.exporters.figure import draw_tissue, save_figure
    from tagscope.exporters.paint import (
        Categories,
        Measured,
        paint_of_attention,
        paint_of_column,
        paint_of_expression,
    )

    paint: Categories | Measured
    if config.gene is None:
        paint = paint_of_column(opened.table, config.color or config.key)
    elif config.what == "attention":
        paint = paint_of_attention(opened.table, config.gene, config.key)
    else:
        paint = paint_of_expression(opened.section.cells, config.gene)
    with written_whole(out, overwrite=overwrite) as beside:
        save_figure(draw_tissue(opened.section, paint), beside, config.dpi)


_WRITERS: dict[str, Callable[[OpenedSection, Path, ExportConfig, bool], None]] = {
    "h5ad": _write_h5ad,
    "csv": _write_csv,
    "figure": _write_figure,
}
_SUFFIXES = {"h5ad": (".h5ad",), "csv": (".csv",), "figure": (".png", ".svg", ".pdf")}


def _config(options: dict[str, Any]) -> ExportConfig:
    known = ExportConfig.__dataclass_fields__
    for name in options:
        if name not in known:
            raise _unknown("an option", name, tuple(known))
    return ExportConfig(**options)


def _require_suffix(out: Path, *suffixes: str) -> None:
    if out.suffix.lower() not in suffixes or out.name == NAME:
        raise ArgumentError(
            f"{out.name!r} does not name such a file.",
            f"The name must end in {' or '.join(suffixes)}.",
            "Change the ending of the file name.",
            {"out": None},
        )


def _unknown(what: str, value: str, known: tuple[str, ...]) -> ArgumentError:
    return ArgumentError(
        f"{value!r} is not known as {what}.", f"Known are: {', '.join(known)}.", "Choose one."
    )
