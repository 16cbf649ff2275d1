"""The tissue at print resolution, with legend, scale bar and colour bar.

Drawn with matplotlib's objects and the Agg canvas: no pyplot, so it is safe in any thread.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.collections import EllipseCollection, PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.spatial import KDTree

from tagscope.core.section import Section, SideBySide
from tagscope.exporters.paint import Categories, Measured

# inches: the tissue fits into a double column of a printed page
_WIDTH, _HEIGHT = 5.2, 6.5
_FONT_SIZE = 7.0
_LONGEST_NAME = 34
# of the legend; what does not fit is counted in a last line
_FEWEST_ROWS, _MOST_COLUMNS = 24, 2
# above this many cells a vector file opens too slowly: the cells become one picture inside it
_MOST_VECTOR_CELLS = 3000
_MOST_OUTLINED_CELLS = 20_000
_DISC_SAMPLE = 2000
_RC: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "tagscope", "pdf.fonttype": 42}


@dataclass(frozen=True)
class _Frame:
    """The tissue's rectangle in its own unit."""

    low: npt.NDArray[np.float64]
    size: npt.NDArray[np.float64]

    @property
    def inches(self) -> tuple[float, float]:
        """Width and height on paper."""
        scale = min(_WIDTH / self.size[0], _HEIGHT / self.size[1])
        return float(self.size[0] * scale), float(self.size[1] * scale)


def draw_tissue(section: Section, paint: Categories | Measured) -> Figure:
    """The section's cells in their colours: outlines where there are, discs elsewhere.

    y runs downwards, as in images and in the window.
    """
    frame = _frame(section)
    width, height = frame.inches
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(frame.low[0], frame.low[0] + frame.size[0])
    axes.set_ylim(frame.low[1] + frame.size[1], frame.low[1])
    axes.set_axis_off()
    _draw_cells(axes, section, paint)
    _draw_scale_bar(axes, frame, section.unit)
    raised = 0.0
    if section.pieces is not None:
        _name_pieces(axes, section, section.pieces)
        raised = 1.5 * _FONT_SIZE
    axes.set_title(_elided(paint.title, 60), fontsize=_FONT_SIZE + 2, loc="left", pad=6 + raised)
    if isinstance(paint, Categories):
        _draw_legend(axes, paint, height)
    else:
        _draw_color_bar(figure, axes, paint, frame.inches)
    return figure


def save_figure(figure: Figure, path: Path, dpi: int) -> None:
    """Write a figure in the format of ``path``'s suffix; the same figure gives the same bytes."""
    dateless: dict[str, dict[str, Any]] = {
        ".svg": {"Date": None},
        ".pdf": {"CreationDate": None},
    }
    with matplotlib.rc_context(_RC):
        figure.savefig(
            path,
            dpi=dpi,
            bbox_inches="tight",
            pad_inches=0.05,
            metadata=dateless.get(path.suffix.lower(), {}),
        )


def _frame(section: Section) -> _Frame:
    points = section.xy
    if section.outlines is not None and len(section.outlines.vertices):
        points = np.concatenate([points, section.outlines.vertices])
    low, high = points.min(axis=0), points.max(axis=0)
    size = np.maximum(high - low, 1e-6 + 0.05 * (high - low).max())
    margin = 0.01 * size.max()
    return _Frame(low - margin, size + 2 * margin)


def _draw_cells(axes: Axes, section: Section, paint: Categories | Measured) -> None:
    colors, order = paint.rgba(), paint.order()
    outlined = np.zeros(len(section), dtype=bool)
    if section.outlines is not None:
        outlined = np.diff(section.outlines.offsets) >= 3
        drawn = order[outlined[order]]
        edge = 0.1 if len(drawn) <= _MOST_OUTLINED_CELLS else 0.0
        rings = [section.outlines.ring(int(cell)) for cell in drawn]
        polygons = PolyCollection(
            rings, facecolors=colors[drawn], edgecolors="white", linewidths=edge
        )
        _add(axes, polygons, len(section))
    drawn = order[~outlined[order]]
    discs = EllipseCollection(
        *(np.full(1, size) for size in (_disc(section), _disc(section), 0.0)),
        units="xy",
        offsets=section.xy[drawn],
        offset_transform=axes.transData,
        facecolors=colors[drawn],
        linewidths=0,
    )
    _add(axes, discs, len(section))


