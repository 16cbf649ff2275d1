"""Sections of another technology show background, those of the reference's own do not."""

from __future__ import annotations

import numpy as np
import pytest

from tagscope import api
from tagscope.core.section import Cells
from tagscope.training.measurement import Measurement, measurement


def measured(shared, known: str, asked: str, known_where: str | None = None,
             asked_where: str | None = None) -> Measurement | None:  # fmt: skip
    folder = shared / "data" / "annotation"
    reference = _cells(folder / f"{known}.h5ad", known_where)
    section = _cells(folder / f"{asked}.h5ad", asked_where)
    both = np.flatnonzero(reference.panel.columns_in(section.panel) >= 0)
    panel = reference.panel.take(both)
    over = reference.restrict(panel)
    return measurement(over.take(np.flatnonzero(over.totals > 0)), section.restrict(panel))


def _cells(path, where) -> Cells:
    label = "subclass" if path.stem == "scrna_mop" else "cell_type"
    return api.read_reference(path, label, where=where).cells


@pytest.mark.parametrize(
    ("section", "background", "depth"),
    [("osmfish", 0.75, 10), ("seqfishplus_cortex", 0.48, 0.8), ("starmap_by3_v1", 0.28, 0.44)],
)
def test_across_technologies(shared, section, background, depth):
    found = measured(shared, "scrna_mop", section)
    assert found is not None
    assert found.background == pytest.approx(background, abs=0.08)
    assert found.depth == pytest.approx(depth, rel=0.1)
    assert not found.same_kind


@pytest.mark.parametrize(
    ("file", "column", "known", "asked"),
    [
        ("merfish_hypothalamus_3samples", "animal", "7", "1"),
        ("merfish_hypothalamus_3samples", "animal", "1", "7"),
        ("starmap_mpfc_bz5_bz14", "section", "BZ5", "BZ14"),
        ("starmap_mpfc_bz5_bz14", "section", "BZ14", "BZ5"),
        ("cosmx_lung_nsclc", "fov", "fov1", "fov6"),
        ("pbmc_3tech", "batch", "3pv1", "5p"),
        ("pbmc_3tech", "batch", "5p", "3pv2"),
    ],
)
def test_within_a_technology(shared, file, column, known, asked):
    found = measured(shared, file, file, f'{column} == "{known}"', f'{column} == "{asked}"')
    assert found is None or found.background == 0
