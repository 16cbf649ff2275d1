"""Finding domains live, editing and saving them, and what is in them: without a window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from domain_cases import CELLS, written
from napari_tagscope.controllers.boundary import BoundaryController
from napari_tagscope.controllers.comparison import DomainComparison, agreement_text
from napari_tagscope.controllers.composition import CompositionController
from napari_tagscope.controllers.domain_edits import DomainEdits
from napari_tagscope.controllers.domain_legend import PAINTING, DomainLegend
from napari_tagscope.controllers.domain_outlines import DomainOutlines
from napari_tagscope.controllers.domains import DomainsController
from napari_tagscope.controllers.domains_state import CHOOSE_BUNDLE, LEARN, LIVE, READY, hint
from napari_tagscope.controllers.inspector import InspectorController
from napari_tagscope.controllers.legend import PAINTING as TYPES
from napari_tagscope.controllers.legend import LegendController
from napari_tagscope.controllers.markers import STOPPED, MarkersController
from napari_tagscope.controllers.pretraining import (
    NOTHING_KEPT,
    PretrainingController,
    progress_text,
    stage_starts,
    updates_so_far,
)
from napari_tagscope.controllers.section import SectionController
from tagscope import api
from tagscope.core.labels import UNASSIGNED
from tagscope.core.section import SideBySide
from tagscope.models.omnicell.config import OmniCellConfig
from tagscope.training import pretrain_recipe


@pytest.fixture
def halves(tmp_path):
    return api.open_section(written(tmp_path))


@pytest.fixture
def edits(state, runner):
    return DomainEdits(state, runner)


@pytest.fixture
def legend(state, painter, edits):
    return DomainLegend(state, painter, edits)


@pytest.fixture
def domains(state, runner, legend, bundles, halves):
    controller = DomainsController(state, runner, legend, bundles)
    controller.set(n_domains=2, neighbors=6)
    state.set_section(halves)
    return controller


@pytest.fixture
def found(domains, state):
    """Two domains, found."""
    domains.run()
    assert domains.state.failure is None
    return state.domains


def asked(halves, **settings):
    """What the verb finds."""
    return api.delineate_domains(halves, config=api.DomainConfig(**settings))


def test_it_says_what_to_do(domains, state):
    assert hint(domains.state) == READY
    domains.choose_model("omnicell")
    assert hint(domains.state) == CHOOSE_BUNDLE
    assert not domains.state.ready
    state.set_section(None)
    assert "Open a section" in hint(domains.state)


def test_domains_are_those_of_the_verb_and_painted(domains, found, halves, painter, legend):
    expected = asked(halves, n_domains=2, neighbors=6)
    np.testing.assert_array_equal(found.codes, expected.codes)
    np.testing.assert_array_equal(painter.codes[PAINTING], found.codes)
    assert painter.front == PAINTING
    assert [row.count for row in legend.state.rows] == [count for _, count in expected.counts()]
    assert hint(domains.state) == LIVE
    assert domains.state.keys == ("smoothed",)
    assert "2 domains, clustered in" in domains.state.told


@pytest.mark.parametrize(
    ("moved", "same"),
    [
        ({"n_domains": 4}, {"n_domains": 4, "neighbors": 6}),
        ({"neighbors": 12}, {"n_domains": 2, "neighbors": 12}),
        ({"way": "kmeans"}, {"n_domains": 2, "neighbors": 6, "cluster": "kmeans"}),
        ({"refine": True}, {"n_domains": 2, "neighbors": 6, "refine": True}),
        (
            {"way": "leiden", "resolution": 0.5},
            {"neighbors": 6, "cluster": "leiden", "resolution": 0.5},
        ),
        (
            {"way": "leiden by number", "n_domains": 3},
            {"n_domains": 3, "neighbors": 6, "cluster": "leiden"},
        ),
    ],
)
def test_settings_move_live_and_nothing_is_read_again(
    domains, found, state, halves, runner, moved, same
):
    runner.titles.clear()
    domains.set(**moved)
    assert "Reading cells" not in runner.titles
    np.testing.assert_array_equal(state.domains.codes, asked(halves, **same).codes)


def test_a_move_takes_the_place_of_a_clustering_that_runs(domains, found, runner, state):
    runner.held = True
    for count in (3, 4, 5):
        domains.set(n_domains=count)
    assert len([task for task in runner.waiting if task.topic == "cluster domains"]) == 1
    assert domains.state.clustering
    runner.run()
    assert len(state.domains.domains) == 5
    assert not domains.state.clustering


def test_the_best_so_far_is_painted_and_a_cancel_brings_back_what_was(
    domains, found, painter, runner, state
):
    painter.calls.clear()
    runner.cancel_at = 4
    domains.set(n_domains=6)
    painted = [call for call in painter.calls if call[0] == "paint_categories"]
    assert len(painted) > 2  # the best of some starts, and the domains before
    assert state.domains is found
    np.testing.assert_array_equal(painter.codes[PAINTING], found.codes)
    assert not domains.state.clustering


def test_cancelled_features_leave_it_as_it_was(domains, runner, state):
    runner.cancel_at = 1
    domains.run()
    assert state.domains is None
    assert domains.state.ready
    assert not domains.state.live


def test_what_cannot_be_clustered_is_told(domains, found):
    domains.set(n_domains=CELLS)
    assert "domains were asked for" in domains.state.failure.error.found


def test_more_domains_keep_the_colours_of_those_before(domains, found, state):
    before = dict(zip(found.domains.names, found.domains.colors, strict=True))
    domains.set(n_domains=3)
    now = state.domains.domains
    kept = set(before.values()) & set(now.colors)
    assert len(kept) == 2
    assert len(set(now.colors)) == 3


def test_a_domain_is_selected_everywhere(found, state, legend, painter):
    legend.isolate("Domain 2")
    assert state.domain == "Domain 2"
    assert painter.isolated[PAINTING] == 1
    state.select_domain("Domain 1")
    assert [row.name for row in legend.state.rows if row.isolated] == ["Domain 1"]
    legend.set_shown(1, False)
    assert painter.hidden[PAINTING] == {1}


def test_merged_and_renamed_domains_are_kept_and_undone(domains, state, edits, legend):
    domains.set(n_domains=3)
    domains.run()
    found = state.domains
    edits.merge(("Domain 1", "Domain 3"))
    assert len(state.domains.domains) == 2
    assert state.domain == "Domain 1"
    legend.rename("Domain 1", "Rim")
    assert state.domain == "Rim"
    assert edits.state.undoes == "Rename"
    legend.set_color("Rim", "#123456")
    assert state.domains.domains.colors[0] == "#123456"
    for _ in range(3):
        edits.undo()
    assert state.domains is found
    assert edits.state.undoes == ""


def test_refused_names_change_nothing(found, edits, state):
    edits.rename("Domain 1", "Domain 2")
    assert "called 'Domain 2' already" in edits.state.failure.error.found
    assert state.domains is found
    edits.set_key("a/b")
    assert "cannot name a column" in edits.state.failure.error.found


def test_edited_domains_that_were_found_anew_can_be_had_back(domains, found, edits, state):
    edits.rename("Domain 1", "Rim")
    edited = state.domains
    domains.set(n_domains=3)
    assert edits.state.undoes == "Find anew"
    edits.undo()
    assert state.domains is edited


def test_saved_domains_are_there_when_the_file_is_opened_again(
    domains, found, edits, state, runner, painter, halves
):
    edits.rename("Domain 1", "Rim")
    edits.set_key("mine")
    assert edits.state.replaces == ""
    edits.save()
    assert edits.state.failure is None
    assert edits.state.saved == halves.source.path
    assert edits.state.replaces == "mine_domain"
    section = SectionController(state, runner, painter)
    section.open(halves.source.path)
    assert state.opened is not halves
    assert state.domains.key == "mine"
    assert state.domains.domains.names[0] == "Rim"
    assert domains.state.keys == ("mine",)
    assert painter.front == PAINTING
    assert edits.state.replaces == "mine_domain"
    assert state.domains.provenance.extra["edits"][0]["renamed"] == "Domain 1"


def test_types_are_painted_over_domains_that_are_stored(
    section, state, painter, opened, result, legend, runner
):
    types = LegendController(state, painter)
    table = opened.table
    found = api.delineate_domains(opened, config=api.DomainConfig(n_domains=2, neighbors=3))
    result.write_to(table)
    found.write_to(table)
    table.write_h5ad(opened.source.path)
    section.open(opened.source.path)
    assert state.domains.domains == found.domains
    assert types.state.key == "cellmemory"
    assert painter.front == TYPES
    legend.show_again()
    assert painter.front == PAINTING


def test_a_section_that_is_left_keeps_features_domains_and_undo(
    domains, found, edits, state, halves, opened, runner
):
    edits.rename("Domain 1", "Rim")
    edited = state.domains
    state.set_section(opened)
    assert (domains.state.live, domains.state.keys, edits.state.names) == (False, (), ())
    state.set_section(halves)
    assert domains.state.live
    domains.show_key("smoothed")
    assert state.domains is edited
    assert edits.state.undoes == "Rename"
    runner.titles.clear()
    domains.set(n_domains=4)
    assert "Reading cells" not in runner.titles


def test_outlines_are_lines_between_domains(found, state, runner, painter, halves):
    outlines = DomainOutlines(state, runner, painter)
    outlines.show(True)
    assert painter.lines.shape[1:] == (2, 2)
    middle = np.abs(painter.lines[..., 0] - 80).max(axis=1) < 8
    assert middle.sum() > 8  # of the border
    low, high = painter.lines.reshape(-1, 2).min(axis=0), painter.lines.reshape(-1, 2).max(axis=0)
    assert (low < halves.section.xy.min(axis=0)).all()
    assert (high > halves.section.xy.max(axis=0)).all()
    drawn = painter.lines
    state.set_domains(api.rename_domain(found, "Domain 1", "Rim"))
    assert painter.lines is drawn
    outlines.show(False)
    assert painter.lines is None


def test_composition_is_that_of_the_flows(found, state, runner, halves):
    shown = CompositionController(state, runner)
    state.set_domains(api.rename_domain(found, "Domain 1", "First"))
    assert shown.state.columns == ("cell_type", "region")
    assert shown.state.column == "cell_type"
    made = shown.state.composition
    types = halves.table.obs["cell_type"].to_numpy()
    for row, name in enumerate(made.domains):
        own = state.domains.names() == name
        counts = [int((types[own] == one).sum()) for one in made.types]
        assert list(made.counts[row]) == counts
    assert made.types[0] == "C"
    assert made.colors[0] == "#333333"
    assert made.text(0, 0).startswith("First: ")


def test_the_annotation_on_view_is_counted_unless_a_column_was_chosen(
    state, runner, opened, result, legend
):
    shown = CompositionController(state, runner)
    state.set_section(opened)
    config = api.DomainConfig(n_domains=2, neighbors=3)
    state.set_domains(api.delineate_domains(opened, config=config))
    assert shown.state.column == "cell_type"
    state.set_result(result)
    assert shown.state.column == "cellmemory (on view)"
    assert set(shown.state.composition.types) == set(result.annotation.labels.names)
    shown.choose_column("batch")
    state.set_result(None)
    state.set_result(result)
    assert shown.state.column == "batch"


def test_a_part_of_a_bar_selects_its_cells_and_a_name_its_domain(found, state, runner, halves):
    shown = CompositionController(state, runner)
    state.set_domains(api.rename_domain(found, "Domain 1", "First"))
    shown.choose(1, 0)
    own = state.domains.names() == "Domain 2"
    expected = np.flatnonzero(own & (halves.table.obs["cell_type"] == "C").to_numpy())
    np.testing.assert_array_equal(state.rows, expected)
    shown.choose(1, 0)
    assert len(state.rows) == 0
    shown.choose_domain(1)
    assert (state.domain, shown.state.domain) == ("Domain 2", "Domain 2")
    shown.choose_domain(1)
    assert state.domain is None


def test_cells_without_a_region_are_unassigned(found, state, runner, halves):
    shown = CompositionController(state, runner)
    state.set_domains(api.rename_domain(found, "Domain 1", "First"))
    shown.choose_column("region")
    assert shown.state.failure is None
    made = shown.state.composition
    assert set(made.types) == {"west", "east", UNASSIGNED}
    assert sum(map(sum, made.counts)) == CELLS
    shown.choose(0, made.types.index(UNASSIGNED))
    assert (halves.table.obs["region"].iloc[state.rows] == "NA").all()
    assert len(state.rows) == made.counts[0][made.types.index(UNASSIGNED)]
    assert shown.as_text().splitlines()[0].startswith("domain\t")


def test_markers_are_those_of_the_verb_once_somebody_looks(found, state, runner, halves):
    painted = []
    markers = MarkersController(state, runner, painted.append)
    state.set_domains(api.rename_domain(found, "Domain 1", "First"))
    assert markers.state.rows == ()
    markers.look(True)
    expected = api.domain_markers(halves.section, state.domains)
    assert [row.gene for row in markers.state.rows[:6]] == list(expected.of("First", 6)["gene"])
    assert all(row.auc > 0.5 for row in markers.state.rows)
    markers.choose_domain("Domain 2")
    assert state.domain == "Domain 2"
    assert markers.state.rows[0].gene == expected.of("Domain 2", 1)["gene"].iloc[0]
    markers.choose_gene("G3")
    assert painted == ["G3"]
    assert markers.as_text().splitlines()[1].split("\t")[0] == markers.state.rows[0].gene


def test_markers_that_were_cancelled_are_compared_when_asked_again(found, state, runner):
    markers = MarkersController(state, runner, lambda _: None)
    state.set_domains(api.rename_domain(found, "Domain 1", "First"))
    runner.cancel_at = 1
    markers.look(True)
    assert markers.state.hint == STOPPED
    runner.cancel_at = None
    markers.choose_domain("Domain 2")
    assert markers.state.rows


def test_a_boundary_is_proposed_and_its_numbers_are_the_verbs(found, state, runner, halves):
    painted = []
    boundary = BoundaryController(state, runner, painted.append)
    state.set_domains(api.rename_domain(found, "Domain 1", "First"))
    boundary.set_within(40.0)
    boundary.look(True)
    assert (boundary.state.first, boundary.state.second) == ("First", "Domain 2")
    expected = api.boundary_between(
        halves.section, state.domains, "First", "Domain 2", api.BoundaryConfig(within=40.0)
    )
    first = expected.frame.iloc[0]
    assert boundary.state.rows[0].gene == first["gene"]
    assert boundary.state.rows[0].auc == first["auc"]
    boundary.choose_gene("G2")
    curve = boundary.state.curve
    bands = expected.frame[expected.frame["gene"] == "G2"]
    assert curve.distance == (-35.0, -25.0, -15.0, -5.0, 5.0, 15.0, 25.0, 35.0)
    np.testing.assert_allclose(
        curve.mean[3:5], [bands["mean_first"].iloc[0], bands["mean_second"].iloc[0]]
    )
    assert painted == ["G2"]
    boundary.select_near()
    assert len(state.rows) == boundary.state.near == (np.abs(expected.distance) <= 40).sum()
    assert boundary.as_text().splitlines()[0].split("\t")[0] == "gene"


def test_the_inspector_tells_the_domain_of_a_cell(found, state, runner, painter):
    inspector, opened = InspectorController(state, runner, painter), state.opened
    state.set_section(None)
    state.set_section(opened)
    state.set_domains(api.rename_domain(found, "Domain 1", "Rim"))
    state.select_cell(int(np.flatnonzero(state.domains.codes == 0)[0]))
    assert inspector.state.domain == "Rim"
    state.set_domains(found)
    assert inspector.state.domain == "Domain 1"


def test_domains_that_do_not_adjoin_are_told_so(found, state, runner):
    boundary = BoundaryController(state, runner, lambda _: None)
    state.set_domains(api.rename_domain(found, "Domain 1", "First"))
    boundary.set_within(1.0)
    boundary.choose("First", "Domain 2")
    assert "No cells of First and Domain 2 are within 1" in boundary.state.failure.error.found
    boundary.choose("First", "First")
    assert not boundary.state.ready


def test_domains_beside_regions_leave_out_what_nobody_knows(found, state, runner, halves):
    comparison = DomainComparison(state, runner)
    state.set_domains(api.rename_domain(found, "Domain 1", "First"))
    comparison.choose_column("region")
    agreement = comparison.state.agreement
    expected = api.evaluate_labels(state.domains.names(), halves.table.obs["region"])
    assert (agreement.ari, agreement.nmi, agreement.missing) == (
        expected.ari, expected.nmi, expected.n_missing,
    )  # fmt: skip
    assert agreement.missing == (halves.table.obs["region"] == "NA").sum()
    text = agreement_text(comparison.state)
    assert text.startswith("ARI ")
    assert "without a label left out" in text
    assert set(comparison.state.confusion.prediction) == {"First", "Domain 2"}
    comparison.choose(0, 0)
    assert len(state.rows) > 0


@pytest.fixture
def tiny(monkeypatch):
    """A network that learns in seconds, and badly."""
    network = OmniCellConfig(width=16, ffn=24, layers=1, heads=2, rotary_width=8, dropout=0.0)
    monkeypatch.setitem(pretrain_recipe._SMALL, "network", network)
    monkeypatch.setitem(pretrain_recipe._SMALL, "updates", 8)


@pytest.fixture
def pretraining(state, runner, domains, bundles):
    return PretrainingController(state, runner, domains, bundles)


def test_a_small_model_is_trained_on_the_section_and_chosen(
    pretraining, domains, state, halves, tiny, tmp_path, bundles, annotate
):
    state.set_section(None)
    state.set_section(halves)
    assert pretraining.state.suggested.name == "halves-omnicell"
    pretraining.train(tmp_path / "kept" / "small")
    assert pretraining.state.failure is None
    history = pretraining.state.history
    assert [record.stage for record in history] == sorted(record.stage for record in history)
    assert stage_starts(history) == (sum(record.stage == "cells" for record in history),)
    total = updates_so_far(history)[-1]
    assert pretraining.state.done == pretraining.state.updates == total == 2 * history[-1].update
    assert f"update {total} of {total}, with neighbours" in progress_text(pretraining.state)
    assert "Kept as" in progress_text(pretraining.state)
    assert domains.state.bundle.path == tmp_path / "kept" / "small"
    assert domains.state.known == (tmp_path / "kept" / "small",)
    assert bundles.able_to("annotate") == ()
    domains.run()
    assert domains.state.failure is None
    assert state.domains.key == "omnicell"
    expected = api.delineate_domains(
        halves, "omnicell", domains.state.bundle, api.DomainConfig(n_domains=2, neighbors=6)
    )
    np.testing.assert_array_equal(state.domains.codes, expected.codes)
    domains.choose_model("smoothed")
    assert not domains.state.live
    domains.run()
    assert domains.state.keys == ("smoothed", "omnicell")
    domains.show_key("omnicell")
    assert domains.state.key == "omnicell"


def test_stopping_keeps_the_best_so_far(
    pretraining, domains, state, halves, tiny, tmp_path, runner
):
    state.set_section(None)
    state.set_section(halves)
    runner.cancel_at = 1
    pretraining.train(tmp_path / "first")
    assert progress_text(pretraining.state) == NOTHING_KEPT
    domains.choose_model("smoothed")
    runner.cancel_at = 11  # some updates after the cells held out were looked at
    pretraining.train(tmp_path / "second")
    assert "the best so far is kept" in pretraining.state.notice
    runner.cancel_at = None
    domains.choose(tmp_path / "second")
    assert domains.state.bundle is not None
    assert "cells alone" in progress_text(replace(pretraining.state, notice=""))


def test_a_place_that_is_taken_is_refused(pretraining, state, halves, tmp_path, tiny):
    state.set_section(None)
    state.set_section(halves)
    (tmp_path / "there").mkdir()
    pretraining.train(tmp_path / "there")
    assert pretraining.state.failure is not None
    assert not pretraining.state.running


def test_a_bundle_of_another_model_is_refused(domains, bundle):
    domains.choose(bundle.path)
    assert "model of kind 'cellmemory'" in domains.state.failure.error.found
    assert domains.state.chosen is None


def test_outlines_of_sections_side_by_side_lie_where_their_cells_are_drawn(
    state, runner, painter, halves
):
    section = halves.section
    pieces = SideBySide(
        ("one", "two"), np.arange(CELLS) % 2, np.array([[0.0, 0.0], [1000.0, 500.0]])
    )
    moved = replace(section, xy=section.xy + pieces.moves, pieces=pieces)
    outlines = DomainOutlines(state, runner, painter)
    opened = replace(halves, section=moved)
    state.set_section(opened)
    state.set_domains(api.delineate_domains(moved, config=api.DomainConfig(n_domains=2)))
    assert outlines.state.failure is None
    corners = painter.lines.reshape(-1, 2)
    second = corners[:, 0] > 500
    for own, cells in ((corners[~second], moved.xy[::2]), (corners[second], moved.xy[1::2])):
        assert (own.min(axis=0) < cells.min(axis=0)).all()
        assert (own.max(axis=0) > cells.max(axis=0)).all()
        assert (own.max(axis=0) < cells.max(axis=0) + 30).all()


def test_a_stagate_learns_from_the_section_and_says_how_far_it_is(
    domains, runner, state, halves, monkeypatch
):
    told = []
    domains.choose_model("stagate")
    assert domains.state.ready
    assert hint(domains.state) == LEARN
    domains.set_learning(epochs=8, nearest=4)
    domains.changed.connect(lambda now: told.append(hint(now)) if now.learned else None)
    domains.run()
    assert domains.state.failure is None
    assert "Learning: update 6 of 8 · loss " in " ".join(told)
    assert any(text.endswith("left") for text in told)
    config = api.StagateConfig(epochs=8, nearest=4)
    features = api.domain_features(halves, "stagate", stagate=config)
    same = api.DomainConfig(n_domains=2, neighbors=6)
    expected = api.delineate_domains(halves, config=same, embedding=features)
    np.testing.assert_array_equal(state.domains.codes, expected.codes)
    assert domains.state.keys == ("stagate",)
    assert (domains.state.live, domains.state.learned) == (True, None)


def test_other_settings_of_learning_are_other_features(domains, runner, state):
    domains.choose_model("stagate")
    domains.set_learning(epochs=4)
    domains.run()
    runner.titles.clear()
    domains.set_learning(graph="delaunay")
    assert not domains.state.live
    assert runner.titles == []
    domains.run()
    assert runner.titles == ["Learning from the section", "Clustering domains"]
    runner.titles.clear()
    domains.set_learning(graph="nearest")
    assert domains.state.live
    domains.set(n_domains=3)
    assert "Learning from the section" not in runner.titles


def test_a_radius_is_proposed_that_suits_the_section(domains, state, halves, opened):
    domains.choose_model("stagate")
    assert domains.state.learning.radius is None
    domains.set_learning(graph="radius", epochs=2)
    radius = domains.state.learning.radius
    xy = halves.section.xy
    near = (np.linalg.norm(xy[:, None] - xy[None], axis=2) < radius).sum(axis=1) - 1
    assert 2 < near.mean() < 12
    domains.run()
    assert domains.state.failure is None
    domains.set_learning(radius=12.5)
    state.set_section(opened)
    assert domains.state.learning.radius not in (None, 12.5, radius)
    state.set_section(halves)
    assert domains.state.learning.radius == 12.5


def test_a_cancelled_learning_leaves_it_as_it_was(domains, runner, state):
    domains.choose_model("stagate")
    runner.cancel_at = 6
    domains.run()
    assert state.domains is None
    assert domains.state.ready
    assert domains.state.learned is None


def test_a_union_may_start_from_a_bundle(domains, bundles, state, halves, tmp_path):
    quick = api.PretrainConfig(epochs=1)
    patches = api.pretrain(halves.section, "cellpatch", out=tmp_path / "patches", config=quick)
    bundles.remember(patches.path)
    domains.choose_model("cellpatch-stagate")
    assert domains.state.known == (patches.path,)
    assert domains.state.ready
    domains.set_learning(epochs=2)
    domains.run()
    assert domains.state.failure is None
    assert domains.state.key == "cellpatch-stagate"
    domains.choose(patches.path)
    assert domains.state.bundle.digest == patches.digest
    assert not domains.state.live
    domains.run()
    assert domains.state.failure is None
    assert state.domains.provenance.inputs["bundle_digest"] == patches.digest
    domains.choose_model("omnicell")
    assert (domains.state.bundle, domains.state.known) == (None, ())
    domains.choose_model("cellpatch-stagate")
    assert domains.state.bundle is not None
    domains.start_anew()
    assert (domains.state.bundle, domains.state.live) == (None, True)
