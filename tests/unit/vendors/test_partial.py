"""Folders that lack files: what is left opens, and each loss is said with what it costs."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest

from tagscope import api
from tagscope.errors import InputError
from tagscope.io.readers import open_section


def said(opened):
    return " ".join(str(finding) for finding in opened.notes)


XENIUM = ["xenium", "xenium-2"]


@pytest.mark.parametrize("layout", XENIUM)
def test_xenium_counts_are_made_of_good_transcripts_in_cells(copy_of, small, layout):
    opened = open_section(copy_of(layout, "cell_feature_matrix.h5"))
    assert "Counts are made of the transcripts in cells with quality 20 or more" in said(opened)
    section = opened.section
    assert section.ids.tolist() == small.ids.tolist()
    dense = small.counts.seen.toarray()
    seen = dense.any(axis=0)
    assert section.panel.symbols == tuple(np.array(small.genes)[seen])
    assert (section.cells.values.toarray() == dense[:, seen]).all()
    assert all(name.startswith("NegControl") for name in opened.table.uns["controls"])


@pytest.mark.parametrize(
    ("without", "loss"),
    [
        (["*.parquet"], None),
        (
            ["*.parquet", "cells.csv.gz"],
            "There is no cells table. Cells are placed by the polygons",
        ),
        (["cell_boundaries*"], "There is no cell_boundaries file. Cells are drawn as discs"),
        (["cells.zarr.zip"], "There is no cells.zarr.zip. Masks are not shown"),
        (["morphology_focus"], "There is no morphology_focus image"),
        (["experiment.xenium"], "Pictures are taken to be 0.2125 µm a pixel"),
        (["transcripts*"], "No transcripts can be shown"),
        (["nucleus_boundaries*"], None),
        (["cells.*", "cell_boundaries*"], "Cells are placed by the transcripts"),
    ],
)
def test_xenium_opens_with_what_is_there(copy_of, small, without, loss):
    opened = open_section(copy_of("xenium", *without))
    assert set(opened.section.ids) == set(small.ids)
    order = opened.table.obs_names.get_indexer(small.ids)
    away = np.hypot(*(opened.section.xy[order] - small.outlines.centroids).T)
    assert np.median(away) < (3 if "cells.*" in without else 0.1)
    assert loss is None or loss in said(opened)
    assert (opened.section.outlines is None) == ("cell_boundaries*" in without)


@pytest.mark.parametrize(
    ("layout", "without", "missing"),
    [
        ("xenium", ["cell_feature_matrix.h5", "transcripts*"], "there are no counts"),
        ("xenium", ["cells.*", "*boundaries*", "transcripts*"], "no file tells where cells are"),
        ("merscope", ["cell_by_gene.csv", "cell_boundaries.parquet"], "no counts and no bound"),
        ("merscope", ["cell_by_gene.csv", "detected*"], "no counts and no transcripts"),
        ("merscope", ["cell_metadata.csv", "cell_bound*"], "no file tells where cells are"),
        ("cosmx", ["*exprMat*", "*tx_file*"], "there are no counts"),
        ("cosmx", ["*metadata*", "*tx_file*"], "no file tells where cells are"),
    ],
)
def test_what_cannot_be_a_section_is_refused(copy_of, layout, without, missing):
    folder = copy_of(layout, *without)
    with pytest.raises(InputError, match=rf"holds no cells: {missing}.* needed"):
        open_section(folder)
    assert not api.check(folder).ok


def test_integer_ids_bytes_and_an_unnamed_first_column(copy_of, small):
    folder = copy_of("xenium", "*.h5", "*.zarr.zip")
    numbers = {name: 67500 + row for row, name in enumerate(small.ids)}
    for name in ("cells", "cell_boundaries", "transcripts"):
        frame = pd.read_parquet(folder / f"{name}.parquet")
        cells = frame["cell_id"].map(numbers).fillna(-1).astype(np.int64)
        (folder / f"{name}.parquet").unlink()
        (folder / f"{name}.csv.gz").unlink(missing_ok=True)
        frame.assign(cell_id=cells).to_csv(folder / f"{name}.csv")
    opened = open_section(folder)
    assert opened.section.ids.tolist() == [str(number) for number in numbers.values()]
    assert opened.section.cells.totals.sum() == small.counts.seen.sum()
    frame = pd.read_parquet(folder / "nucleus_boundaries.parquet")
    frame["cell_id"] = frame["cell_id"].str.encode("utf-8")
    frame.to_parquet(folder / "nucleus_boundaries.parquet")
    assert open_section(folder).sdata["nucleus_boundaries"].index[0] in set(small.ids)


def test_merscope_counts_are_made_of_transcripts_in_polygons(copy_of, small, cells_of):
    opened = open_section(copy_of("merscope", "cell_by_gene.csv", "cell_metadata.csv", "images"))
    assert "Counts are made of the transcripts that lie in a cell's outline" in said(opened)
    assert "Cells are placed by the polygons" in said(opened)
    assert "No image is shown" in said(opened)
    assert opened.section.ids.tolist() == cells_of("merscope")
    dense = small.counts.seen.toarray()
    assert opened.section.cells.values.toarray() == pytest.approx(
        dense[:, dense.any(axis=0)], abs=2
    )
    lost = abs(opened.section.cells.totals.sum() - dense.sum()) / dense.sum()
    assert lost < 0.01


def test_merscope_boundaries_of_the_old_layout(copy_of, small, cells_of):
    import h5py

    folder = copy_of("merscope", "cell_boundaries.parquet")
    (folder / "cell_boundaries").mkdir()
    rows = np.arange(500)
    for fov in range(2):
        with h5py.File(folder / "cell_boundaries" / f"feature_data_{fov}.hdf5", "w") as file:
            for row in rows[fov::2]:
                for plane in range(7):
                    path = f"featuredata/{cells_of('merscope')[row]}/zIndex_{plane}/p_0/coordinates"
                    grown = small.outlines.vertices[row] + (0 if plane == 3 else 40)
                    file[path] = grown[None]
    opened = open_section(folder)
    assert opened.section.outlines.ring(7)[:-1] == pytest.approx(
        small.outlines.vertices[7], abs=1e-3
    ), "of the middle plane"


def test_old_merscope_tables_without_a_name_for_the_ids(copy_of, small, cells_of):
    folder = copy_of("merscope", "cell_boundaries.parquet", "images", "detected*")
    path = folder / "cell_metadata.csv"
    path.write_text(path.read_text().replace("EntityID", "", 1))
    opened = open_section(folder)
    assert opened.section.ids.tolist() == cells_of("merscope")
    assert opened.section.xy == pytest.approx(small.outlines.centroids)
    assert opened.section.outlines is None


def test_cosmx_counts_are_made_of_the_transcripts_given_to_cells(copy_of, small, cells_of):
    opened = open_section(copy_of("cosmx", "*exprMat*", "*polygons*"))
    assert "Counts are made of the transcripts that the tx file gives to cells" in said(opened)
    assert "Cells are drawn as discs" in said(opened)
    assert opened.section.ids.tolist() == cells_of("cosmx")
    dense = small.counts.seen.toarray()
    assert (opened.section.cells.values.toarray() == dense[:, dense.any(axis=0)]).all()
    radius = opened.sdata["cell_circles"]["radius"]
    assert radius.to_numpy() == pytest.approx(np.sqrt(small.outlines.areas / np.pi))


def test_cosmx_cells_without_metadata_are_where_their_transcripts_are(copy_of, small, cells_of):
    opened = open_section(copy_of("cosmx", "*metadata*", "*polygons*"))
    assert "Cells are placed at the mean of their transcripts" in said(opened)
    assert set(opened.sdata.labels) == {f"fov_{n}_labels" for n in fovs_of(cells_of)}, "they fit"


def test_cosmx_labels_that_do_not_fit_are_left_out(copy_of, cells_of):
    folder = copy_of("cosmx", "*metadata*", "*polygons*")
    (folder / "CellLabels/CellLabels_F002.tif").write_bytes(
        (folder / "CellLabels/CellLabels_F001.tif").read_bytes()
    )
    opened = open_section(folder)
    assert "The pictures of FOVs '2' do not fit the cells in them" in said(opened)
    assert set(opened.sdata.labels) == {f"fov_{n}_labels" for n in fovs_of(cells_of) - {"2"}}


@pytest.mark.parametrize(
    ("edit", "um", "told"),
    [
        (lambda cells, fovs: (cells, fovs), 0.120280945, "mm and px in the FOV positions"),
        (lambda cells, fovs: (cells, None), 0.120280945, "Area and Area.um2"),
        (lambda cells, fovs: (cells.drop(columns="Area.um2"), None), 0.120280945, "NanoString's"),
        (
            lambda cells, fovs: (
                cells.drop(columns="Area.um2").assign(CenterX_local_px=5400.0),
                None,
            ),
            0.18,
            "a release of 2022",
        ),
    ],
)
def test_the_size_of_a_cosmx_pixel_and_what_told_it(copy_of, edit, um, told):
    folder = copy_of("cosmx", "CellLabels", "CellComposite", "*tx_file*", "*polygons*")
    paths = [folder / f"Section_{name}_file.csv" for name in ("metadata", "fov_positions")]
    for path, frame in zip(paths, edit(*map(pd.read_csv, paths)), strict=True):
        path.unlink()
        if frame is not None:
            frame.to_csv(path, index=False)
    opened = open_section(folder)
    (finding,) = [f for f in opened.notes if f.code == "converted"]
    assert told in finding.found
    assert f"{um:.6g} µm per pixel" in finding.found
    assert finding.severity == ("warning" if told == "NanoString's" else "info")


DAMAGED = [
    ("xenium", "cell_feature_matrix.h5"),
    ("xenium", "cells.parquet"),
    ("xenium", "cell_boundaries.parquet"),
    ("xenium", "experiment.xenium"),
    ("merscope", "cell_boundaries.parquet"),
]
DAMAGED_PICTURES = [
    ("xenium", "morphology_focus/morphology_focus_0000.ome.tif"),
    ("merscope", "images/mosaic_DAPI_z3.tif"),
    ("cosmx", "CellComposite/CellComposite_F001.jpg"),
]


@pytest.mark.parametrize(("layout", "name"), DAMAGED)
def test_a_truncated_file_is_named(copy_of, layout, name):
    path = copy_of(layout) / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(InputError, match=f"{path.name} is damaged"):
        open_section(folder_with(path, name))


@pytest.mark.parametrize(("layout", "name"), [*DAMAGED, *DAMAGED_PICTURES])
def test_an_empty_file_is_named(copy_of, layout, name):
    path = copy_of(layout) / name
    path.write_bytes(b"")
    with pytest.raises(InputError, match=f"{path.name} is damaged"):
        open_section(folder_with(path, name))


def folder_with(path, name):
    """The folder that ``name`` is in."""
    return path.parents[name.count("/")]


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        ("xenium", "cells.csv.gz"),
        ("merscope", "cell_metadata.csv"),
        ("cosmx", "Section_metadata_file.csv"),
    ],
)
def test_cells_without_a_place_are_left_out_and_odd_columns_renamed(copy_of, layout, name):
    folder = copy_of(layout, "cells.parquet", "*boundaries*", "*polygons*", "Cell[LC]*")
    frame = pd.read_csv(folder / name)
    frame = frame.assign(**{"Mean.CD298/B2M": 1, "mean.cd298_b2m": 2, "Region": "x"})
    frame.iloc[:-3].to_csv(folder / name, index=False)
    opened = open_section(folder)
    assert len(opened.section) == 497
    assert "3 of 500 cells with counts have no place in any file" in said(opened)
    assert "Mean.CD298_B2M" in opened.table.obs
    assert "mean.cd298_b2m" not in opened.table.obs


def test_a_damaged_zip_of_masks_costs_the_masks(copy_of):
    folder = copy_of("xenium")
    (folder / "cells.zarr.zip").write_bytes(b"PK")
    opened = open_section(folder)
    assert "Masks cannot be read" in said(opened)
    assert not opened.sdata.labels


def test_a_damaged_gzip_is_named(copy_of):
    folder = copy_of("xenium", "cells.parquet")
    content = (folder / "cells.csv.gz").read_bytes()
    (folder / "cells.csv.gz").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"cells\.csv\.gz is damaged"):
        open_section(folder)


def test_columns_that_are_missing_are_named(copy_of):
    folder = copy_of("xenium", "cells.parquet")
    with gzip.open(folder / "cells.csv.gz", "rt") as stream:
        text = stream.read().replace("x_centroid", "x", 1)
    with gzip.open(folder / "cells.csv.gz", "wt") as stream:
        stream.write(text)
    with pytest.raises(InputError, match=r"cells\.csv\.gz has no column 'x_centroid'"):
        open_section(folder)


def fovs_of(cells_of):
    return {name.split("_")[0] for name in cells_of("cosmx")}
