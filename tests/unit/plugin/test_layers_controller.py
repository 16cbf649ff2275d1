"""Images and transcripts read when asked for, following the selected gene."""

from __future__ import annotations

import pytest

from napari_tagscope.controllers.layers import GENE_COLORS, MOST_KEPT, LayersController
from tagscope import api


@pytest.fixture
def controller(state, runner, painter):
    return LayersController(state, runner, painter)


@pytest.fixture
def sample(sample_data):
    return api.open_section(sample_data / "section.zarr")


def test_what_a_store_holds_is_offered(controller, state, sample, opened):
    assert not controller.state.has_images
    state.set_section(sample)
    assert (controller.state.has_images, controller.state.has_transcripts) == (True, True)
    state.set_section(opened)  # an .h5ad
    assert (controller.state.has_images, controller.state.has_transcripts) == (False, False)


def test_images_are_read_listed_and_taken_away(controller, state, painter, sample):
    controller.set_images(True)  # nothing is open
    state.set_section(sample)
    controller.set_images(True)
    assert painter.calls[-1] == ("show_images", ("morphology",))
    controller.set_images(False)
    assert painter.calls[-1] == ("show_images", ())
    assert not controller.state.images


def test_transcripts_follow_the_selected_gene(controller, state, painter, sample):
    state.set_section(sample)
    controller.set_transcripts(True)
    assert not [call for call in painter.calls if call[0] == "show_transcripts"]
    state.select_gene("Gad1")
    name, prepared, colors = painter.calls[-1]
    assert (name, colors) == ("show_transcripts", {"Gad1": GENE_COLORS[0]})
    assert prepared["Gad1"] > 1000
    state.select_gene("Plp1")
    assert set(painter.calls[-1][1]) == {"Plp1"}
    controller.set_transcripts(False)
    assert painter.calls[-1] == ("remove_transcripts",)
    state.select_gene("Gad1")
    assert painter.calls[-1] == ("remove_transcripts",)


def test_kept_genes_stay_in_their_colours_beside_the_selected_one(
    controller, state, painter, sample
):
    state.set_section(sample)
    controller.keep_gene(True)  # none is selected
    controller.set_transcripts(True)
    genes = sample.section.panel.symbols[:MOST_KEPT]
    for number, gene in enumerate(genes):
        state.select_gene(gene)
        assert painter.calls[-1][2] == dict(
            zip(genes[: number + 1], GENE_COLORS[: number + 1], strict=True)
        )
        controller.keep_gene(True)
    state.select_gene("Plp1")
    controller.keep_gene(True)  # one too many
    assert controller.state.kept == tuple(genes)
    assert painter.calls[-1][2]["Plp1"] == GENE_COLORS[-1]
    state.select_gene(genes[0])
    controller.keep_gene(False)
    state.select_gene("Plp1")
    assert set(painter.calls[-1][2]) == {*genes[1:], "Plp1"}
    controller.set_transcripts(False)
    assert controller.state.kept == ()


def test_a_gene_without_transcripts_is_explained(controller, state, painter, sample):
    state.set_section(sample)
    state.select_gene("Nope")
    controller.set_transcripts(True)
    assert "'Nope'" in controller.state.failure.error.found
    assert painter.calls[-1] == ("remove_transcripts",)
    state.select_gene("Gad1")
    assert controller.state.failure is None
    assert painter.calls[-1][0] == "show_transcripts"


def test_cancelling_leaves_the_box_unticked(controller, state, runner, painter, sample):
    state.set_section(sample)
    runner.cancel_at = 1
    controller.set_images(True)
    assert not controller.state.images
    assert "show_images" not in [call[0] for call in painter.calls]
    state.select_gene("Gad1")
    controller.set_transcripts(True)
    assert not controller.state.transcripts


def test_another_section_starts_afresh(controller, state, sample, opened):
    state.set_section(sample)
    controller.set_images(True)
    state.set_section(opened)
    assert not controller.state.images


def test_a_section_shown_again_has_its_images_and_transcripts(
    controller, state, painter, sample, opened
):
    state.set_section(sample)
    controller.set_images(True)
    controller.set_transcripts(True)
    state.select_gene("Gad1")
    controller.keep_gene(True)
    state.set_section(opened)
    assert (controller.state.images, controller.state.transcripts) == (False, False)
    state.set_section(sample)
    assert painter.calls[-1] == ("show_images", ("morphology",))
    state.select_gene("Plp1")
    assert set(painter.calls[-1][2]) == {"Gad1", "Plp1"}
    assert controller.state.kept == ("Gad1",)
