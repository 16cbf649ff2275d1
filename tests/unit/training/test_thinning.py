"""Thinned cells are what a shallower experiment would have seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells
from tagscope.training.thinning import thin, thin_to


def cells(total: int = 400, count: int = 2000) -> Cells:
    rng = np.random.default_rng(0)
    values = rng.multinomial(total, np.full(20, 0.05), count).astype(np.float32)
    names = GenePanel(tuple(f"G{i}" for i in range(20)))
    return Cells(sp.csr_matrix(values), names, np.array([f"c{i}" for i in range(count)]))


def test_shares_and_counts() -> None:
    whole = cells()
    before = whole.values.toarray().copy()
    thinned = thin(whole, 0.1, np.random.default_rng(1))
    np.testing.assert_array_equal(whole.values.toarray(), before)  # the reference is untouched
    after = thinned.values.toarray()
    assert (after <= before).all()
    assert (after == np.rint(after)).all()
    share = after.sum(1) / 400
    assert 0.45 < (share == 1).mean() < 0.55
    assert 0.05 < share.min() < 0.12
    log_share = np.log(share[share < 0.99]) / np.log(0.1)
    assert abs(log_share.mean() - 0.5) < 0.05  # uniform on a log scale


def test_shallow_cells_keep_what_they_have() -> None:
    shallow = cells(total=15)
    np.testing.assert_array_equal(
        thin(shallow, 0.01, np.random.default_rng(1)).values.toarray(), shallow.values.toarray()
    )
    deeper = thin(cells(total=100), 0.01, np.random.default_rng(1))
    assert deeper.totals.min() >= 5
    assert abs(deeper.totals[deeper.totals < 30].mean() - 20) < 3


def test_what_holds_no_counts_is_left_alone() -> None:
    normalised = replace(cells(), normalised=True)
    rng = np.random.default_rng(0)
    assert thin(normalised, 0.1, rng) is normalised
    counts = cells()
    assert thin(counts, 1.0, rng) is counts


def test_cells_are_thinned_to_a_known_depth() -> None:
    whole = cells()
    thinned = thin_to(whole, 0.2, np.random.default_rng(1))
    share = thinned.totals / 400
    assert abs(np.median(share) - 0.2) < 0.01
    assert 0.3 < np.log(share).std() < 0.5
    assert thin_to(whole, 1.2, np.random.default_rng(1)) is whole
