"""Opening sections: the card, fixes, and results that a store already carries."""

from __future__ import annotations

import anndata as ad
import numpy as np

from tagscope import api


def test_opening_shows_a_card_and_paints_at_once(section, state, painter, section_file):
    section.open(section_file)
    card = dict(section.state.card.rows)
    assert (card["Cells"], card["Genes"]) == ("30", "6")
    assert card["Values"] == "raw counts in X"
    assert card["Shapes"] == "centroids only"
    assert section.state.card.path == str(section_file)
    assert state.opened is not None
    np.testing.assert_allclose(painter.values["totals"], state.opened.section.cells.totals)
    assert section.state.opening == ""


def test_places_are_shown_before_the_section(section, state, painter, section_file):
    section.open(section_file)
    (preview,) = painter.previews
    assert len(preview.panel) == 0
    np.testing.assert_array_equal(preview.xy, state.opened.section.xy)
    assert [id(section) for section in painter.prepared] == [id(preview), id(state.opened.section)]


def test_places_of_what_cannot_be_opened_are_taken_away(section, painter, section_file, runner):
    section.open(section_file, layer="missing")
    assert painter.previews[-1] is None
    runner.held = True
    section.open(section_file)
    section.cancel()
    assert painter.previews[-1] is None


def test_an_open_section_is_not_covered_by_places(section, painter, section_file):
    section.open(section_file)
    section.open(section_file)
    assert len(painter.previews) == 1


def test_how_cells_are_drawn_is_chosen_here(section, painter, section_file):
    section.open(section_file)
    assert section.state.shapeless
    section.choose_look("both")
    section.choose_shape("areas")
    assert painter.calls[-2:] == [("set_look", "both"), ("set_shape", "areas")]
    assert (section.state.look, section.state.shape) == ("both", "areas")


def test_a_file_that_is_no_section_is_explained_and_changes_nothing(
    section, state, section_file, tmp_path
):
    section.open(section_file)
    before = state.opened
    wrong = tmp_path / "wrong.h5ad"
    wrong.write_text("not HDF5")
    section.open(wrong)
    error = section.state.failure.error
    assert "wrong.h5ad" in error.found
    assert error.fix
    assert state.opened is before


def test_a_fix_can_be_applied_with_one_click(section, state, section_file, tmp_path):
    table = ad.read_h5ad(section_file)
    table.layers["counts"] = table.X.copy()
    table.X = table.X.log1p()
    path = tmp_path / "logged.h5ad"
    table.write_h5ad(path)
    section.open(path)
    offers = [finding.offer for finding in section.state.findings if finding.offer]
    assert {"layer": "counts"} in offers
    section.apply_offer({"layer": "counts"})
    assert dict(section.state.card.rows)["Values"] == "raw counts in counts"
    assert state.choices == {"layer": "counts"}


def test_sections_that_overlap_are_laid_side_by_side_with_one_click(
    section, section_file, tmp_path
):
    table = ad.read_h5ad(section_file)
    table.obs["section"] = ["A", "B"] * 15
    table.write_h5ad(tmp_path / "two.h5ad")
    section.open(tmp_path / "two.h5ad")
    (offer,) = [finding.offer for finding in section.state.findings if finding.offer]
    section.apply_offer(offer)
    assert dict(section.state.card.rows)["Sections"] == "2 side by side"


def test_results_in_the_file_are_shown_as_they_were_saved(section, state, opened, result, tmp_path):
    annotated = tmp_path / "annotated.h5ad"
    api.write_result(opened, result, annotated)
    section.open(annotated)
    found = state.result
    assert section.state.keys == ("cellmemory",)
    assert section.state.key == "cellmemory"
    assert found.annotation.labels == result.annotation.labels
    np.testing.assert_array_equal(found.annotation.codes, result.annotation.codes)
    np.testing.assert_allclose(found.gene_scores.column("Gad1"), result.gene_scores.column("Gad1"))


def test_a_result_made_now_joins_the_list(section, state, section_file, result):
    section.open(section_file)
    assert section.state.keys == ()
    state.set_result(result)
    assert section.state.keys == ("cellmemory",)


def test_another_section_leaves_nothing_of_the_first(section, state, section_file, result):
    section.open(section_file)
    state.set_result(result)
    state.select_label("Astrocyte")
    state.select_gene("Mbp")
    state.select_cell(3)
    section.open(section_file)
    assert (state.result, state.label, state.gene, state.cell) == (None, None, None, None)
    assert section.state.keys == ()
