"""Real references and sections that are odd in some way, through the public verbs."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pytest

import tagscope as ts
from tagscope.core.section import Reference
from tagscope.errors import InputError
from tagscope.io.readers import read_reference

QUICK = ts.TrainConfig(epochs=1, device="cpu")
SMALL = ts.CellMemoryConfig(width=16, ffn=32, layers=2)
EVERYTHING = ts.AnnotateConfig(attention=True, slots=True, device="cpu")


def some_of(reference: Reference, cells: int) -> Reference:
    rows = np.random.default_rng(0).choice(len(reference), cells, replace=False)
    return Reference(reference.cells.take(rows), reference.labels, reference.codes[rows])


def first_cells(source: Path, cells: int, out: Path) -> Path:
    table = ad.read_h5ad(source)
    table[:cells].copy().write_h5ad(out)
    return out


@pytest.fixture(scope="module")
def data(shared: Path) -> Path:
    return shared / "data"


@pytest.fixture(scope="module")
def annotation(data: Path) -> Path:
    return data / "annotation"


@pytest.mark.parametrize("mode", ["expressed", "full"])
def test_a_section_with_a_twentieth_of_the_genes(
    mode: str, annotation: Path, tmp_path: Path
) -> None:
    """Ten thousand genes of seqFISH+, half a thousand of them in the STARmap section."""
    reference = read_reference(annotation / "seqfishplus_cortex.h5ad", "cell_type")
    network = ts.CellMemoryConfig(width=16, ffn=32, layers=2, mode=mode)
    bundle = ts.train(
        some_of(reference, 60), out=tmp_path / "bundle", config=QUICK, model_config=network
    )
    section = first_cells(annotation / "starmap_by3_v1.h5ad", 100, tmp_path / "section.h5ad")
    result = ts.annotate(section, bundle, EVERYTHING, out=tmp_path / "annotated.h5ad")
    assert result.provenance.extra["genes_shared"] == 494
    assert np.isfinite(result.annotation.probabilities).all()
    tags = ts.tags(tmp_path / "annotated.h5ad").frame
    assert set(tags["gene"]) <= set(ad.read_h5ad(section).var_names)


def test_classes_of_one_cell_and_genes_in_lower_case(annotation: Path, tmp_path: Path) -> None:
    """An embryo with types of one to seven cells; the section's genes in lower case."""
    reference = read_reference(annotation / "seqfish_mouse_embryo2.h5ad", "cell_type")
    bundle = ts.train(
        some_of(reference, 400), out=tmp_path / "bundle", config=QUICK, model_config=SMALL
    )
    assert min(bundle.training["label_counts"].values()) == 1
    table = ad.read_h5ad(annotation / "seqfish_mouse_embryo2.h5ad")[:50].copy()
    answers = []
    for change in (str, str.lower, str.upper):
        table.var_names = [change(name) for name in table.var_names]
        table.write_h5ad(tmp_path / "section.h5ad")
        answers.append(ts.annotate(tmp_path / "section.h5ad", bundle).annotation.probabilities)
    np.testing.assert_array_equal(answers[0], answers[1])
    np.testing.assert_array_equal(answers[0], answers[2])


def test_values_that_are_no_counts(data: Path, tmp_path: Path) -> None:
    scaled = data / "domains" / "visium_dlpfc_151669_scaled.h5ad"
    with pytest.raises(InputError, match="negative values"):
        ts.train(scaled, "region", out=tmp_path / "bundle", config=QUICK)
    with pytest.raises(InputError, match="negative values"):
        ts.train(scaled, "region", out=tmp_path / "bundle", config=QUICK, normalised=True)
    logged = data / "lognorm" / "pancreas_xin_lognorm.h5ad"
    with pytest.raises(InputError, match="log-normalised"):
        ts.train(logged, "cell_type", out=tmp_path / "bundle", config=QUICK)
    bundle = ts.train(
        logged, "cell_type", out=tmp_path / "bundle", config=QUICK, model_config=SMALL,
        normalised=True,
    )  # fmt: skip
    with pytest.raises(InputError, match="negative values"):
        ts.annotate(scaled, bundle)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_cell_without_counts_among_others(data: Path, tmp_path: Path) -> None:
    """The tumour section has one cell without counts, and a reference of one cell a type."""
    reference = data / "annotation" / "pseudobulk_breast_wu.h5ad"
    bundle = ts.train(
        reference, "cell_type", out=tmp_path / "bundle", config=QUICK, model_config=SMALL
    )
    assert bundle.to_text().endswith("not validated")
    table = ad.read_h5ad(data / "domains" / "xenium_breast_idc.h5ad")
    empty = np.flatnonzero(np.asarray(table.X.sum(axis=1)).ravel() == 0)
    assert len(empty) == 1
    rows = np.unique(np.concatenate((empty, np.arange(40))))
    table[rows].copy().write_h5ad(tmp_path / "section.h5ad")
    out = tmp_path / "annotated.h5ad"
    result = ts.annotate(tmp_path / "section.h5ad", bundle, EVERYTHING, out=out)
    assert np.isfinite(result.annotation.probabilities).all()
    sums = np.asarray(result.gene_scores.scores.sum(axis=1)).ravel()
    np.testing.assert_array_equal(rows[sums == 0], empty)
    assert len(ts.tags(out).frame)
