"""Complete folders: what was simulated comes back, and spatialdata-io reads the same of them."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pytest
import shapely

from tagscope import api
from tagscope.errors import OutputError
from tagscope.io.choices import list_choices
from tagscope.io.masks import levels_of
from tagscope.io.readers import open_section, read_section
from tagscope.simulation.vendors.parts import feature_counts

CELLS = ["xenium", "xenium-2", "merscope", "cosmx"]
TECHNOLOGIES = ["Xenium", "Xenium", "MERSCOPE", "CosMx"]


@pytest.mark.parametrize(("layout", "technology"), [*zip(CELLS, TECHNOLOGIES, strict=True)])
def test_the_simulated_section_comes_back(folder_of, small, cells_of, layout, technology):
    opened = open_section(folder_of(layout))
    section = opened.section
    assert (opened.source.kind, opened.source.technology) == ("vendor", technology)
    assert section.ids.tolist() == cells_of(layout)
    assert section.panel.symbols == small.genes
    assert (section.cells.values != small.counts.seen).nnz == 0
    assert (section.unit, opened.um_per_unit) == ("µm", 1.0)
    assert section.xy == pytest.approx(origin(layout) + small.outlines.centroids, abs=1e-6)
    for cell in (0, 17, 499):
        ring = shapely.Polygon(section.outlines.ring(cell))
        true = shapely.Polygon(small.outlines.vertices[cell] + origin(layout))
        assert ring.symmetric_difference(true).area < 0.01 * true.area
    assert [f.severity for f in opened.notes if f.severity != "info"] == []
    assert "converted" in {f.code for f in opened.notes}


@pytest.mark.parametrize("layout", CELLS)
def test_controls_are_apart(folder_of, small, layout):
    table = open_section(folder_of(layout)).table
    controls = feature_counts(small)[:, len(small.genes) :]
    assert (table.obsm["controls"] != controls).nnz == 0
    assert len(table.uns["controls"]) == controls.shape[1]


@pytest.mark.parametrize("layout", CELLS)
def test_images_and_transcripts_are_lazy_and_lie_on_the_cells(folder_of, small, layout):
    opened = open_section(folder_of(layout))
    spots = opened.sdata.points["transcripts"].compute()
    real = small.transcripts
    assert len(spots) >= len(real.cell)
    moved = to_microns(opened.sdata.points["transcripts"])
    xy = spots[["x", "y"]].to_numpy()[: len(real.cell)] @ moved[:2, :2].T + moved[:2, 2]
    assert xy == pytest.approx(origin(layout) + real.xy, abs=1e-3)
    nuclei = []
    for name, image in opened.sdata.images.items():
        pixels = np.linalg.inv(to_microns(image))
        at = small.outlines.seeds + origin(layout)
        column, row = np.floor(at @ pixels[:2, :2].T + pixels[:2, 2]).astype(int).T
        plane = np.asarray(one_level(image))[nuclear_channel(layout)]
        inside = (row >= 0) & (column >= 0) & (row < plane.shape[0]) & (column < plane.shape[1])
        nuclei.extend(plane[row[inside], column[inside]].tolist())
        assert "microns" in opened.sdata.coordinate_systems, name
    assert len(nuclei) >= 500
    assert np.mean(nuclei) > 60, "nuclei are bright where the cells are said to be"


@pytest.mark.parametrize("layout", CELLS)
def test_results_go_into_a_store_or_an_h5ad_and_never_into_the_folder(folder_of, tmp_path, layout):
    from tagscope.io.store import write_results

    opened = open_section(folder_of(layout))

    def mark(table):
        table.obs["mark"] = np.arange(table.n_obs)

    with pytest.raises(OutputError, match="never written to"):
        write_results(opened.source, mark, folder_of(layout), overwrite=True)
    for name in ("out.zarr", "out.h5ad"):
        again = open_section(write_results(opened.source, mark, tmp_path / name))
        assert again.table.obs["mark"].tolist() == list(range(500))
        assert again.section.xy == pytest.approx(opened.section.xy)
        assert again.section.unit == "µm"
        assert again.source.technology == opened.source.technology


@pytest.mark.parametrize("layout", CELLS)
def test_every_verb_takes_a_folder(folder_of, layout):
    path = folder_of(layout)
    assert api.check(path).ok
    assert api.info(path)["cells"] == 500
    assert list_choices(path)[0].cells == 500
    assert len(read_section(path, where="region == region")) == 500


def test_spatialdata_io_reads_the_xenium_folders(folder_of, small):
    from spatialdata_io import xenium

    for layout, channels in (("xenium", 4), ("xenium-2", 1)):
        with warnings.catch_warnings():
            # XOA 2.0 as released has no label_id, of which the library warns
            warnings.filterwarnings("ignore", message="Nucleus boundaries are not supported")
            store = xenium(folder_of(layout))
        table = store["table"]
        assert (small.counts.seen != table.X).nnz == 0
        assert table.obs["cell_id"].tolist() == small.ids.tolist()
        assert table.obsm["spatial"] == pytest.approx(small.outlines.centroids)
        assert store["cell_boundaries"].index.tolist() == small.ids.tolist()
        assert one_level(store["morphology_focus"]).shape[0] == channels
        labels = np.asarray(one_level(store["cell_labels"]))
        column, row = np.floor(small.outlines.seeds / 0.2125).astype(int).T
        assert (labels[row, column] == table.obs["cell_labels"]).mean() > 0.99


def test_spatialdata_io_reads_the_merscope_folder(folder_of, small, cells_of):
    from spatialdata_io import merscope

    with warnings.catch_warnings():
        # the library passes AnnData a dtype, which AnnData deprecates
        warnings.filterwarnings("ignore", message="The dtype argument is deprecated")
        store = merscope(folder_of("merscope"))
    table = store["table"]
    assert table.obs_names.tolist() == cells_of("merscope")
    assert (np.asarray(table.X) == small.counts.seen.toarray()).all()
    assert table.obsm["blank"].shape == (500, 8)
    (polygons,) = store.shapes.values()
    assert len(polygons) == 500


def test_spatialdata_io_reads_the_cosmx_folder(folder_of, small, cells_of):
    from spatialdata_io import cosmx

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The dtype argument is deprecated")
        store = cosmx(folder_of("cosmx"))
    table = store["table"]
    told = ["_".join(reversed(name.split("_"))) for name in table.obs_names]
    assert told == cells_of("cosmx")
    genes = table[:, list(small.genes)].X
    assert (genes != small.counts.seen).nnz == 0


def origin(layout):
    """µm of the tissue's corner in the vendor's coordinates."""
    from tagscope.simulation.vendors import cosmx

    return cosmx.ORIGIN if layout == "cosmx" else np.zeros(2)


def nuclear_channel(layout):
    return 2 if layout == "cosmx" else 0


def to_microns(element):
    from tagscope.io.spatialdata_store import affine_to

    return affine_to(element, "microns")


def one_level(element):
    return levels_of(element)[0].data


@pytest.mark.parametrize("layout", ["xenium", "xenium-2"])
def test_smaller_copies_in_a_picture_s_file_are_used(folder_of, layout):
    image = open_section(folder_of(layout)).sdata.images["morphology_focus"]
    levels = levels_of(image)
    assert len(levels) > 1
    matrices = [to_microns(level) for level in levels]
    for coarse, (finer, matrix) in zip(levels[1:], pairwise(matrices), strict=True):
        assert np.allclose(matrix[:2, :2], 2 * finer[:2, :2], rtol=0.01)
        whole = np.asarray(levels[0].data)
        step = round(levels[0].shape[1] / coarse.shape[1])
        assert np.array_equal(np.asarray(coarse.data), whole[:, ::step, ::step])
