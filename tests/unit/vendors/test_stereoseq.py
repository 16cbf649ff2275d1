"""Stereo-seq: cells with outlines out of cell-bin files, squares out of square-bin files."""

from __future__ import annotations

import warnings

import h5py
import numpy as np
import pytest
import shapely

from tagscope import api
from tagscope.errors import ArgumentError, InputError
from tagscope.io.readers import open_section
from tagscope.simulation.vendors import stereoseq

CELLS = "041.cellcut/SECTION.cellbin.gef"
SQUARES = "04.tissuecut/SECTION.gef"


def told(opened):
    return " ".join(str(finding) for finding in opened.notes)


@pytest.mark.parametrize("part", ["", CELLS])
def test_cells_come_back(folder_of, small, part):
    opened = open_section(folder_of("stereo-seq") / part)
    section = opened.section
    assert opened.source.technology == "Stereo-seq"
    assert section.ids.tolist() == [str(number) for number in range(500)]
    assert section.panel.symbols == small.genes
    assert (section.cells.values != small.counts.seen).nnz == 0
    away = np.hypot(*(section.xy - small.outlines.seeds).T)
    assert away.max() < 0.36, "half a spot each way"
    ring = shapely.Polygon(section.outlines.ring(9))
    true = shapely.Polygon(small.outlines.vertices[9])
    assert ring.symmetric_difference(true).area < 0.15 * true.area
    assert "0.5 µm per DNB spot (resolution in the file)" in told(opened)


@pytest.mark.parametrize(("part", "asked"), [("", "bin20"), (SQUARES, "bin20"), (SQUARES, None)])
def test_squares_come_back(folder_of, small, part, asked):
    opened = open_section(folder_of("stereo-seq") / part, **({"table": asked} if asked else {}))
    size = 20 if asked else 50
    assert opened.source.table == f"bin{size}"
    expected = stereoseq.square_counts(small, size)
    dense = opened.section.cells.values.tocoo()
    found = {
        (int(gene), *map(int, opened.section.ids[row].split("_"))): int(count)
        for row, gene, count in zip(dense.row, dense.col, dense.data, strict=True)
    }
    assert found == expected.to_dict()
    assert np.ptp(opened.section.outlines.ring(0), axis=0) == pytest.approx([size / 2, size / 2])
    corner = np.array([float(n) for n in opened.section.ids[3].split("_")])
    assert opened.section.xy[3] == pytest.approx((corner + size / 2) / 2)
    assert "A square is not a cell" in told(opened)


def test_wrong_sizes_and_files_are_refused(folder_of, copy_of, tmp_path):
    with pytest.raises(ArgumentError, match="'cells' is no size of squares"):
        open_section(folder_of("stereo-seq"), table="cells")
    with pytest.raises(InputError, match=r"no \.gef of squares"):
        open_section(copy_of("stereo-seq", "02*", "04.*"), table="bin20")
    path = tmp_path / "x.gef"
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"x\.gef is damaged"):
        open_section(path)
    assert not api.check(path).ok
    with h5py.File(path, "w") as file:
        file["other"] = [1]
    with pytest.raises(InputError, match=r"x\.gef is damaged.*cellBin"):
        open_section(path)


def test_spatialdata_io_reads_the_same(folder_of, small):
    from spatialdata_io import stereoseq as library

    with warnings.catch_warnings():
        # the library numbers the squares' rows where AnnData wants text
        warnings.filterwarnings("ignore", message="Transforming to str index")
        store = library(folder_of("stereo-seq"))
    table = store["cells_table"]
    assert (small.counts.seen != table.X).nnz == 0
    own = open_section(folder_of("stereo-seq")).section
    assert table.obsm["spatial"] * 0.5 == pytest.approx(own.xy)
