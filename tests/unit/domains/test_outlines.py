from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import shapely

from tagscope.core.labels import LabelSet
from tagscope.core.provenance import Provenance
from tagscope.core.results import DomainMap
from tagscope.core.section import SideBySide
from tagscope.domains.outlines import cell_areas, domain_outlines


@pytest.fixture(scope="module")
def found(section, truth):
    present, codes = np.unique(truth, return_inverse=True)
    names = tuple(f"Domain {number + 1}" for number in range(len(present)))
    return DomainMap("true", section.ids, LabelSet(names), codes, Provenance("domains", {}))


def test_every_cell_lies_in_the_outline_of_its_domain(section, found):
    outlines = domain_outlines(section, found)
    assert outlines["domain"].tolist() == list(found.domains.names)
    assert outlines["cells"].tolist() == [count for _, count in found.counts()]
    points = shapely.points(section.xy)
    own = outlines.geometry.to_numpy()[found.codes]
    assert shapely.covers(shapely.buffer(own, 1e-6), points).all()


def test_outlines_adjoin_and_do_not_overlap(section, found):
    shapes = domain_outlines(section, found).geometry.to_numpy()
    assert shapely.is_valid(shapes).all()
    together = shapely.union_all(shapes)
    assert together.area == pytest.approx(shapely.area(shapes).sum(), rel=1e-6)
    hull = shapely.convex_hull(shapely.multipoints(section.xy))
    assert 0.5 * hull.area < together.area < 1.3 * hull.area


def test_sections_side_by_side_have_outlines_of_their_own(section, found):
    half = (section.xy[:, 0] > np.median(section.xy[:, 0])).astype(np.int64)
    pieces = SideBySide(("left", "right"), half, np.array([[0, 0], [5000.0, 0]]))
    apart = replace(section, xy=section.xy + pieces.moves, pieces=pieces)
    outlines = domain_outlines(apart, found)
    assert set(outlines["section"]) == {"left", "right"}
    assert outlines.index.is_unique
    assert outlines["cells"].sum() == len(section)
    reach = shapely.total_bounds(outlines.geometry.to_numpy())
    assert reach[2] < section.xy[:, 0].max() + 200, "in each section's own coordinates"


def test_a_lattice_has_no_gaps_and_a_hole_stays_one():
    x, y = np.meshgrid(np.arange(20) * 10.0, np.arange(20) * 10.0)
    points = np.column_stack([x.ravel(), y.ravel()])
    points = points[np.hypot(*(points - 95).T) > 40]
    areas, whole = cell_areas(points)
    tissue = shapely.union_all(areas)
    assert whole.mean() > 0.5
    assert tissue.geom_type == "Polygon"
    assert len(tissue.interiors) == 1
    assert not shapely.covers(tissue, shapely.Point(95, 95))


@pytest.mark.parametrize("points", [[[5, 5]], [[0, 0], [10, 0]], [[0, 0], [10, 0], [20, 0]]])
def test_few_cells_have_areas_too(points):
    areas, _ = cell_areas(np.array(points, dtype=float))
    assert (shapely.area(areas) > 0).all()
    assert shapely.covers(areas, shapely.points(points)).all()


def test_cells_at_one_place_share_its_area():
    areas, _ = cell_areas(np.array([[0.0, 0], [0, 0], [10, 0], [10, 10], [0, 10]]))
    assert (shapely.area(areas) > 0).tolist() == [True, False, True, True, True]
