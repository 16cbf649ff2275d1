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
from tagscope.deconvolution.spots import spots_of
from tagscope.errors import ArgumentError


@pytest.fixture(scope="module")
def osmfish(shared) -> tuple[Reference, ts.OpenedSection]:
    file = shared / "data" / "annotation" / "osmfish.h5ad"
    return ts.read_reference(file, "cell_class"), ts.open_section(file)


def test_least_squares_is_better_than_the_mean(osmfish):
    reference, opened = osmfish
    codes = reference.codes
    assert len(codes) == len(opened.section)
    half = opened.section.xy[:, 0] < np.median(opened.section.xy[:, 0])
    known = Reference(reference.cells.take(np.flatnonzero(half)), reference.labels, codes[half])
    spots = spots_of(opened.section, np.where(half, -1, codes), len(reference.labels), 100.0)
    assert len(spots.section) > 100
    config = ts.DeconvolveConfig(method="nnls", key="nnls")
    found = ts.deconvolve(spots.section, known, config=config)
    errors = errors_of(found.values, spots.proportions)
    mean = np.bincount(known.codes, minlength=len(known.labels)) / len(known)
    flat = errors_of(np.tile(mean, (len(spots.section), 1)), spots.proportions)
    assert errors["rmse"] < 0.75 * flat["rmse"]
    assert errors["pearson"] > 0.5
    with pytest.raises(ArgumentError, match="No model was given"):
        ts.deconvolve(spots.section, known, config=replace(config, method="embedding"))


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