def _add(axes: Axes, collection: PolyCollection | EllipseCollection, cells: int) -> None:
    collection.set_rasterized(cells > _MOST_VECTOR_CELLS)
    axes.add_collection(collection, autolim=False)


def _disc(section: Section) -> float:
    """Diameter of a cell without an outline: a spot's, or the usual distance to the nearest."""
    if section.spot_diameter is not None:
        return section.spot_diameter
    if len(section) < 2:
        return 10.0
    step = max(1, len(section) // _DISC_SAMPLE)
    distances, _ = KDTree(section.xy).query(section.xy[::step], k=2)
    usual = float(np.median(distances[:, 1]))
    extent = float(np.ptp(section.xy, axis=0).max())
    # cells that share one place have no distance; discs must be seen whatever the density
    return max(usual, extent / 400) or 10.0


def _name_pieces(axes: Axes, section: Section, pieces: SideBySide) -> None:
    """The name of every section above its upper left corner."""
    for code, name in enumerate(pieces.names):
        corner = section.xy[pieces.codes == code].min(axis=0)
        axes.annotate(
            _elided(name, _LONGEST_NAME), tuple(corner), xytext=(0, 4),
            textcoords="offset points", fontsize=_FONT_SIZE, annotation_clip=False,
        )  # fmt: skip


def _draw_scale_bar(axes: Axes, frame: _Frame, unit: str) -> None:
    """A bar of a round length below the tissue, about a fifth of its width."""
    length = _round_length(0.25 * float(frame.size[0]))
    left = float(frame.low[0])
    below = float(frame.low[1] + frame.size[1]) + 0.15 * float(frame.size[1]) / frame.inches[1]
    axes.plot(
        [left, left + length], [below, below], color="black", linewidth=2,
        clip_on=False, solid_capstyle="butt", scalex=False, scaley=False,
    )  # fmt: skip
    text = f"{length:,g} µm" if unit == "µm" else f"{length:,g} units (µm not known)"
    axes.annotate(
        text, (left, below), xytext=(0, -4), textcoords="offset points", va="top",
        fontsize=_FONT_SIZE, annotation_clip=False,
    )  # fmt: skip


def _round_length(longest: float) -> float:
    """The largest 1, 2 or 5 times a power of ten that is not above ``longest``."""
    power = 10.0 ** math.floor(math.log10(longest))
    return next(factor * power for factor in (5.0, 2.0, 1.0) if factor * power <= longest)


def _draw_legend(axes: Axes, paint: Categories, height: float) -> None:
    """Names with counts, in as many columns as the tissue's height asks for."""
    entries = paint.legend()
    rows = max(_FEWEST_ROWS, int(height * 72 / (_FONT_SIZE * 1.45)))
    most = rows * _MOST_COLUMNS
    if len(entries) > most:
        rest = entries[most - 1 :]
        entries = entries[: most - 1]
        entries.append((f"{len(rest):,} more", "none", sum(count for _, _, count in rest)))
    handles = [
        Line2D([], [], marker="o", linestyle="", markersize=_FONT_SIZE * 0.8,
               color=color, label=f"{_elided(name, _LONGEST_NAME)} ({count:,})")
        for name, color, count in entries
    ]  # fmt: skip
    axes.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0,
        ncols=math.ceil(len(entries) / rows), fontsize=_FONT_SIZE, frameon=False,
        handletextpad=0.2, columnspacing=0.8, labelspacing=0.4,
    )  # fmt: skip


def _draw_color_bar(
    figure: Figure, axes: Axes, paint: Measured, inches: tuple[float, float]
) -> None:
    place = figure.add_axes((1 + 0.12 / inches[0], 0.3, 0.12 / inches[0], 0.6))
    bar = figure.colorbar(
        ScalarMappable(Normalize(*paint.limits), "viridis"),
        cax=place,
        extend="max" if paint.is_clipped else "neither",
    )
    bar.set_label(paint.scale, fontsize=_FONT_SIZE)
    bar.ax.tick_params(labelsize=_FONT_SIZE)
    bar.outline.set_linewidth(0.4)
    if not np.isfinite(paint.values).all():
        axes.annotate(
            f"grey: no value ({int((~np.isfinite(paint.values)).sum()):,} cells)",
            (1, 0), xycoords="axes fraction", xytext=(6, 0), textcoords="offset points",
            fontsize=_FONT_SIZE, annotation_clip=False,
        )  # fmt: skip


def _elided(name: str, longest: int) -> str:
    return name if len(name) <= longest else name[: longest - 1] + "…"
