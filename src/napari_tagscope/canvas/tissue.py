"""The tissue in a napari viewer: paintings of its cells, picking, and what is in view."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.components import ViewerModel
from napari.layers import Layer

from napari_tagscope.canvas.background import Background, not_drawn
from napari_tagscope.canvas.beside import SideBySide, view_size
from napari_tagscope.canvas.drawn import Shape
from napari_tagscope.canvas.images import ImageLayers
from napari_tagscope.canvas.labels import LabelPyramid
from napari_tagscope.canvas.layer import CellImage, Describe
from napari_tagscope.canvas.legend import Legend
from napari_tagscope.canvas.lines import LinesOverCells
from napari_tagscope.canvas.linking import (
    METADATA_KEY,
    add_layer,
    before_removal,
    take_units,
    without_store,
)
from napari_tagscope.canvas.marks import MarkedLayers, Marks
from napari_tagscope.canvas.painted import Painted
from napari_tagscope.canvas.painting import Look, Painting
from napari_tagscope.canvas.tile_cache import shared_cache
from napari_tagscope.canvas.transcript_layer import TranscriptLayer
from napari_tagscope.canvas.transcripts import TranscriptPyramid
from napari_tagscope.canvas.units import axis_units
from napari_tagscope.canvas.values import CategoryTable, Codes, Table, ValueTable
from tagscope.core.section import Section

if TYPE_CHECKING:
    from tagscope.api import SectionImage

CLICK_REACH = 4.0  # screen pixels the mouse may move in a click


def pyramid_of(section: Section) -> LabelPyramid:
    """The label pyramid of a section, its tiles kept on disk where that pays."""
    return LabelPyramid(
        section.xy,
        section.outlines,
        labels=section.labels,
        spot_diameter=section.spot_diameter,
        disk=shared_cache(),
    )


class TissueCanvas:
    """A section's cells in a viewer, painted by category or value.

    World coordinates are the section's own (µm where known), y down the rows and x along the
    columns. Every painting is an Image layer; painting again under its name repaints it, at a cost
    that does not depend on the number of cells.

    Parameters
    ----------
    viewer
        The napari viewer, or its model.
    section
        The section to show.
    metadata
        Entries for every layer's ``metadata``, beside the canvas's own ``"tagscope"``.
    describe
        One line about a cell, shown in the status bar under the mouse. napari asks from a thread
        of its own: it may read, and must not touch widgets.
    pyramid
        The section's, where it was made ahead.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        section: Section,
        metadata: Mapping[str, Any] | None = None,
        describe: Describe | None = None,
        pyramid: LabelPyramid | None = None,
    ) -> None:
        self.viewer = viewer
        self.section = section
        self.describe = describe
        self.pyramid = pyramid_of(section) if pyramid is None else pyramid
        self._metadata = dict(metadata or {})
        self._paintings: dict[str, Painted] = {}
        self._pick_callbacks: list[Callable[[int], None]] = []
        self._legend = Legend(viewer)
        self._look: Look = "filled"
        self._images: ImageLayers | None = None
        self._transcripts: TranscriptLayer | None = None
        self._beside = SideBySide(viewer)
        self._units = axis_units(section.unit)
        self._about = {"section": section.name, "cells": len(section)}
        self._scale_bar_before = viewer.canvas.overlays.scale_bar.visible
        self.pyramid.background = self._background = Background(
            self.pyramid.draw, self._on_drawn, not_drawn
        )
        self._lines = LinesOverCells(viewer)
        self._marks = MarkedLayers(viewer, Marks(self.pyramid, section.xy))
        self._tooltip_before = viewer.tooltip.visible
        viewer.tooltip.visible = True
        viewer.layers.events.inserted.connect(self._on_layer_inserted)
        viewer.layers.events.removing.connect(self._on_layer_removing)
        viewer.layers.events.removed.connect(self._on_layer_removed)
        viewer.mouse_drag_callbacks.append(self._on_drag)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the paintings, oldest first."""
        return tuple(self._paintings)

    def layer(self, name: str) -> CellImage:
        """The layer of a painting; ``KeyError`` where there is none."""
        return self._paintings[name].layer

    def table(self, name: str) -> Table:
        """What a painting shows; ``KeyError`` where there is none."""
        return self._paintings[name].table

    def at_once(self) -> AbstractContextManager[None]:
        """Let napari take all that changes within into its scene in one step."""
        return self._beside.at_once()

    def paint_values(
        self,
        name: str,
        values: npt.ArrayLike,
        *,
        colormap: str = "magma",
        limits: tuple[float, float] | None = None,
        alone: bool = True,
        shown: bool = True,
    ) -> CellImage:
        """Paint a number per cell, (N,), and show it with its colour bar.

        NaN is transparent. ``limits`` of the colour map default to the 1st and 99th percentile.
        ``alone`` hides this canvas's other paintings. A new one that is not ``shown`` is hidden.
        """
        table = ValueTable(values)
        low, high = limits or table.limits()
        full = table.range()
        with self._added(name, alone and shown):
            look: dict[str, Any] = {"contrast_limits": (low, high), "visible": shown}
            layer = self._place(name, table, rgb=False, **look).layer
            layer.set_scale((low, high), (min(low, full[0]), max(high, full[1])), colormap)
            if shown:
                self._show(name, alone)
        return layer

    def paint_categories(
        self,
        name: str,
        codes: Codes,
        colors: Sequence[str],
        *,
        names: Sequence[str] = (),
        alone: bool = True,
    ) -> CellImage:
        """Paint a category per cell, (N,), and show it, with a legend where ``names`` are given.

        ``codes`` are positions in ``colors``; −1 is ``Unassigned`` and grey, −2 missing and
        transparent. What was hidden or isolated under this name stays so. ``alone`` hides this
        canvas's other paintings.
        """
        before = self._paintings[name].table if name in self._paintings else None
        kept: dict[str, Any] = {}
        if isinstance(before, CategoryTable):
            kept = {"hidden": before.hidden, "isolated": before.isolated}
        table = CategoryTable(np.asarray(codes), colors, **kept)
        with self._added(name, alone):
            layer = self._place(name, table, names, rgb=True).layer
            self._show(name, alone)
        return layer

    def update_categories(self, name: str, rows: npt.NDArray[np.int64], codes: Codes) -> None:
        """Repaint some cells of a category painting: partial results while a job runs."""
        self._categories(name).update(rows, np.asarray(codes))
        self._repaint(name, thumbnail=False)

    def update_values(self, name: str, rows: npt.NDArray[np.int64], values: npt.ArrayLike) -> None:
        """Repaint some cells of a value painting; the colour map's limits stay."""
        table = self._paintings[name].table
        if not isinstance(table, ValueTable):
            raise TypeError(f"{name!r} paints categories")
        table.update(rows, values)
        self._repaint(name, thumbnail=False)

    def set_hidden(self, name: str, hidden: Iterable[int]) -> None:
        """Draw all categories but these codes; −1 hides ``Unassigned``."""
        table, wanted = self._categories(name), frozenset(hidden)
        if wanted != table.hidden:
            table.set_hidden(wanted)
            self._repaint(name)

    def isolate(self, name: str, code: int | None) -> None:
        """Draw one category in its colour and the others faintly; ``None`` draws all again."""
        table = self._categories(name)
        if code != table.isolated:
            table.isolate(code)
            self._repaint(name)

    def show_images(
        self, images: Iterable[SectionImage], metadata: Mapping[str, Any] | None = None
    ) -> tuple[Layer, ...]:
        """List images under the cells, in place of those before; none takes them away.

        The first is on, of its channels the first three. ``metadata`` as for the canvas.
        """
        if self._images is not None:
            self._images.remove()
        self._images = ImageLayers(self.viewer, self._units, metadata or {})
        return self._images.show(images)

    def show_transcripts(self, pyramid: TranscriptPyramid, colors: Mapping[str, str]) -> Layer:
        """Show transcripts above the cells with a legend, in place of those before.

        ``colors`` gives every gene of the pyramid its colour.
        """
        self.remove_transcripts()
        self._transcripts = TranscriptLayer(self.viewer, pyramid, colors, self._units)
        return self._transcripts.layer

    def set_hidden_genes(self, genes: Collection[str]) -> None:
        """Draw the transcripts of all genes shown but these."""
        if self._transcripts is not None:
            self._transcripts.set_hidden(genes)

    def remove_transcripts(self) -> None:
        """Take transcripts and their legend away."""
        if self._transcripts is not None:
            self._transcripts.remove()
            self._transcripts = None

    def show(self, name: str, *, alone: bool = True) -> None:
        """Show a painting again; ``alone`` hides this canvas's others."""
        self._show(name, alone)

    def show_beside(self, *names: str) -> None:
        """Show paintings side by side with one view; :meth:`show` brings one back alone.

        The first is the upper left; each has its own colour bar, and shows what one alone did.
        Images and transcripts, which would be pictures of their own, are hidden meanwhile.
        """
        layers = self.viewer.layers
        with self.at_once():
            for name in reversed(names):
                layers.move(layers.index(self._paintings[name].layer), len(layers))
            for position, name in enumerate(names):
                self._show(name, alone=position == 0)
            self._beside.begin()

    def select(self, rows: npt.NDArray[np.int64], cell: int | None = None) -> None:
        """Dim all cells but these in every painting; none are dimmed for an empty selection.

        The selected keep their colours, and have an outline where they are large enough. ``cell``,
        the one clicked, is ringed, or a dot where cells are small.
        """
        self._marks.marks.select(rows, cell)
        self._marks.refresh()

    def draw_lines(self, lines: npt.NDArray[np.float32] | None) -> None:
        """Draw segments (S, 2, 2) between x, y over the cells of every picture; None ends that."""
        self._lines.show(lines)

    def set_look(self, look: Look) -> None:
        """Draw cells filled, translucent, their outlines where they are large enough, or both."""
        self._look = look
        for name, painted in self._paintings.items():
            if painted.painting.look != look:
                painted.set_look(look)
                self._repaint(name)
        self._marks.marks.outlined = look == "both"
        self._marks.refresh()

    def set_shape(self, shape: Shape) -> None:
        """Draw cells without an outline as discs, or as the areas nearest to them."""
        self.pyramid.shape = shape
        for name in self._paintings:
            self._repaint(name)
        self._marks.refresh()

    def delete(self, name: str) -> None:
        """Take a painting and its layer away."""
        self.viewer.layers.remove(self._paintings[name].layer)

    def show_legend(self, shown: bool) -> None:
        """Draw the legend on the canvas, or leave it to a dock."""
        self._legend.wanted = shown
        self._update_legend()

    def pick(self, position: npt.ArrayLike) -> int:
        """Row of the cell at a world position (…, y, x), −1 where there is none near."""
        y, x = (float(v) for v in np.asarray(position)[-2:])
        row = self.pyramid.at(y, x)
        return row if row >= 0 else self.pyramid.nearest(y, x, self._reach())

    def rows_in_view(self) -> npt.NDArray[np.int64]:
        """Rows of the cells whose centroids the camera sees, ascending."""
        half = np.asarray(view_size(self.viewer)) / self._zoom() / 2
        center = np.asarray(self.viewer.scene.camera.center)[-2:]
        away = np.abs(self.section.xy[:, ::-1] - center)
        return np.flatnonzero((away <= half).all(axis=1))

    def fit(self, rows: npt.NDArray[np.int64] | None = None) -> None:
        """Bring the whole section, or some of its cells, into view."""
        low, high = self.pyramid.extent
        if rows is not None:
            xy = self.section.xy[rows]
            xy = xy[np.isfinite(xy).all(axis=1)]
            if len(xy) == 0:
                return
            low, high = xy.min(axis=0), xy.max(axis=0)
        margin = self.pyramid.diameter
        low, high = low[::-1] - margin, high[::-1] + margin
        camera = self.viewer.scene.camera
        camera.center = (0.0, *((low + high) / 2))
        camera.zoom = 0.95 * float(np.min(np.asarray(view_size(self.viewer)) / (high - low)))

    def settle(self) -> None:
        """Wait until all that is on view has been drawn: for a picture to keep."""
        for drawn in (self._images, self._transcripts):
            if drawn is not None:
                drawn.settle()
        self._background.finish()

    def stop(self) -> None:
        """Draw nothing more in the background; the viewer may go."""
        for drawn in (self._images, self._transcripts):
            if drawn is not None:
                drawn.stop()
        self._background.close()
        self.pyramid.background = None

    def on_pick(self, callback: Callable[[int], None]) -> None:
        """Call back with the row of the cell clicked, −1 for a click beside the cells."""
        self._pick_callbacks.append(callback)

    def remove(self) -> None:
        """Take layers, legend and callbacks out of the viewer."""
        self.stop()
        with self._beside.ended():
            for painted in tuple(self._paintings.values()):
                if painted.layer in self.viewer.layers:
                    self.viewer.layers.remove(painted.layer)
            self.show_images(())
            self.remove_transcripts()
        self.viewer.layers.events.inserted.disconnect(self._on_layer_inserted)
        self.viewer.layers.events.removing.disconnect(self._on_layer_removing)
        self.viewer.layers.events.removed.disconnect(self._on_layer_removed)
        if self._on_drag in self.viewer.mouse_drag_callbacks:
            self.viewer.mouse_drag_callbacks.remove(self._on_drag)
        self._legend.remove()
        self._lines.stop()
        self._marks.stop()
        self.viewer.tooltip.visible = self._tooltip_before
        self.viewer.canvas.overlays.scale_bar.visible = self._scale_bar_before
        self._pick_callbacks.clear()

    def _added(self, name: str, alone: bool) -> AbstractContextManager[None]:
        """Where a painting is new, have its layer and what it hides in one step."""
        new = alone and name not in self._paintings
        return self._beside.ended() if new else nullcontext()

    def _place(
        self, name: str, table: Table, names: Sequence[str] = (), *, rgb: bool, **look: Any
    ) -> Painted:
        """Put a table under a name: into its layer where that is of the table's kind."""
        if len(table) != len(self.section):
            raise ValueError(f"{len(table)} cells painted, the section has {len(self.section)}")
        painted = self._paintings.get(name)
        if painted is not None and type(painted.table) is type(table):
            painted.painting.table, painted.categories = table, tuple(names)
            self._repaint(name)
            return painted
        if painted is not None:
            self.delete(name)
        painting = Painting(self.pyramid, table, self._look)
        layer = self._layer(name, painting, rgb, look)
        painted = self._paintings[name] = Painted(painting, layer, tuple(names))
        painted.set_look(self._look)
        add_layer(self.viewer, painted.layer, index=self._below_transcripts())
        painted.layer.events.visible.connect(self._update_legend)
        self._marks.add(painted.layer)
        return painted

    def _layer(self, name: str, picture: Painting, rgb: bool, look: dict[str, Any]) -> CellImage:
        pixel = self.pyramid.pixel
        metadata = self._metadata if rgb else without_store(self._metadata)
        return CellImage(
            picture.levels,
            cell_at=self.pick,
            describe=self._describe,
            multiscale=True,
            rgb=rgb,
            name=name,
            scale=(pixel, pixel),
            translate=[edge + pixel / 2 for edge in self.pyramid.origin],
            units=self._units,
            metadata={**metadata, METADATA_KEY: {"painting": name, **self._about}},
            **look,
        )

    def _show(self, name: str, alone: bool) -> None:
        shown = self._paintings[name].layer
        layers = [painted.layer for painted in self._paintings.values()]
        # napari draws again even where nothing changes
        hidden = [layer for layer in layers if alone and layer.visible and layer is not shown]
        changed = hidden if shown.visible else [*hidden, shown]
        if changed or (alone and self._beside.begun):
            with self._beside.ended() if alone else self.at_once():
                for layer in changed:
                    with layer.events.visible.blocker(self._update_legend):
                        layer.visible = layer is shown
        if self.viewer.layers.selection.active is not shown:
            self.viewer.layers.selection.active = shown
        self.viewer.canvas.overlays.scale_bar.position = "bottom_left"
        self.viewer.canvas.overlays.scale_bar.visible = True
        self._update_legend()

    def _below_transcripts(self) -> int:
        """Place of a new painting in the layer list: on top of all but transcripts."""
        layers = self.viewer.layers
        if self._transcripts is None or self._transcripts.layer not in layers:
            return len(layers)
        return int(layers.index(self._transcripts.layer))

    def _repaint(self, name: str, *, thumbnail: bool = True) -> None:
        painted = self._paintings[name]
        painted.painting.repaint()
        with nullcontext() if thumbnail else self.viewer.layers.events.blocker():
            # else the layer list, where nothing is new, has all of the window drawn once more
            painted.layer.refresh(thumbnail=thumbnail, extent=False, highlight=False)
        self._update_legend()

    def _categories(self, name: str) -> CategoryTable:
        table = self._paintings[name].table
        if not isinstance(table, CategoryTable):
            raise TypeError(f"{name!r} paints values, not categories")
        return table

    def _update_legend(self) -> None:
        for painted in reversed(self._paintings.values()):
            if painted.layer.visible and painted.categories:
                self._legend.show(painted.layer.name, painted.legend_entries())
                return
        self._legend.hide()

    def _describe(self, row: int) -> str:
        return self.describe(row) if self.describe is not None else ""

    def _zoom(self) -> float:
        return float(self.viewer.scene.camera.zoom)

    def _reach(self) -> float:
        """How far from a centroid a position still means that cell, µm."""
        return max(0.6 * self.pyramid.diameter, CLICK_REACH / self._zoom())

    def _on_drag(self, viewer: ViewerModel, event: Any) -> Generator[None, None, None]:
        """Tell a click from a drag, and pass the cell clicked on."""
        active = viewer.layers.selection.active
        if event.button != 1 or getattr(active, "mode", "pan_zoom") != "pan_zoom":
            return
        start = np.asarray(event.pos)
        moved = 0.0
        while event.type != "mouse_release":
            yield
            moved = max(moved, float(np.abs(np.asarray(event.pos) - start).max()))
        if moved <= CLICK_REACH:
            row = self.pick(event.position)
            for callback in tuple(self._pick_callbacks):
                callback(row)

    def _on_drawn(self) -> None:
        """Show tiles that took longer than a frame."""
        for painted in self._paintings.values():
            if painted.layer.visible:
                painted.painting.repaint()
                painted.layer.refresh(thumbnail=False, extent=False, highlight=False)
        self._marks.refresh()

    def _on_layer_inserted(self, event: Any) -> None:
        take_units(event.value, self._metadata, self._units)

    def _on_layer_removing(self, event: Any) -> None:
        layer = self.viewer.layers[event.index]
        if METADATA_KEY in layer.metadata:
            before_removal(layer)

    def _on_layer_removed(self, event: Any) -> None:
        for name, painted in tuple(self._paintings.items()):
            if painted.layer is event.value:
                del self._paintings[name]
                self._update_legend()
