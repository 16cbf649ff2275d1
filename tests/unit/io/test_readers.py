"""Sections and references out of stores and .h5ad files."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from tagscope.errors import ArgumentError, InputError
from tagscope.io.choices import list_choices
from tagscope.io.readers import open_section, read_reference, read_section
from tagscope.io.units import declared_unit, technology_of
from tagscope.jobs import JobCancelled, JobContext


def codes(opened):
    return {finding.code: finding for finding in opened.notes}


def written(table, path):
    table.write_h5ad(path)
    return path


def test_an_h5ad_in_micrometres(tiny, tmp_path):
    table = tiny.table()
    opened = open_section(written(table, tmp_path / "merfish.h5ad"))
    section = opened.section
    np.testing.assert_array_equal(section.xy, tiny.centres())
    assert (section.unit, opened.um_per_unit, section.outlines) == ("µm", 1.0, None)
    assert section.ids.tolist() == table.obs_names.tolist()
    assert section.panel.symbols == tiny.symbols
    assert (section.cells.values != table.X).nnz == 0
    assert (opened.source.kind, opened.source.technology) == ("h5ad", "MERFISH")
    assert opened.sdata is None
    assert opened.notes == ()
    assert list(opened.table.obs.columns) == ["cell_type"]


def test_pixels_are_converted_where_the_file_tells(tiny, tmp_path):
    table = tiny.table(uns={"source": {"spatial_unit": "pixel", "um_per_unit": "0.5"}})
    opened = open_section(written(table, tmp_path / "x.h5ad"))
    np.testing.assert_array_equal(opened.section.xy, tiny.centres() / 2)
    assert (opened.section.unit, opened.um_per_unit) == ("µm", 0.5)
    assert "converted" in codes(opened)


def test_an_untold_unit_is_never_assumed(tiny, tmp_path):
    table = tiny.table(uns={"source": {"spatial_unit": "image units, not um"}})
    opened = open_section(written(table, tmp_path / "x.h5ad"))
    assert (opened.section.unit, opened.um_per_unit) == ("unknown", None)
    np.testing.assert_array_equal(opened.section.xy, tiny.centres())
    assert codes(opened)["unknown-unit"].severity == "warning"


@pytest.mark.parametrize(
    ("record", "um"),
    [
        ({"spatial_unit": "um (array pitch 100 um)"}, 1.0),
        ({"spatial_unit": "µm"}, 1.0),
        ({"spatial_unit": "mm"}, 1000.0),
        ({"um_per_unit": 0.2125}, 0.2125),
        ({"um_per_unit": "nan"}, None),
        ({"spatial_unit": "none"}, None),
        ({}, None),
    ],
)
def test_what_a_file_says_of_its_unit(record, um):
    assert declared_unit(record).um == um
    assert declared_unit({"source": record}).um == um


def test_where_keeps_some_cells(tiny, tmp_path):
    path = written(tiny.table(), tmp_path / "x.h5ad")
    opened = open_section(path, where='cell_type == "B"')
    assert opened.section.ids.tolist() == ["cell-1", "cell-4", "cell-7", "cell-10"]
    assert len(opened.table) == 4
    np.testing.assert_array_equal(opened.section.xy, tiny.centres()[1::3])
    assert opened.source.where == 'cell_type == "B"'


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ('nothing == "B"', "cannot be evaluated.*'cell_type'"),
        ("cell_type ==", "cannot be evaluated"),
        ('cell_type == "liver"', "keeps none of the 12 cells"),
    ],
)
def test_a_wrong_where_is_an_argument_error(tiny, tmp_path, where, said):
    path = written(tiny.table(), tmp_path / "x.h5ad")
    with pytest.raises(ArgumentError, match=said):
        open_section(path, where=where)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_store_with_polygons(tiny, tmp_path, zarr_format):
    path = tiny.store(tmp_path / "x.zarr", attrs={"um_per_unit": 1}, zarr_format=zarr_format)
    opened = open_section(path)
    section = opened.section
    np.testing.assert_allclose(section.xy, tiny.centres())
    assert section.unit == "µm"
    assert np.diff(section.outlines.offsets).tolist() == [5] * 12
    ring = section.outlines.ring(11)
    assert ring.min(axis=0).tolist() == [31, 21], "the largest part of a multipolygon is kept"
    assert ring.max(axis=0).tolist() == [39, 29]
    assert set(opened.sdata.images) == {"image"}
    assert (opened.source.table, opened.source.region) == ("table", "cells")
    assert opened.source.coordinate_system == "global"
    assert opened.notes == ()


def test_regions_and_tables_are_chosen_and_listed(tiny, tmp_path):
    path = tiny.store(tmp_path / "x.zarr", regions=("left", "right"))
    with pytest.raises(ArgumentError, match=r"2 regions: 'left', 'right'.*Choose one"):
        open_section(path)
    with pytest.raises(ArgumentError, match="no region 'top'; it annotates 'left', 'right'"):
        open_section(path, region="top")
    with pytest.raises(ArgumentError, match="no table 'cells'; it has 'table'"):
        open_section(path, table="cells")
    section = read_section(path, region="right")
    assert section.ids[0] == "right-0"
    assert section.name == "right"
    assert len(section) == 12
    (choice,) = list_choices(path)
    assert (choice.name, choice.cells, choice.regions) == ("table", 24, ("left", "right"))


def test_coordinate_systems_are_chosen_and_scaled(tiny, tmp_path):
    path = tiny.store(tmp_path / "x.zarr", scale=4.0, system="microns")
    opened = open_section(path)
    assert opened.source.coordinate_system == "microns"
    np.testing.assert_allclose(opened.section.xy, tiny.centres() * 4)
    assert opened.section.unit == "µm"
    np.testing.assert_allclose(opened.section.outlines.ring(0)[0], [36, 4])
    with pytest.raises(ArgumentError, match=r"no.* coordinate system 'global'; it is in 'microns'"):
        open_section(path, coordinate_system="global")


def test_xenium_shapes_are_in_micrometres_and_images_in_pixels(tiny, tmp_path):
    def edit(table):
        for column in ("transcript_counts", "control_probe_counts", "cell_area"):
            table.obs[column] = 0

    opened = open_section(tiny.store(tmp_path / "x.zarr", scale=4.0, edit=edit))
    assert opened.source.technology == "Xenium"
    assert opened.um_per_unit == 0.25
    np.testing.assert_allclose(opened.section.xy, tiny.centres())


@pytest.mark.parametrize("shift", [0.5, 500.0])
def test_obsm_is_used_where_it_agrees_with_the_shapes(tiny, tmp_path, shift):
    def edit(table):
        table.obsm["spatial"] = tiny.centres() + shift

    opened = open_section(tiny.store(tmp_path / "x.zarr", edit=edit))
    agrees = shift < 8
    np.testing.assert_allclose(opened.section.xy, tiny.centres() + (shift if agrees else 0))
    assert ("inconsistent-coordinates" in codes(opened)) != agrees


@pytest.mark.parametrize("with_obsm", [True, False])
def test_a_label_image_places_its_cells(tmp_path, tiny, with_obsm):
    path = tiny.label_store(tmp_path / "x.zarr", with_obsm)
    opened = open_section(path)
    np.testing.assert_allclose(opened.section.xy, tiny.centres() * 2)
    assert opened.section.outlines is None
    image = opened.section.labels
    assert image.ids.tolist() == list(range(100, 112))
    assert str(path) in image.identity
    for level, affine in zip(image.levels, image.affines, strict=True):
        pixels = (opened.section.xy - affine[:2, 2]) / np.diag(affine)[:2]
        columns, rows = pixels.astype(int).T
        assert np.asarray(level)[rows, columns].tolist() == image.ids.tolist()


def test_a_label_image_of_other_cells_is_not_offered(tmp_path, tiny):
    import spatialdata
    from spatialdata.models import ShapesModel
    from spatialdata.transformations import Scale

    store = spatialdata.read_zarr(tiny.label_store(tmp_path / "x.zarr", True))
    table = store.tables["table"]
    store.shapes["circles"] = ShapesModel.parse(
        tiny.centres(), geometry=0, radius=5.0, index=table.obs["instance"].to_numpy(),
        transformations={"microns": Scale([2.0, 2.0], axes=("x", "y"))},
    )  # fmt: skip
    table.obs["region"] = pd.Categorical(["circles"] * 12)
    table.uns["spatialdata_attrs"]["region"] = "circles"
    for shift, fits in ((0, True), (1, False)):
        table.obs["cells"] = table.obs["instance"].to_numpy() + shift
        with ad.settings.override(auto_shard_zarr_v3=False):
            store.write(tmp_path / f"{shift}.zarr")
        section = open_section(tmp_path / f"{shift}.zarr").section
        assert (section.labels is not None) == fits
        assert section.spot_diameter == pytest.approx(20)


@pytest.mark.parametrize(("technology", "unit", "width"), [
    ("Visium", "um", 55.0), ("Xenium", "um", None), ("Visium", "", None),
])  # fmt: skip
def test_spots_have_the_assay_s_width_where_the_unit_is_known(
    tmp_path, tiny, technology, unit, width
):
    table = tiny.table()
    table.uns["source"] = {"technology": technology, "spatial_unit": unit}
    section = open_section(written(table, tmp_path / "x.h5ad")).section
    assert section.spot_diameter == width


def test_space_ranger_s_spot_width_is_read(tmp_path, tiny):
    table = tiny.table()
    table.uns["source"] = {"um_per_unit": 0.5}
    table.uns["spatial"] = {"slide": {"scalefactors": {"spot_diameter_fullres": 130.0}}}
    assert open_section(written(table, tmp_path / "x.h5ad")).section.spot_diameter == 65.0


def test_a_reference_drops_rows_without_a_label(tiny, tmp_path):
    table = tiny.table(coordinates=False)
    table.obs["label"] = ["a", "b", None, "NA", "", "a", "c", "b", "a", "b", "c", "a"]
    reference = read_reference(written(table, tmp_path / "ref.h5ad"), "label")
    assert reference.labels.names == ("a", "b", "c")
    assert reference.codes.tolist() == [0, 1, 0, 2, 1, 0, 1, 2, 0]
    assert reference.cells.ids.tolist()[:3] == ["cell-0", "cell-1", "cell-5"]
    assert (reference.cells.values[2] != table.X[5]).nnz == 0


def test_reading_a_reference_is_told_and_can_be_cancelled(tiny, tmp_path, monkeypatch):
    path, heard = written(tiny.table(), tmp_path / "ref.h5ad"), []
    monkeypatch.setattr("tagscope.io.meters._MB", 1000)
    whole = read_reference(path, "cell_type", context=JobContext(heard.append))
    assert whole.origin == {"reference": "ref.h5ad", "label": "cell_type"}
    assert {progress.stage for progress in heard} == {"reading MB"}
    assert 0 <= heard[0].done < heard[-1].done <= heard[-1].total
    context = JobContext(lambda progress: context.cancel() if progress.done > 1 else None)
    with pytest.raises(JobCancelled):
        read_reference(path, "cell_type", context=context)


def test_a_reference_from_a_store_needs_no_region(tiny, tmp_path):
    path = tiny.store(tmp_path / "x.zarr", regions=("left", "right"))
    assert len(read_reference(path, "cell_type")) == 24


def test_a_missing_label_column_lists_those_there_are(tiny, tmp_path):
    table = tiny.table()
    table.obs["depth"] = np.linspace(0, 1, 12)
    path = written(table, tmp_path / "ref.h5ad")
    with pytest.raises(ArgumentError, match=r"no column 'type'; columns with.* are 'cell_type'"):
        read_reference(path, "type")
    with pytest.raises(ArgumentError, match="'depth' does not hold labels"):
        read_reference(path, "depth")


def test_a_reference_of_log_values_says_so(tiny, tmp_path):
    table = tiny.table()
    table.X = np.log1p(table.X)
    path = written(table, tmp_path / "ref.h5ad")
    with pytest.raises(InputError, match="log-normalised"):
        read_reference(path, "cell_type")
    assert read_reference(path, "cell_type", normalised=True).cells.normalised


def test_nameless_genes_open_but_refuse_to_be_annotated(tiny, tmp_path):
    table = tiny.table()
    table.var_names = [str(i) for i in range(5)]
    opened = open_section(written(table, tmp_path / "x.h5ad"))
    assert opened.section.panel.symbols == ("0", "1", "2", "3", "4")
    assert codes(opened)["gene-names-missing"].severity == "error"
    with pytest.raises(InputError, match="Gene names are missing"):
        opened.refuse_errors()


def test_technology_is_told_by_the_file_its_columns_or_its_name(tiny):
    obs = tiny.table().obs
    assert technology_of(obs, "a", {"source": {"technology": "CosMx"}}) == "CosMx"
    assert technology_of(obs.assign(array_row=1, array_col=1), "a") == "Visium"
    assert technology_of(obs, "starmap_v1") == "STARmap"
    assert technology_of(obs, "a") == "unknown"


def test_a_unit_that_is_given_scales_all_places(tiny, tmp_path):
    tiny.store(tmp_path / "x.zarr", scale=0.5)
    plain = open_section(tmp_path / "x.zarr")
    given = open_section(tmp_path / "x.zarr", um_per_unit=3 * (plain.um_per_unit or 1.0))
    assert (given.section.unit, given.source.um_per_unit) == ("µm", given.um_per_unit)
    np.testing.assert_allclose(given.section.xy, 3 * plain.section.xy)
    np.testing.assert_allclose(
        given.section.outlines.vertices, 3 * plain.section.outlines.vertices, rtol=1e-6
    )
    codes = [finding.code for finding in given.notes]
    assert "converted" in codes
    assert "unknown-unit" not in codes
