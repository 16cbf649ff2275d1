"""What the simulator leaves on disk, read by the libraries people use."""

from __future__ import annotations

import json
import re

import anndata as ad
import numpy as np
import pytest
import spatialdata
from spatialdata.transformations import get_transformation

from tagscope.errors import OutputError
from tagscope.jobs import JobCancelled, JobContext
from tagscope.simulation import write, write_tissue
from tagscope.simulation.celltypes import TYPE_NAMES, ensembl_ids


@pytest.fixture(scope="module")
def folder(tissue, tmp_path_factory):
    out = tmp_path_factory.mktemp("simulated") / "tissue"
    write_tissue(tissue, out)
    return out


@pytest.fixture(scope="module")
def store(folder):
    return spatialdata.read_zarr(folder / "section.zarr")


def test_the_folder_holds_three_things(folder):
    assert {p.name for p in folder.iterdir()} == {"section.zarr", "reference.h5ad", "truth.json"}


def test_the_table_holds_the_counts_and_not_the_truth(store, tissue):
    table = store["table"]
    assert np.array_equal(table.X.toarray(), tissue.counts.seen.toarray())
    assert table.X.dtype == np.float32
    assert tuple(table.var_names) == tissue.genes
    assert tuple(table.var["gene_ids"]) == ensembl_ids(tissue.genes)
    assert table.obs_names.tolist() == table.obs["cell_id"].tolist() == tissue.ids.tolist()
    assert all(re.fullmatch(r"[a-p]{8}-1", name) for name in table.obs_names)
    assert table.obsm["spatial"] == pytest.approx(tissue.outlines.centroids)
    assert table.obs["total_counts"].equals(
        table.obs["transcript_counts"] + table.obs["control_probe_counts"]
    )
    text = table.obs.select_dtypes(include=["object", "category", "string"]).astype(str)
    assert not text.isin([*TYPE_NAMES]).to_numpy().any()


def test_the_table_annotates_the_outlines(store, tissue):
    outlines = store["cell_boundaries"]
    assert store["table"].uns["spatialdata_attrs"]["region"] == "cell_boundaries"
    assert outlines.index.tolist() == tissue.ids.tolist()
    assert outlines.is_valid.all()
    centres = np.column_stack([outlines.centroid.x, outlines.centroid.y])
    assert store["table"].obsm["spatial"] == pytest.approx(centres, abs=0.05)
    assert store["table"].obs["cell_area"].to_numpy() == pytest.approx(outlines.area, rel=0.01)


def test_transcripts_read_back_agree_with_the_table(store):
    rows = store["transcripts"].compute()
    assert list(rows.columns) == ["x", "y", "feature_name", "cell_id", "qv", "is_gene"]
    inside = rows[rows["is_gene"] & (rows["cell_id"] != "UNASSIGNED")]
    counted = inside.groupby("cell_id", observed=True).size()
    expected = store["table"].obs.set_index("cell_id")["transcript_counts"]
    assert counted.reindex(expected.index, fill_value=0).equals(expected.astype(counted.dtype))
    controls = rows[~rows["is_gene"]]
    assert controls["feature_name"].astype(str).str.startswith("NegControlProbe_").all()
    held = (controls["cell_id"] != "UNASSIGNED").sum()
    assert held == store["table"].obs["control_probe_counts"].sum() > 0
    assert store["transcripts"].attrs["spatialdata_attrs"]["feature_key"] == "feature_name"


def test_the_image_is_in_micrometres(store, tissue):
    image = store["morphology"]
    assert list(image.coords["c"].values) == ["DAPI", "Membrane"]
    matrix = get_transformation(image, "global").to_affine_matrix(("x", "y"), ("x", "y"))
    assert matrix[0, 0] == matrix[1, 1] == tissue.config.pixel_size
    assert np.array_equal(image.values, tissue.image)


def test_large_images_get_smaller_copies(tissue, monkeypatch):
    monkeypatch.setattr(write, "_MULTISCALE", 100)
    levels = write.section_store(tissue)["morphology"]
    assert list(levels) == ["scale0", "scale1", "scale2", "scale3"]


def test_transcripts_in_several_parts_are_the_same(tissue, monkeypatch):
    whole = write.section_store(tissue)["transcripts"].compute()
    monkeypatch.setattr(write, "_ROWS_A_PARTITION", 10_000)
    parts = write.section_store(tissue)["transcripts"]
    assert parts.npartitions > 5
    assert parts.compute().equals(whole)


def test_the_reference_is_raw_and_lacks_the_unseen_type(folder, tissue):
    reference = ad.read_h5ad(folder / "reference.h5ad")
    assert np.array_equal(reference.X.toarray(), tissue.reference.counts.toarray())
    assert reference.X.format == "csr"
    assert "T cell" not in reference.obs["cell_type"].cat.categories
    assert reference.obs["cell_type"].nunique() == len(TYPE_NAMES) - 1
    assert reference.obs["batch"].nunique() == 3
    assert reference.obs_names.is_unique
    assert not set(reference.obs_names) & set(tissue.ids)


def test_the_truth_on_disk_is_the_truth(folder, tissue):
    assert json.loads((folder / "truth.json").read_text(encoding="utf-8")) == tissue.truth()


def test_an_existing_folder_is_not_replaced_unasked(tissue, tmp_path):
    out = tmp_path / "tissue"
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    with pytest.raises(OutputError):
        write_tissue(tissue, out)
    assert [p.name for p in out.iterdir()] == ["mine.txt"]


def test_a_cancelled_write_leaves_nothing(tissue, tmp_path):
    def listen(progress):
        if progress.done == 2:
            context.cancel()

    context = JobContext(listen)
    with pytest.raises(JobCancelled):
        write_tissue(tissue, tmp_path / "tissue", context=context)
    assert list(tmp_path.iterdir()) == []
