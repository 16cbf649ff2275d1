"""Patches and genes of a CellPatch: programs, painting, gene sets, likeness."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_tagscope.controllers.gene_map import CHOOSE, GeneMapController
from napari_tagscope.controllers.gene_map import UNREAD as UNMAPPED
from napari_tagscope.controllers.gene_sets import GENE_SETS, RememberedFiles
from napari_tagscope.controllers.patches import PAINTING, UNREAD, PatchesController
from napari_tagscope.controllers.slots import SlotsController
from tagscope import api
from tagscope.core.labels import LabelSet
from tagscope.models.base import Capability
from tagscope.models.bundle import save_bundle
from tagscope.models.cellpatch.config import CellPatchConfig
from tagscope.models.cellpatch.network import CellPatchNetwork
from tagscope.models.cellpatch.tokenise import CellPatchPreprocessing

TYPES = ("Astrocyte", "Excitatory", "Inhibitory")
PATCHES = 5


@pytest.fixture
def cellpatch(opened, tmp_path):
    """A CellPatch as it was born."""
    torch.manual_seed(3)
    config = CellPatchConfig(width=8, patches=PATCHES, layers=1, projection=4)
    network = CellPatchNetwork(config, len(opened.section.panel), len(TYPES))
    return save_bundle(
        tmp_path / "cellpatch",
        model="cellpatch",
        config=config.to_dict(),
        preprocessing=CellPatchPreprocessing().to_dict(),
        panel=opened.section.panel,
        labels=LabelSet(TYPES),
        capabilities={Capability.ANNOTATE, Capability.EMBED, Capability.GENE_SCORES},
        state=network.state_dict(),
        training={"recipe": "none"},
    )


@pytest.fixture
def labelled(opened, cellpatch):
    return api.annotate(opened, cellpatch, api.AnnotateConfig(device="cpu"))


@pytest.fixture
def remembered(tmp_path):
    return RememberedFiles(tmp_path / "kept")


@pytest.fixture
def patches(state, runner, painter, opened, remembered):
    controller = PatchesController(state, runner, painter, remembered)
    state.set_section(opened)
    return controller


@pytest.fixture
def expected(opened, cellpatch, labelled):
    return api.patches(opened, cellpatch, by=labelled.annotation)


def test_they_are_offered_where_a_cellpatch_annotated(
    patches, state, runner, painter, remembered, result, labelled
):
    slots = SlotsController(state, runner, painter, remembered)
    state.set_result(result)
    assert (patches.state.applies, slots.state.applies) == (False, True)
    state.set_result(labelled)
    assert (patches.state.applies, slots.state.applies) == (True, False)
    assert patches.state.hint == UNREAD
    assert runner.titles == []
    of_before = replace(labelled.provenance, extra={})
    state.set_result(replace(labelled, provenance=of_before))
    assert patches.state.applies  # told by the key


def test_they_are_read_and_painted(patches, state, painter, labelled, expected):
    state.set_result(labelled)
    patches.read()
    assert patches.state.failure is None
    best = expected.patches.sort_values("explained", ascending=False, kind="stable")
    assert [row.number for row in patches.state.patches] == best["patch"].tolist()
    assert patches.state.patches[0].label == best["group"].iloc[0]
    patches.choose(3)
    np.testing.assert_array_equal(painter.values[PAINTING], expected.activity[:, 3])
    assert painter.titles[PAINTING] == "patch 3 · activity"
    assert painter.limits[PAINTING] == tuple(np.percentile(painter.values[PAINTING], [2, 98]))
    program = expected.programs[expected.programs["patch"] == 3]
    assert [row.gene for row in patches.state.program] == program["gene"].tolist()
    patches.choose_gene(patches.state.program[1].gene)
    assert state.gene == program["gene"].iloc[1]
    assert patches.state.read == "Network 1 of 1, over 6 genes"


def test_programs_are_those_of_the_chosen_type(patches, state, labelled, expected):
    state.set_result(labelled)
    patches.read()
    patches.choose(2)
    [kind, *_] = expected.groups
    state.select_label(kind)
    own = expected.of(kind).programs
    assert [row.z_score for row in patches.state.program] == pytest.approx(
        own[own["patch"] == 2]["z_score"].tolist()
    )
    assert {row.label for row in patches.state.patches} == {kind} == {patches.state.label}
    state.select_label(None)
    assert patches.state.label == ""


def test_gene_sets_are_tested_in_every_patch(patches, state, runner, labelled, tmp_path):
    path = tmp_path / "sets.gmt"
    path.write_text("first\t\tGAD1\tSLC17A7\tMBP\nlast\t\tAQP4\tCX3CR1\tCLDN5\n")
    state.set_result(labelled)
    patches.choose_sets(GENE_SETS, path)
    assert patches.state.gene_sets == path
    patches.read()
    patches.choose(0)
    assert {row.name for row in patches.state.sets} == {"first", "last"}
    assert "2 of 2 sets" in patches.state.note
    before = runner.titles.count("Testing the sets of sets.gmt")
    state.select_label(patches.state.patches[0].label)
    assert runner.titles.count("Testing the sets of sets.gmt") == before + 1


def test_patches_of_another_run_are_let_go(patches, state, runner, labelled, result):
    state.set_result(labelled)
    patches.read()
    seen = labelled.annotation.shown(min_confidence=0.4)
    state.set_result(replace(labelled, annotation=seen))
    assert patches.state.patches  # another bound is no other run
    state.set_result(result)
    assert not patches.state.patches
    state.set_result(labelled)
    runner.held = True
    patches.read()
    assert patches.state.running
    state.set_result(result)
    assert (patches.state.running, runner.waiting) == (False, [])


def test_genes_are_mapped_and_the_nearest_told(state, runner, opened, labelled, cellpatch):
    genes = GeneMapController(state, runner)
    state.set_section(opened)
    state.set_result(labelled)
    assert (genes.state.applies, genes.state.hint) == (True, UNMAPPED)
    genes.ask()
    assert genes.state.failure is None
    assert genes.state.hint == CHOOSE
    found = api.gene_embeddings(opened, cellpatch)
    np.testing.assert_array_equal(genes.state.map.places, found.umap)
    genes.choose_gene("Mbp")
    near = found.nearest("Mbp")
    assert [row.gene for row in genes.state.near] == near["gene"].tolist()
    assert state.gene == genes.state.gene == "Mbp"
