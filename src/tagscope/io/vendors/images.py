"""Pictures of a vendor's folder, read a window at a time, and transcripts a part at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tagscope.io.vendors.cells import MICRONS
from tagscope.io.vendors.files import reading

_CHUNK = 1024
_LARGE = 4096  # pixels a side above which a picture gets smaller copies
_PICTURES_BY = "pillow"  # one of imageio's plugins: else it tries them all, and they warn
_PICTURES = (".png", ".jpg", ".jpeg")


class Plane:
    """One (y, x) or (y, x, c) picture of a file that is open only while a window is read.

    ``level`` of a file that keeps smaller copies of its picture, ``levels`` of them in all.

    Raises
    ------
    InputError
        If the file is no picture that can be read.
    """

    def __init__(self, path: Path, level: int = 0) -> None:
        self._path = path
        self._level = level
        with reading(path):
            shapes, self.dtype = _measure(path)
        self.shape = shapes[level]
        self.levels = len(shapes)
        self.ndim = len(self.shape)

    def __getitem__(self, window: Any) -> Any:
        if self._path.suffix.lower() in _PICTURES:
            from imageio.v3 import imread

            return np.asarray(imread(self._path, plugin=_PICTURES_BY))[window]
        return _read_tiff(self._path, self._level, window)


def image_of(
    planes: Sequence[Path], names: Sequence[str], to_microns: Any, *, flipped: bool = False
) -> Any:
    """A lazy Image2D of one file a channel, or of one file with colour channels last.

    It has the levels that the files keep. ``to_microns`` is the transformation from pixels to
    ``"microns"``; ``flipped`` images have their first row at the bottom.
    """
    from spatialdata.models import Image2DModel
    from spatialdata.transformations import set_transformation

    stored = min(Plane(path).levels for path in planes)
    levels = [_stacked(planes, level, flipped) for level in range(stored)]
    labels = list(names) if len(names) == levels[0].shape[0] else None
    large = max(levels[0].shape[1:]) > _LARGE
    parsed = [
        Image2DModel.parse(
            level,
            dims=("c", "y", "x"),
            c_coords=labels,
            scale_factors=[2, 2, 2] if large and stored == 1 else None,
        )
        for level in levels
    ]
    image = parsed[0] if stored == 1 else _multiscale(parsed)
    set_transformation(image, to_microns, MICRONS)
    return image


def labels_of(path: Path, to_microns: Any, *, flipped: bool = False) -> Any:
    """A lazy Labels2D of one file."""
    from spatialdata.models import Labels2DModel

    whole = _lazy(path).astype(np.int32)
    return Labels2DModel.parse(
        (whole[::-1] if flipped else whole).rechunk((_CHUNK, _CHUNK)),
        dims=("y", "x"),
        transformations={MICRONS: to_microns},
    )


def transcripts_of(
    path: Path, columns: Mapping[str, str], features: pd.Index, transformation: Any = None
) -> Any:
    """Lazy transcripts: ``columns`` maps x, y, (z,) feature and cell to the file's names.

    ``features`` are the names that may occur: they are given, so that the file need not be read.
    """
    import dask.dataframe as dd
    from spatialdata.models import PointsModel
    from spatialdata.transformations import Identity

    kept = list(columns.values())
    if path.suffix == ".parquet":
        frame = dd.read_parquet(path, columns=kept)
    else:
        whole = {"blocksize": None} if path.suffix == ".gz" else {}
        text = {columns[n]: "object" for n in ("feature", "cell") if n in columns}
        frame = dd.read_csv(path, usecols=kept, dtype=text, **whole)[kept]
    names = pd.CategoricalDtype(pd.Index(features.unique(), dtype=object))
    feature = columns["feature"]
    frame[feature] = frame[feature].astype(names)
    return PointsModel.parse(
        frame,
        coordinates={axis: columns[axis] for axis in "xyz" if axis in columns},
        feature_key=feature,
        instance_key=columns.get("cell"),
        transformations={MICRONS: transformation or Identity()},
        sort=True,
    )


def _stacked(planes: Sequence[Path], level: int, flipped: bool) -> Any:
    """A level of all channels, (c, y, x)."""
    import dask.array as da

    channels = [_lazy(path, level) for path in planes]
    stacked = da.stack(channels)  # type: ignore[no-untyped-call]
    whole = da.moveaxis(channels[0], -1, 0) if channels[0].ndim == 3 else stacked
    return (whole[:, ::-1] if flipped else whole).rechunk((1, _CHUNK, _CHUNK))


def _multiscale(levels: Sequence[Any]) -> Any:
    """Images of one place, the finest first, as one; coordinates are pixels of the finest."""
    from xarray import Dataset, DataTree

    parts = {}
    for number, level in enumerate(levels):
        places = {
            axis: (np.arange(level.sizes[axis]) + 0.5) * levels[0].sizes[axis] / level.sizes[axis]
            for axis in ("y", "x")
        }
        parts[f"scale{number}"] = Dataset({"image": level.assign_coords(places)})
    return DataTree.from_dict(parts)


def _lazy(path: Path, level: int = 0) -> Any:
    import dask.array as da

    plane = Plane(path, level)
    chunks = (_CHUNK, _CHUNK, -1)[: plane.ndim]
    return da.from_array(plane, chunks, name=False)  # type: ignore[no-untyped-call]


def _measure(path: Path) -> tuple[list[tuple[int, ...]], np.dtype[Any]]:
    """Shapes of a file's levels, the finest first, and their dtype."""
    if path.suffix.lower() in _PICTURES:
        from imageio.v3 import improps

        found = improps(path, plugin=_PICTURES_BY)
        return [tuple(found.shape)], np.dtype(found.dtype)
    import tifffile

    with tifffile.TiffFile(path, is_ome=False) as file:
        series = file.series[0]
        shapes = [tuple(n for n in level.shape if n > 1) for level in series.levels]
        return shapes, np.dtype(series.dtype)


def _read_tiff(path: Path, level: int, window: Any) -> Any:
    import tifffile
    import zarr

    # of an OME-TIFF in several files this one's own picture is meant
    with tifffile.TiffFile(path, is_ome=False) as file:
        array = zarr.open_array(file.aszarr(level=level), mode="r")
        return np.asarray(array[(0,) * (array.ndim - len(window)) + tuple(window)])
