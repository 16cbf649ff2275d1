"""Several sections of one file in one picture."""

from __future__ import annotations

import numpy as np
import pytest

from tagscope.core.section import CellOutlines
from tagscope.errors import ArgumentError
from tagscope.io.placement import Placement
from tagscope.io.preflight import check
from tagscope.io.readers import open_section
from tagscope.io.side_by_side import lay_out
from tagscope.io.store import write_results

NAMES = ("left", "right", "third")


@pytest.fixture
def regions(tiny, tmp_path):
    return tiny.store(tmp_path / "x.zarr", regions=NAMES, attrs={"um_per_unit": 1})


@pytest.fixture
def stacked(tiny, tmp_path):
    """An .h5ad of two sections that lie upon each other, rows mixed."""
    table = tiny.table()
    table.obs["section"] = ["B", "A"] * 6
    table.obsm["spatial"] = np.repeat(tiny.centres()[:6], 2, axis=0)
    table.write_h5ad(tmp_path / "x.h5ad")
    return tmp_path / "x.h5ad"


def corners(section, code):
    own = section.xy[section.pieces.codes == code]
    return own.min(axis=0), own.max(axis=0)


def apart(section):
    """Whether no two sections' boxes touch."""
    boxes = [corners(section, code) for code in range(len(section.pieces.names))]
    return all(
        (high < other_low).any() or (other_high < low).any()
        for number, (low, high) in enumerate(boxes)
        for other_low, other_high in boxes[:number]
    )


def test_all_regions_lie_side_by_side(tiny, regions):
    opened = open_section(regions, region="*")
    section = opened.section
    assert (len(section), section.name, section.unit) == (36, "x", "µm")
    assert section.pieces.names == NAMES
    assert section.pieces.codes.tolist() == np.repeat([0, 1, 2], 12).tolist()
    assert apart(section)
    np.testing.assert_allclose(section.own_xy, np.tile(tiny.centres(), (3, 1)))
    assert opened.source.region == "*"
    for cell in (0, 13, 35):
        ring = section.outlines.ring(cell)
        centre = (ring.min(axis=0) + ring.max(axis=0)) / 2
        np.testing.assert_allclose(centre, section.xy[cell], atol=1e-4)
    low, high = section.xy.min(axis=0), section.xy.max(axis=0)
    assert high[1] > 20 > low[1], "three sections take two rows"


def test_a_choice_is_asked_for_with_all_of_its_fixes(regions):
    with pytest.raises(ArgumentError, match=r"3 regions.*Choose one, or lay all side by side"):
        open_section(regions)
    found = check(regions)
    assert not found.ok
    offers = [finding.offer for finding in found.findings if finding.offer]
    assert offers == [{"region": "*"}]
    assert found.findings[0].among == ("*", *NAMES)
    assert check(regions, region="*").ok


def test_the_only_region_is_not_moved(tiny, tmp_path):
    opened = open_section(tiny.store(tmp_path / "x.zarr"), region="*")
    assert opened.section.pieces is None
    assert opened.section.name == "cells"


def test_results_of_all_regions_go_in_place(regions):
    opened = open_section(regions, region="*")

    def mark(table):
        table.obs["mark"] = np.arange(table.n_obs)

    write_results(opened.source, mark, regions)
    assert open_section(regions, region="*").table.obs["mark"].tolist() == list(range(36))
    assert open_section(regions, region="third").table.obs["mark"].tolist() == list(range(24, 36))


def test_an_h5ad_of_all_regions_keeps_their_own_places(tiny, regions, tmp_path):
    opened = open_section(regions, region="*")
    out = write_results(opened.source, lambda table: None, tmp_path / "out.h5ad")
    again = open_section(out, sections="region")
    np.testing.assert_allclose(again.section.own_xy, np.tile(tiny.centres(), (3, 1)))
    assert apart(again.section)


def test_sections_of_a_column_lie_side_by_side(tiny, stacked):
    section = open_section(stacked, sections="section").section
    assert section.pieces.names == ("A", "B")
    assert section.pieces.codes.tolist() == [1, 0] * 6
    assert apart(section)
    np.testing.assert_allclose(section.own_xy, np.repeat(tiny.centres()[:6], 2, axis=0))


def test_overlapping_sections_are_told_with_the_fix(stacked, tiny, tmp_path):
    (finding,) = [f for f in open_section(stacked).notes if f.code == "sections-overlap"]
    assert finding.severity == "warning"
    assert finding.offer == {"sections": "section"}
    assert "--" not in finding.fix
    assert not [f for f in open_section(stacked, sections="section").notes if f.offer]
    table = tiny.table()
    table.obs["section"] = ["A"] * 4 + ["B"] * 4 + ["C"] * 4
    table.write_h5ad(tmp_path / "apart.h5ad")
    assert open_section(tmp_path / "apart.h5ad").notes == ()


@pytest.mark.parametrize(("column", "said"), [("donor", "no column 'donor'")])
def test_a_wrong_column_is_an_argument_error(stacked, column, said):
    with pytest.raises(ArgumentError, match=said):
        open_section(stacked, sections=column)


def test_a_column_of_ids_tells_no_sections(tiny, tmp_path):
    table = tiny.table(cells=300)
    table.obs["barcode"] = table.obs_names.to_numpy()
    table.write_h5ad(tmp_path / "x.h5ad")
    with pytest.raises(ArgumentError, match="300 different values"):
        open_section(tmp_path / "x.h5ad", sections="barcode")


def test_outlines_count_for_the_room_a_section_takes():
    xy = np.zeros((2, 2))
    square = np.array([[-50, -50], [50, -50], [50, 50], [-50, -50]], dtype=np.float32)
    rings = CellOutlines(np.concatenate([square, square]), np.array([0, 4, 8]))
    laid = lay_out(Placement(xy, "µm", 1.0, rings), ["a", "b"], np.array([0, 1]))
    first, second = laid.outlines.ring(0), laid.outlines.ring(1)
    assert second[:, 0].min() - first[:, 0].max() == pytest.approx(10), "a tenth of a side"
    np.testing.assert_allclose(laid.xy, laid.pieces.moves)


def test_a_section_without_positions_does_not_hinder_the_others():
    xy = np.array([[0.0, 0.0], [10.0, 10.0], [np.nan, np.nan]])
    laid = lay_out(Placement(xy, "µm", 1.0), ["a", "b"], np.array([0, 0, 1]))
    np.testing.assert_allclose(laid.xy[:2], xy[:2])
