"""The images of a store: lazy levels, what their channels are, and where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tagscope.io.masks import levels_of
from tagscope.io.spatialdata_store import affine_to
from tagscope.jobs import JobContext

if TYPE_CHECKING:
    from tagscope.io.readers import OpenedSection

OVERVIEW = 1024  # longest side of the coarsest level, pixels
KEPT = 4096  # longest side of a level that is made of finer ones, and kept: they are read once
LIMITS = (1.0, 99.8)  # percentiles of the coarsest level's pixels that contrast spans
_RGB = (("r", "g", "b"), ("r", "g", "b", "a"), ("red", "green", "blue"))


@dataclass(frozen=True)
class SectionImage:
    """An image of a section: morphology, H&E, any number of channels.

    ``levels`` finest first, each (C, rows, columns), or (rows, columns, 3 or 4) where ``rgb``: read
    where and when they are indexed, but for the coarsest ones, which are in memory. ``channels`` C
    names. ``to_um`` (3, 3) takes x, y of the finest level, whose first pixel spans 0 to 1, to where
    ``Section.xy`` is. ``limits`` and ``ranges`` (C, 2): contrast limits, and lowest and highest
    value, of the coarsest level's channels.
    """

    name: str
    levels: tuple[Any, ...]
    channels: tuple[str, ...]
    rgb: bool
    to_um: npt.NDArray[np.float64]
    limits: npt.NDArray[np.float64]
    ranges: npt.NDArray[np.float64]


def read_images(
    opened: OpenedSection, context: JobContext | None = None
) -> tuple[SectionImage, ...]:
    """The images that lie in the section's coordinate system.

    Of each only the coarsest level that is kept is read. An image that lacks coarse levels gets
    them of every second pixel of a finer one.
    """
    context = context or JobContext()
    elements = _placed(opened)
    return tuple(_read(name, element, opened, context) for name, element in elements.items())


def _placed(opened: OpenedSection) -> dict[str, Any]:
    from spatialdata.transformations import get_transformation

    system = opened.source.coordinate_system
    elements = {} if opened.sdata is None else dict(opened.sdata.images)
    return {
        name: element
        for name, element in elements.items()
        if "z" not in levels_of(element)[0].dims
        and system in get_transformation(element, get_all=True)
    }


def _read(name: str, element: Any, opened: OpenedSection, context: JobContext) -> SectionImage:
    stored = [level.transpose("c", "y", "x") for level in levels_of(element)]
    names = [str(value) for value in stored[0].coords["c"].values]
    rgb = _is_rgb(names, stored[0].dtype)
    levels = [level.data for level in stored]
    while max(levels[-1].shape[1:]) > KEPT:
        levels.append(levels[-1][:, ::2, ::2])
    levels[-1] = _in_memory(levels[-1], f"reading {name}", context)
    while max(levels[-1].shape[1:]) > OVERVIEW:
        levels.append(levels[-1][:, ::2, ::2])
    flat = levels[-1].reshape(len(names), -1)
    assert opened.source.coordinate_system is not None
    scale = opened.um_per_unit or 1.0
    return SectionImage(
        name,
        tuple(level.transpose(1, 2, 0) if rgb else level for level in levels),
        tuple(f"channel {name}" if name.isdigit() else name for name in names),
        rgb,
        np.diag([scale, scale, 1.0]) @ affine_to(element, opened.source.coordinate_system),
        np.stack([_limits(values) for values in flat]),
        np.stack([flat.min(axis=1), flat.max(axis=1)], axis=1).astype(np.float64),
    )


def _is_rgb(names: list[str], dtype: np.dtype[Any]) -> bool:
    """Whether channels are colours: by their names, or unnamed bytes of three or four."""
    if tuple(name.lower() for name in names) in _RGB:
        return True
    unnamed = names == [str(number) for number in range(len(names))]
    return unnamed and len(names) in (3, 4) and dtype == np.uint8


def _limits(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Contrast limits of a channel; zeros are where nothing was imaged."""
    imaged = values[values > 0]
    limits: npt.NDArray[np.float64] = np.percentile(imaged if len(imaged) else values, LIMITS)
    return limits


def _in_memory(level: Any, stage: str, context: JobContext) -> npt.NDArray[Any]:
    """The values of a lazy level, read chunk by chunk so that a cancel need not wait for all."""
    from dask.array.core import slices_from_chunks

    out = np.empty(level.shape, level.dtype)
    slices: Any = slices_from_chunks  # dask's functions have no types
    chunks = list(slices(level.chunks))
    for index, chunk in enumerate(chunks):
        context.step(stage, index, len(chunks))
        out[chunk] = np.asarray(level[chunk])
    context.step(stage, len(chunks), len(chunks))
    return out
