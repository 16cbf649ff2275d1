"""Images of a store: levels, channels and places, with only the coarsest level read."""

from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
from spatialdata.models import Image2DModel
from spatialdata.transformations import Affine, Scale

from tagscope.io.images import OVERVIEW, read_images
from tagscope.io.readers import open_section
from tagscope.jobs import JobCancelled, JobContext


@pytest.fixture
def opened(tiny, tmp_path):
    return open_section(tiny.store(tmp_path / "x.zarr", system="microns"))


def with_images(opened, **images):
    from spatialdata import SpatialData

    return replace(opened, sdata=SpatialData(images=images))


def element(data, channels=None, transformation=None, **parsed):
    transformation = transformation or Scale([1.0, 1.0], axes=("x", "y"))
    return Image2DModel.parse(
        data,
        dims=("c", "y", "x"),
        c_coords=channels,
        transformations={"microns": transformation},
        **parsed,
    )


def only(opened, parsed):
    (image,) = read_images(with_images(opened, image=parsed))
    return image


def test_channels_have_names_and_limits_of_the_coarsest_level(opened):
    data = np.zeros((2, 64, 64), np.uint16)
    data[0] = np.arange(64 * 64).reshape(64, 64)
    image = only(opened, element(data, ["DAPI", "poly-T"]))
    assert (image.channels, image.rgb) == (("DAPI", "poly-T"), False)
    assert image.limits[0] == pytest.approx(np.percentile(np.arange(1, 64 * 64), [1, 99.8]))
    assert image.limits[1].tolist() == [0, 0]
    assert image.ranges.tolist() == [[0, 64 * 64 - 1], [0, 0]]
    assert isinstance(image.levels[-1], np.ndarray)


@pytest.mark.parametrize(
    ("channels", "dtype", "names", "rgb"),
    [
        (["r", "g", "b"], np.uint8, ("r", "g", "b"), True),
        (["r", "g", "b"], np.uint16, ("r", "g", "b"), True),
        (None, np.uint8, ("channel 0", "channel 1", "channel 2"), True),
        (None, np.uint16, ("channel 0", "channel 1", "channel 2"), False),
        (["DAPI", "GFAP", "NeuN"], np.uint8, ("DAPI", "GFAP", "NeuN"), False),
    ],
)
def test_colours_are_told_from_channels(opened, channels, dtype, names, rgb):
    image = only(opened, element(np.ones((3, 40, 50), dtype), channels))
    assert (image.channels, image.rgb) == (names, rgb)
    assert image.levels[0].shape == ((40, 50, 3) if rgb else (3, 40, 50))


def test_a_large_image_of_one_level_gets_coarser_ones_and_stays_unread(opened):
    read = []

    def block(block_info=None):
        read.append(block_info[None]["array-location"])
        return np.ones(block_info[None]["chunk-shape"], np.uint8)

    data = da.map_blocks(block, chunks=((1,), (1024,) * 3, (1024,) * 2), dtype=np.uint8)
    image = only(opened, element(data, ["DAPI"]))
    assert [level.shape[1:] for level in image.levels] == [(3072, 2048), (1536, 1024), (768, 512)]
    assert max(image.levels[-1].shape) <= OVERVIEW
    assert len(read) == 6  # every chunk once, for the overview


def test_of_a_pyramid_the_coarsest_level_alone_is_read(opened):
    def refuse(block):
        raise AssertionError("level 0 was read")

    parsed = element(np.ones((1, 2048, 2048), np.uint8), ["DAPI"], scale_factors=[2, 2])
    finest = parsed["scale0"]["image"]
    finest.data = finest.data.map_blocks(refuse, dtype=np.uint8, meta=np.zeros((0, 0, 0), np.uint8))
    image = only(opened, parsed)
    assert [level.shape[1] for level in image.levels] == [2048, 1024, 512]


def test_an_image_lies_where_its_transformation_says(opened):
    turned = Affine(
        [[0.0, -0.5, 100.0], [0.5, 0.0, 20.0], [0, 0, 1]],
        input_axes=("x", "y"),
        output_axes=("x", "y"),
    )
    parsed = element(np.ones((1, 30, 40), np.uint8), ["DAPI"], turned)
    image = only(replace(opened, um_per_unit=2.0), parsed)
    assert image.to_um.tolist() == [[0, -1, 200], [1, 0, 40], [0, 0, 1]]


def test_images_elsewhere_are_left_out_and_a_table_alone_has_none(opened, tiny, tmp_path):
    assert "image" in opened.sdata.images
    assert read_images(opened) == ()  # it lies in another coordinate system
    tiny.table().write_h5ad(tmp_path / "cells.h5ad")
    assert read_images(open_section(tmp_path / "cells.h5ad")) == ()


def test_reading_can_be_cancelled(opened):
    context = JobContext()
    context.cancel()
    with pytest.raises(JobCancelled):
        read_images(with_images(opened, a=element(np.ones((1, 30, 40), np.uint8))), context)


def test_the_sample_and_a_vendors_store(sample_data, shared):
    (image,) = read_images(open_section(sample_data / "section.zarr"))
    assert image.channels == ("DAPI", "Membrane")
    path = shared / "data" / "vendor" / "xenium_mouse_5k_23cells.zarr"
    (image,) = read_images(open_section(path))
    assert (image.channels, len(image.levels)) == (("DAPI",), 5)
    assert image.to_um[0, 0] == pytest.approx(0.2125)
