"""Transcripts of chosen genes, read from a store's points without the others."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tagscope.errors import ArgumentError, InputError
from tagscope.io.readers import open_section
from tagscope.io.transcripts import Transcripts, read_transcripts
from tagscope.jobs import JobCancelled, JobContext

COUNT = 4000


def rows():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "x": rng.uniform(0, 40, COUNT).astype(np.float32),
            "y": rng.uniform(0, 30, COUNT).astype(np.float32),
            "gene": pd.Categorical(rng.choice(["ACTB", "CD3E", "BLANK-1"], COUNT)),
            "qv": rng.choice([10.0, 20.0, 40.0], COUNT).astype(np.float32),
        }
    )


@pytest.fixture
def path(tiny, tmp_path):
    """A store with transcripts in pixels of 2 µm, in several row groups."""
    import spatialdata
    from dask.dataframe import from_pandas
    from spatialdata.models import PointsModel
    from spatialdata.transformations import Scale

    path = tiny.store(tmp_path / "x.zarr", system="microns")
    store = spatialdata.read_zarr(path)
    store["transcripts"] = PointsModel.parse(
        from_pandas(rows(), npartitions=2),
        feature_key="gene",
        transformations={"microns": Scale([2.0, 2.0], axes=("x", "y"))},
    )
    store.write_element("transcripts")
    for part in path.rglob("part.*.parquet"):
        pq.write_table(pq.read_table(part), part, row_group_size=300)
    return path


def test_genes_are_read_placed_and_counted(path):
    found = read_transcripts(open_section(path), ["CD3E", "ACTB"])
    expected = rows()
    expected = expected[(expected.qv >= 20) & expected.gene.isin(["CD3E", "ACTB"])]
    codes = (expected.gene == "ACTB").to_numpy(dtype=np.int16)
    given = np.column_stack([found.xy, found.codes])
    wanted = np.column_stack([expected.x * 2, expected.y * 2, codes]).astype(np.float32)
    assert found.genes == ("CD3E", "ACTB")
    assert found.xy.dtype == np.float32
    np.testing.assert_allclose(given[np.lexsort(given.T)], wanted[np.lexsort(wanted.T)])


def test_a_measured_gene_without_transcripts_is_no_error(path):
    found = read_transcripts(open_section(path), ["ACTB", "EPCAM"])
    assert np.bincount(found.codes, minlength=2)[1] == 0


def test_an_unknown_gene_is_named(path):
    with pytest.raises(ArgumentError, match="no transcript of 'Cd3e'"):
        read_transcripts(open_section(path), ["ACTB", "Cd3e"])


def test_a_store_without_transcripts_says_so(tiny, tmp_path):
    with pytest.raises(InputError, match="no transcripts; its points are none"):
        read_transcripts(open_section(tiny.store(tmp_path / "x.zarr")), ["ACTB"])


def test_a_damaged_file_says_so(path):
    opened = open_section(path)
    for part in path.rglob("part.*.parquet"):
        part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(InputError, match=r"points/transcripts of the store cannot be read"):
        read_transcripts(opened, ["ACTB"])


def test_reading_reports_row_groups_and_can_be_cancelled(path):
    opened = open_section(path)
    seen = []
    read_transcripts(opened, ["ACTB"], JobContext(seen.append))
    assert [p.done for p in seen] == list(range(seen[0].total + 1))
    assert seen[0].total >= 14
    context = JobContext()
    context.on_progress = lambda _: context.cancel()
    with pytest.raises(JobCancelled):
        read_transcripts(opened, ["ACTB"], context)


def test_places_and_codes_must_agree():
    with pytest.raises(ValueError, match="needed"):
        Transcripts(("ACTB",), np.zeros((3, 2), np.float32), np.zeros(2, np.int16))


def test_the_sample_and_a_vendors_store(sample_data, shared):
    opened = open_section(sample_data / "section.zarr")
    found = read_transcripts(opened, ["Gad1", "Slc17a7"])
    column = opened.section.panel.symbols.index("Gad1")
    counted = opened.section.cells.values[:, column].sum()
    assert counted <= (found.codes == 0).sum() <= 1.2 * counted  # some lie between the cells
    opened = open_section(shared / "data" / "vendor" / "xenium_mouse_5k_23cells.zarr")
    found = read_transcripts(opened, ["Defa5"])
    low, high = opened.section.xy.min(axis=0), opened.section.xy.max(axis=0)
    assert ((found.xy > low - 20) & (found.xy < high + 20)).all()
