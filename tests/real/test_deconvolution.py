"""Spots made of the cells of a real section: what they are made of is known."""

from __future__ import annotations

from dataclasses import replace

import anndata as ad
import numpy as np
import pytest

import tagscope as ts
from tagscope.cli.main import main
from tagscope.core.section import Reference
from tagscope.deconvolution.result import errors_of
from tagscope.deconvolution.spots import Spots, spots_of
from tagscope.errors import ArgumentError, InputError


@pytest.fixture(scope="module")
def osmfish(shared) -> tuple[Reference, ts.OpenedSection]:
    file = shared / "data" / "annotation" / "osmfish.h5ad"
    return ts.read_reference(file, "cell_class"), ts.open_section(file)


@pytest.fixture(scope="module")
def halves(osmfish) -> tuple[Reference, Spots, float]:
    """The left half, spots of the right one, and the RMSE of the left one's mean composition."""
    reference, opened = osmfish
    codes = reference.codes
    assert len(codes) == len(opened.section)
    half = opened.section.xy[:, 0] < np.median(opened.section.xy[:, 0])
    known = Reference(reference.cells.take(np.flatnonzero(half)), reference.labels, codes[half])
    spots = spots_of(opened.section, np.where(half, -1, codes), len(reference.labels), 100.0)
    assert len(spots.section) > 100
    mean = np.bincount(known.codes, minlength=len(known.labels)) / len(known)
    flat = errors_of(np.tile(mean, (len(spots.section), 1)), spots.proportions)
    return known, spots, flat["rmse"]


def test_least_squares_is_better_than_the_mean(halves):
    known, spots, flat = halves
    config = ts.DeconvolveConfig(method="nnls", key="nnls")
    found = ts.deconvolve(spots.section, known, config=config)
    errors = errors_of(found.values, spots.proportions)
    assert errors["rmse"] < 0.75 * flat
    assert errors["pearson"] > 0.5
    with pytest.raises(ArgumentError, match="No model was given"):
        ts.deconvolve(spots.section, known, config=replace(config, method="embedding"))


@pytest.mark.slow
def test_so_is_a_model_that_learned_from_the_cells(halves, osmfish, tmp_path):
    known, spots, flat = halves
    learning = ts.PretrainConfig(stage="cells", epochs=1, device="cpu")
    bundle = ts.pretrain(osmfish[1].section, out=tmp_path / "model", config=learning)
    config = ts.DeconvolveConfig(mixtures=300, parts=4, device="cpu")
    found = ts.deconvolve(spots.section, known, bundle=bundle, config=config)
    assert errors_of(found.values, spots.proportions)["rmse"] < 0.85 * flat
    again = ts.deconvolve(spots.section, known, bundle=bundle, config=config)
    np.testing.assert_array_equal(found.values, again.values)
    mapped = replace(config, method="mapping", steps=10)
    shares = ts.deconvolve(spots.section, known, bundle=bundle, config=mapped).values
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    logged = replace(known, cells=replace(known.cells, normalised=True))
    with pytest.raises(InputError, match="counts alone allow"):
        ts.deconvolve(spots.section, logged, bundle=bundle, config=config)


def test_the_command(shared, tmp_path, capsys):
    file = shared / "data" / "annotation" / "osmfish.h5ad"
    out = tmp_path / "out.h5ad"
    words = ["deconvolve", str(file), "--reference", str(file), "--label", "cell_class",
             "--method", "nnls", "--key", "nnls", "--out", str(out)]  # fmt: skip
    assert main(words) == 0
    assert "Excitatory" in capsys.readouterr().out
    table = ad.read_h5ad(out)
    shares = table.obsm["nnls_proportions"]
    assert shares.shape == (table.n_obs, 7)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
