"""What saving a result costs, beside rewriting the table.

Run with ``pytest tests/bench/test_saving.py --benchmark-only``; ``saving.py`` beside it measures
memory too, every way in a process of its own.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from saving import EXPRESSED, WAYS, apart, prepare, result, scores
from tagscope.io.h5ad import quietly


@pytest.mark.filterwarnings("ignore:Writing zarr v2 data will no longer be the default")
@pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")
@pytest.mark.parametrize("cells", [100_000])
@pytest.mark.parametrize("way", WAYS)
def test_saving(benchmark: BenchmarkFixture, tmp_path: Path, way: str, cells: int) -> None:
    prepare(cells, tmp_path)
    write = result(cells)

    def fresh() -> tuple[tuple[Path], dict[str, object]]:
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        shutil.copytree(tmp_path / "x.zarr", copy / "x.zarr")
        shutil.copyfile(tmp_path / "x.h5ad", copy / "x.h5ad")
        return (copy,), {}

    def save(copy: Path) -> None:
        with quietly():
            WAYS[way](copy, write)

    benchmark.pedantic(save, setup=fresh, rounds=3)


def test_every_way_measures_the_same_result(tmp_path: Path) -> None:
    prepare(500, tmp_path)
    assert (np.diff(scores(500, 0).indptr) == EXPRESSED).all()
    write = result(500)
    for way in ("store, in place (TAGscope)", ".h5ad, in place (TAGscope)"):
        with quietly():
            WAYS[way](tmp_path, write)
    with quietly():
        tables = [ad.read_zarr(tmp_path / "x.zarr/tables/table"), ad.read_h5ad(tmp_path / "x.h5ad")]
    for found in tables:
        assert (found.layers["cellmemory_attention"] != scores(500, 2)).nnz == 0
        assert found.obsm["X_cellmemory"].shape == (500, 64)


def test_a_way_apart(tmp_path: Path) -> None:
    (tmp_path / "prepared").mkdir()
    prepare(200, tmp_path / "prepared")
    measured = apart("the table by SpatialData.write_element", 200, tmp_path / "prepared")
    assert measured["seconds"] > 0
