"""Visium and Visium HD: what was counted under spots and in bins comes back, in µm."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest

from tagscope import api
from tagscope.errors import ArgumentError, InputError
from tagscope.io.masks import levels_of
from tagscope.io.readers import open_section
from tagscope.io.spatialdata_store import affine_to
from tagscope.simulation.vendors import visium


def expected(small, size=None):
    frame = visium.spots(small) if size is None else visium.bins(small, size)
    counts = visium.spot_counts(small, frame) if size is None else None
    counts = visium.bin_counts(small, frame, size) if size else counts
    inside = frame["in_tissue"].to_numpy() == 1
    return frame[inside], counts[inside]


def told(opened):
    return " ".join(str(finding) for finding in opened.notes)


def test_spots_come_back(folder_of, small):
    opened = open_section(folder_of("visium"))
    frame, counts = expected(small)
    assert opened.source.technology == "Visium"
    assert opened.section.ids.tolist() == frame["barcode"].tolist()
    assert (opened.section.cells.values != counts).nnz == 0
    assert opened.section.panel.symbols == small.genes
    assert opened.section.unit == "µm"
    assert opened.section.xy == pytest.approx(frame[["x", "y"]].to_numpy(), abs=0.5)
    assert "0.5 µm per pixel (spots are 100 µm apart)" in told(opened)
    assert (opened.sdata["spots"]["radius"] == 27.5).all()


@pytest.mark.parametrize("size", [2, 8, 16])
def test_bins_come_back(folder_of, small, size):
    asked = {} if size == 8 else {"table": f"square_{size:03}um"}
    opened = open_section(folder_of("visium-hd"), **asked)
    frame, counts = expected(small, size)
    assert opened.source.technology == "Visium HD"
    assert opened.source.table == f"square_{size:03}um"
    assert opened.section.ids.tolist() == frame["barcode"].tolist()
    assert (opened.section.cells.values != counts).nnz == 0
    assert opened.section.xy == pytest.approx(frame[["x", "y"]].to_numpy())
    ring = opened.section.outlines.ring(5)
    assert np.ptp(ring, axis=0) == pytest.approx([size, size], rel=1e-3)
    assert "microns_per_pixel in scalefactors" in told(opened)
    assert ("are there too" in told(opened)) == (size == 8)


def test_other_bins_are_offered_and_wrong_ones_refused(folder_of):
    findings = {f.code: f for f in api.check(folder_of("visium-hd")).findings}
    assert findings["other-bins"].offer == {"table": "square_016um"}
    with pytest.raises(ArgumentError, match="no bins 'square_024um'; it has 'square_002um'"):
        open_section(folder_of("visium-hd"), table="square_024um")


def test_one_size_of_bins_may_be_copied_alone(folder_of):
    opened = open_section(folder_of("visium-hd") / "binned_outputs" / "square_016um")
    assert opened.source.technology == "Visium HD"
    assert opened.section.outlines is not None


@pytest.mark.parametrize("layout", ["visium", "visium-hd"])
def test_the_picture_lies_under_the_spots(folder_of, small, layout):
    image = open_section(folder_of(layout)).sdata["hires_image"]
    pixels = np.linalg.inv(affine_to(image, "microns"))
    column, row = np.floor(small.outlines.seeds @ pixels[:2, :2].T + pixels[:2, 2]).astype(int).T
    plane = np.asarray(levels_of(image)[0].data)[0]
    assert plane[row, column].mean() < 200 < np.median(plane), "nuclei are dark"


def test_a_list_without_a_header_is_that_of_space_ranger_1(copy_of, small):
    folder = copy_of("visium")
    path = folder / "spatial" / "tissue_positions.csv"
    pd.read_csv(path).to_csv(
        folder / "spatial" / "tissue_positions_list.csv", header=False, index=False
    )
    path.unlink()
    opened = open_section(folder)
    assert opened.section.xy == pytest.approx(expected(small)[0][["x", "y"]].to_numpy(), abs=0.5)


def test_without_scalefactors_the_pitch_tells_the_unit(copy_of):
    opened = open_section(copy_of("visium", "spatial/scalefactors_json.json"))
    assert opened.section.unit == "µm"
    assert "There is no scalefactors_json.json. Images have no place" in told(opened)


def test_a_few_spots_are_measured_by_their_size(copy_of):
    folder = copy_of("visium")
    path = folder / "spatial" / "tissue_positions.csv"
    frame = pd.read_csv(path)
    frame.assign(array_row=3).to_csv(path, index=False)
    assert "spot_diameter_fullres in scalefactors means 65 µm" in told(open_section(folder))


def test_what_cannot_be_a_section_is_refused(copy_of):
    with pytest.raises(InputError, match=r"no file tells where spots are.*tissue_positions"):
        open_section(copy_of("visium", "spatial"))


def test_counts_are_needed(copy_of):
    with pytest.raises(InputError, match=r"there are no counts.*filtered_feature"):
        open_section(copy_of("visium", "*.h5"))


def test_of_a_raw_matrix_the_spots_in_tissue_are_read(copy_of, small):
    folder = copy_of("visium")
    (folder / "filtered_feature_bc_matrix.h5").rename(folder / "raw_feature_bc_matrix.h5")
    path = folder / "spatial" / "tissue_positions.csv"
    frame = pd.read_csv(path)
    outside = frame.index[frame["in_tissue"] == 1][0]
    frame.loc[outside, "in_tissue"] = 0
    frame.to_csv(path, index=False)
    opened = open_section(folder)
    assert len(opened.section) == len(expected(small)[0]) - 1
    assert "taken of the raw matrix" in told(opened)


def test_spatialdata_io_reads_the_same(folder_of, small):
    from spatialdata_io import visium as library
    from spatialdata_io import visium_hd as library_hd

    with warnings.catch_warnings():
        # the library gives the table a column of text where SpatialData wants categories
        warnings.filterwarnings("ignore", message="Converting `region_key: region`")
        store = library(folder_of("visium"), dataset_id="section")
    frame, counts = expected(small)
    assert (counts != store["table"].X).nnz == 0
    assert store["table"].obs_names.tolist() == frame["barcode"].tolist()
    assert store["table"].obsm["spatial"] * 0.5 == pytest.approx(
        frame[["x", "y"]].to_numpy(), abs=0.5
    )
    with warnings.catch_warnings():
        # Space Ranger keeps the full image outside of its folder
        warnings.filterwarnings("ignore", message="No full resolution image found")
        store = library_hd(
            folder_of("visium-hd"), dataset_id="section", load_segmentations_only=False
        )
    for size in (2, 8, 16):
        frame, counts = expected(small, size)
        table = store[f"square_{size:03}um"]
        assert (counts != table.X).nnz == 0
        assert table.obsm["spatial"] * 0.5 == pytest.approx(frame[["x", "y"]].to_numpy())


def test_scalefactors_that_are_no_numbers_are_named(copy_of):
    folder = copy_of("visium")
    path = folder / "spatial" / "scalefactors_json.json"
    path.write_text(json.dumps({"tissue_hires_scalef": "large"}))
    with pytest.raises(InputError, match=r"scalefactors_json\.json is damaged"):
        open_section(folder)
