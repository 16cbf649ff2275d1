"""Real files whose sections share coordinates: told with the fix, and laid apart."""

from __future__ import annotations

import numpy as np
import pytest

from tagscope.io.readers import open_section

FILES = [
    ("annotation/starmap_mpfc_bz5_bz14", "section", 2),
    ("annotation/merfish_hypothalamus_3samples", "sample", 3),
    ("unlabelled/molcart_mouse_cortex_3sections", "section", 3),
]


@pytest.mark.parametrize(("name", "column", "count"), FILES)
def test_sections_are_laid_apart(shared, name, column, count):
    path = shared / "data" / f"{name}.h5ad"
    before = open_section(path)
    (finding,) = [f for f in before.notes if f.code == "sections-overlap"]
    assert finding.offer == {"sections": column}
    section = open_section(path, **finding.offer).section
    assert len(section.pieces.names) == count
    np.testing.assert_allclose(section.own_xy, before.section.xy, atol=1e-6)
    boxes = []
    for code in range(count):
        own = section.xy[section.pieces.codes == code]
        boxes.append((own.min(axis=0), own.max(axis=0)))
    for number, (low, high) in enumerate(boxes):
        for other_low, other_high in boxes[:number]:
            assert (high < other_low).any() or (other_high < low).any()
