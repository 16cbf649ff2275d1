from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.metrics import roc_auc_score

from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.core.provenance import Provenance
from tagscope.core.results import DomainMap
from tagscope.core.section import Cells, Section, SideBySide
from tagscope.domains.boundary import BoundaryConfig, adjoining_domains, boundary_between
from tagscope.errors import ArgumentError, InputError

GENES = ("step", "flat", "ramp")


@pytest.fixture(scope="module")
def strip():
    """Left of x = 200 one domain, right of it another, a third far away; y does not matter."""
    rng = np.random.default_rng(2)
    xy = np.column_stack([rng.uniform(0, 400, 3000), rng.uniform(0, 300, 3000)])
    xy[:50, 0] += 5000
    codes = np.where(xy[:, 0] > 1000, 2, (xy[:, 0] > 200).astype(int))
    means = np.column_stack(
        [np.where(codes == 1, 8.0, 2.0), np.full(3000, 5.0), 2 + np.clip(xy[:, 0], 0, 400) / 50]
    )
    counts = sp.csr_matrix(rng.poisson(means), dtype=np.float32)
    ids = np.array([f"c{i}" for i in range(3000)])
    cells = Cells(counts, GenePanel(GENES), ids, normalised=True)
    names = LabelSet(("left", "right", "away"))
    return Section(cells, xy), DomainMap("d", ids, names, codes, Provenance("domains", {}))


def test_distance_grows_away_from_the_boundary(strip):
    section, found = strip
    distance = boundary_between(section, found, "left", "right").distance
    assert (distance[found.codes == 0] < 0).all()
    assert (distance[found.codes == 1] > 0).all()
    assert np.isnan(distance[found.codes == 2]).all()
    near = np.abs(section.xy[:, 0] - 200)
    kept = found.codes < 2
    assert np.quantile(np.abs(np.abs(distance[kept]) - near[kept]), 0.95) < 25


def test_what_changes_at_once_and_what_slowly(strip):
    frame = boundary_between(*strip, "left", "right", BoundaryConfig(100, 4)).frame
    assert frame["gene"].iloc[0] == "step"
    by_gene = {gene: rows.sort_values("nearest") for gene, rows in frame.groupby("gene")}
    assert by_gene["step"]["auc"].min() > 0.9
    assert np.abs(by_gene["flat"]["auc"] - 0.5).max() < 0.1
    assert by_gene["ramp"]["auc"].is_monotonic_increasing
    assert (
        by_gene["ramp"]["log2_fold_change"].iloc[0] < by_gene["ramp"]["log2_fold_change"].iloc[-1]
    )


def test_numbers_are_those_of_the_cells_in_a_band(strip):
    section, found = strip
    result = boundary_between(section, found, "right", "left", BoundaryConfig(50, 1))
    row = result.frame.set_index("gene").loc["ramp"]
    near = np.abs(result.distance) <= 50
    values = section.cells.values[:, 2].toarray().ravel()
    of_left = found.codes[near] == 0
    assert row["auc"] == pytest.approx(roc_auc_score(of_left, values[near]))
    assert row["cells_second"] == of_left.sum()
    assert row["mean_first"] == pytest.approx(values[near][~of_left].mean(), rel=1e-5)


def test_domains_with_a_gap_between_them(strip):
    section, found = strip
    kept = np.abs(section.xy[:, 0] - 200) > 40
    rows = np.flatnonzero(kept)
    apart = Section(section.cells.take(rows), section.xy[rows])
    map_ = replace(found, ids=found.ids[rows], codes=found.codes[rows])
    result = boundary_between(apart, map_, "left", "right", BoundaryConfig(160, 2))
    assert result.frame[result.frame["nearest"] == 0]["auc"].isna().all()
    assert result.frame["gene"].iloc[0] == "step"
    assert "step: log2 change" in result.to_text()


def test_cells_of_other_sections_are_no_neighbours(strip):
    section, found = strip
    pieces = SideBySide(("a", "b"), found.codes % 2, np.zeros((2, 2)))
    apart = Section(section.cells, section.xy, pieces=pieces)
    with pytest.raises(InputError, match="No cells of left and right are within"):
        boundary_between(apart, found, "left", "right")


def test_what_cannot_be_asked(strip):
    with pytest.raises(ArgumentError, match="The domains are left, right, away"):
        boundary_between(*strip, "left", "middle")
    with pytest.raises(ArgumentError, match="named twice"):
        boundary_between(*strip, "left", "left")
    with pytest.raises(InputError, match="within 100 µm"):
        boundary_between(*strip, "left", "away")
    with pytest.raises(ArgumentError, match="0 bands"):
        BoundaryConfig(bands=0)


def test_a_table_on_disk(strip, tmp_path):
    result = boundary_between(*strip, "left", "right")
    path = result.write_csv(tmp_path / "boundary.csv")
    assert pd.read_csv(path)["gene"].tolist() == result.frame["gene"].tolist()
    assert "step: log2 change" in result.to_text()


def test_domains_that_adjoin_share_a_border(strip):
    borders = adjoining_domains(*strip)
    np.testing.assert_array_equal(borders, borders.T)
    assert borders[0, 1] > 50  # pairs across 300 µm
    assert borders[2].sum() == borders[0, 0] == 0
