"""Images of the store in a viewer: napari's own layers, under the cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib.colors import to_rgba
from napari.components import ViewerModel
from napari.layers import Image
from napari.utils.colormaps import Colormap

from napari_tagscope.canvas.background import Background, not_drawn
from napari_tagscope.canvas.image_tiles import ImagePyramid
from napari_tagscope.canvas.linking import METADATA_KEY, NAME, SDATA, add_layer

if TYPE_CHECKING:
    from tagscope.api import SectionImage

CHANNELS_ON = 3
# light ones of Okabe and Ito's colours, which colour-blind people can tell apart, sums included
CHANNEL_COLORS = ("#56b4e9", "#e69f00", "#cc79a7", "#009e73", "#f0e442", "#d55e00", "#0072b2")


class ImageLayers:
    """The images shown in a viewer: one layer for a picture in colours, else one a channel.

    ``units`` of the layers; ``metadata`` every layer carries.
    """

    def __init__(
        self, viewer: ViewerModel, units: tuple[str, str] | None, metadata: Mapping[str, Any]
    ) -> None:
        self._viewer = viewer
        self._look: dict[str, Any] = {"units": units}
        self._metadata = dict(metadata)
        self._layers: list[Image] = []
        self._reading: list[Background] = []

    @property
    def layers(self) -> tuple[Image, ...]:
        """Layers that are in the viewer, lowest first."""
        return tuple(layer for layer in self._layers if layer in self._viewer.layers)

    def show(self, images: Iterable[SectionImage]) -> tuple[Image, ...]:
        """List images in place of those before; the first is on, of its channels three."""
        self.remove()
        for image in images:
            on = not self._layers
            made = [self._picture(image)] if image.rgb else self._channels(image)
            for number, layer in enumerate(made):
                layer.visible = on and number < CHANNELS_ON
                add_layer(self._viewer, layer, index=len(self._layers))
                self._layers.append(layer)
        return self.layers

    def stop(self) -> None:
        """Read nothing more."""
        for background in self._reading:
            background.close()
        self._reading.clear()

    def settle(self) -> None:
        """Wait until all that is on view has been read: for a picture to keep."""
        for background in self._reading:
            background.finish()

    def remove(self) -> None:
        """Take the images out of the viewer."""
        self.stop()
        for layer in self.layers:
            self._viewer.layers.remove(layer)
        self._layers.clear()

    def _picture(self, image: SectionImage) -> Image:
        return self._tiled(image.levels, image, rgb=True, name=f"{image.name} image")

    def _channels(self, image: SectionImage) -> list[Image]:
        return [
            self._channel(image, number, color)
            for number, color in enumerate(_colors(len(image.channels)))
        ]

    def _channel(self, image: SectionImage, number: int, color: str) -> Image:
        low, high = _apart(*image.limits[number])
        layer = self._tiled(
            [level[number] for level in image.levels],
            image,
            name=f"{image.name} · {image.channels[number]}",
            colormap=Colormap([(0, 0, 0, 1), to_rgba(color)], name=f"black to {color}"),
            blending="additive",
            contrast_limits=(low, high),
        )
        lowest, highest = image.ranges[number]
        layer.contrast_limits_range = (min(low, lowest), max(high, highest))
        return layer

    def _tiled(self, levels: Sequence[Any], image: SectionImage, **look: Any) -> Image:
        """A layer whose tiles are read in the background."""
        pyramid = ImagePyramid(levels)
        layer = Image(pyramid.levels, **look, **self._common(image))

        def show() -> None:
            layer.refresh(thumbnail=False, extent=False, highlight=False)

        pyramid.background = Background(pyramid.draw, show, not_drawn)
        self._reading.append(pyramid.background)
        return layer

    def _common(self, image: SectionImage) -> dict[str, Any]:
        metadata = {**self._metadata, METADATA_KEY: {"image": image.name}}
        if SDATA in metadata:
            metadata[NAME] = image.name
        # the first pixel of a store's image spans 0 to 1, napari's lies around 0
        return {
            **self._look,
            "multiscale": True,
            "affine": _rows_first(image.to_um),
            "translate": (0.5, 0.5),
            "metadata": metadata,
        }


def _colors(count: int) -> list[str]:
    if count == 1:
        return ["#ffffff"]
    return [CHANNEL_COLORS[number % len(CHANNEL_COLORS)] for number in range(count)]


def _apart(low: float, high: float) -> tuple[float, float]:
    return (low, high) if low < high else (low, low + 1.0)


def _rows_first(to_um: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A (3, 3) matrix over x, y as one over rows, columns."""
    order = [1, 0, 2]
    return to_um[np.ix_(order, order)]
