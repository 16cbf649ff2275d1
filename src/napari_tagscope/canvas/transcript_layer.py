"""Transcripts in a viewer: an Image layer of dots, and a legend of their genes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.components import ViewerModel

from napari_tagscope.canvas.background import Background, not_drawn
from napari_tagscope.canvas.layer import CellImage, TellingImage
from napari_tagscope.canvas.legend import Legend, LegendEntry, elide
from napari_tagscope.canvas.linking import METADATA_KEY, add_layer
from napari_tagscope.canvas.painting import Picture
from napari_tagscope.canvas.raster import Window
from napari_tagscope.canvas.transcripts import TranscriptPyramid
from napari_tagscope.canvas.values import CategoryTable

TITLE = "transcripts"


class _Dots:
    """Transcripts in the colours of their genes."""

    def __init__(self, pyramid: TranscriptPyramid, colors: Sequence[str]) -> None:
        self.pyramid = pyramid
        self._table = CategoryTable(np.arange(len(colors)), colors)
        self.dtype, self.channels = self._table.dtype, self._table.channels

    def window(self, level: int, window: Window) -> npt.NDArray[np.uint8]:
        """Colours of a window, RGBA."""
        return self._table.look_up(self.pyramid.window(level, window))


class TranscriptLayer:
    """Transcripts on top of a viewer's layers; a layer the user deletes takes the legend along.

    ``colors`` gives every gene of the pyramid its own.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        pyramid: TranscriptPyramid,
        colors: Mapping[str, str],
        units: tuple[str, str] | None,
    ) -> None:
        self._viewer = viewer
        self._pyramid = pyramid
        self._hidden: frozenset[str] = frozenset()
        self._colors = [colors[gene] for gene in pyramid.genes]
        self._painting = Picture(_Dots(pyramid, self._colors))
        self._background = Background(pyramid.draw, self._on_drawn, not_drawn)
        pyramid.background = self._background
        pixel = pyramid.pixel
        self.layer = TellingImage(
            self._painting.levels,
            tell=self._tell,
            multiscale=True,
            rgb=True,
            name=_name(pyramid.genes),
            scale=(pixel, pixel),
            translate=[edge + pixel / 2 for edge in pyramid.origin],
            units=units,
            metadata={METADATA_KEY: {"transcripts": pyramid.genes}},
        )
        self._legend = Legend(viewer, position="top_right")
        for layer in viewer.layers:
            self._tell_over(layer)
        viewer.layers.events.inserted.connect(self._on_layer_inserted)
        add_layer(viewer, self.layer)
        self.layer.events.visible.connect(self._update_legend)
        viewer.layers.events.removed.connect(self._on_layer_removed)
        self._update_legend()

    @property
    def genes(self) -> tuple[str, ...]:
        """The genes shown or hidden."""
        return self._pyramid.genes

    def set_hidden(self, genes: Collection[str]) -> None:
        """Draw all genes but these."""
        self._hidden = frozenset(genes)
        self._pyramid.set_hidden(i for i, gene in enumerate(self.genes) if gene in self._hidden)
        self._painting.repaint()
        self.layer.refresh(extent=False, highlight=False)
        self._update_legend()

    def gene_at(self, position: npt.ArrayLike) -> str:
        """The gene whose dot is drawn at a world position (…, y, x), empty where there is none."""
        if not self.layer.visible:
            return ""
        y, x = np.asarray(position)[-2:]
        gene = int(self._pyramid.value_at(y, x, self.layer.data_level)) - 1
        return self.genes[gene] if gene >= 0 else ""

    def settle(self) -> None:
        """Wait until all that is on view has been drawn: for a picture to keep."""
        self._background.finish()

    def stop(self) -> None:
        """Draw nothing more in the background."""
        self._background.close()

    def remove(self) -> None:
        """Take layer and legend out of the viewer."""
        if self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)

    def _on_drawn(self) -> None:
        self._painting.repaint()
        self.layer.refresh(thumbnail=False, extent=False, highlight=False)

    def _update_legend(self) -> None:
        if not self.layer.visible:
            self._legend.hide()
            return
        self._legend.show(TITLE, [self._entry(number) for number in range(len(self.genes))])

    def _entry(self, number: int) -> LegendEntry:
        gene, count = self.genes[number], int(self._pyramid.counts[number])
        return LegendEntry(elide(gene), self._colors[number], count, gene in self._hidden)

    def _tell(self, position: npt.ArrayLike) -> str:
        """The line of the cells below, which has the gene's before it; or the gene's alone."""
        for layer in reversed(self._viewer.layers):
            if isinstance(layer, CellImage) and layer.visible:
                return layer.tell(position)
        return self._tell_gene(position)

    def _tell_gene(self, position: npt.ArrayLike) -> str:
        gene = self.gene_at(position)
        return f"{gene} transcript" if gene else ""

    def _tell_over(self, layer: Any) -> None:
        if isinstance(layer, CellImage):
            layer.tell_above = self._tell_gene

    def _on_layer_inserted(self, event: Any) -> None:
        self._tell_over(event.value)

    def _on_layer_removed(self, event: Any) -> None:
        if event.value is self.layer:
            self.stop()
            for layer in self._viewer.layers:
                if isinstance(layer, CellImage):
                    layer.tell_above = None
            self._viewer.layers.events.inserted.disconnect(self._on_layer_inserted)
            self._viewer.layers.events.removed.disconnect(self._on_layer_removed)
            self._legend.remove()


def _name(genes: Sequence[str]) -> str:
    """A layer's name that no element of a store has: napari-spatialdata renames such layers."""
    return f"{TITLE} · {genes[0] if len(genes) == 1 else f'{len(genes)} genes'}"
