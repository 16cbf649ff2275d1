from __future__ import annotations

import numpy as np
import pytest

from tagscope.core.panel import GenePanel


def test_genes_are_found_by_symbol_case_and_ensembl_id():
    assay = GenePanel(("gad1", "Mbp", "Old"), ("", "", "ENSMUSG00000000003.7"))
    model = GenePanel(
        ("Mbp", "Gad1", "New", "Sst"), ("", "", "ENSMUSG00000000003", "ENSMUSG00000000009")
    )
    np.testing.assert_array_equal(assay.columns_in(model), [1, 0, 2])
    np.testing.assert_array_equal(model.columns_in(assay), [1, 0, 2, -1])


def test_an_exact_symbol_wins_over_another_case():
    panel = GenePanel(("GAD1", "Gad1"))
    assert panel.position("Gad1") == 1
    assert panel.position("gAD1") == 0


def test_duplicates_are_named_and_the_first_is_used():
    panel = GenePanel(("a", "b", "a"))
    assert panel.duplicates == ("a",)
    assert panel.position("a") == 0


def test_the_digest_tells_order_and_survives_a_round_trip():
    panel = GenePanel(("a", "b"), ("E1", "E2"))
    assert GenePanel.from_dict(panel.to_dict()) == panel
    assert panel.digest == GenePanel.from_dict(panel.to_dict()).digest
    assert panel.digest != panel.take([1, 0]).digest


def test_ids_must_match_symbols():
    with pytest.raises(ValueError, match="1 Ensembl ids for 2"):
        GenePanel(("a", "b"), ("E1",))


def test_genes_find_their_orthologues_by_their_own_aliases():
    mouse = GenePanel(("Cd24a", "Gad1", "Sst", "Ins2"), aliases=("CD24", "GAD1", "", "INS"))
    human = GenePanel(("INS2", "SST", "GAD1", "CD24"))
    assert mouse.columns_in(human).tolist() == [3, 2, 1, -1]  # INS2 is another gene than INS
    assert human.columns_in(mouse).tolist() == [-1, 2, 1, 0]
    assert mouse.shared_with(human).tolist() == [0, 1, 2]


def test_aliases_find_genes_and_give_way_to_exact_symbols():
    panel = GenePanel(("Cd24a", "Gad1", "Sst"), aliases=("CD24", "GAD1", ""))
    assert [panel.position(name) for name in ("CD24", "gad1", "SST", "Cd24a")] == [0, 1, 2, 0]
    assert panel.take([1, 0]).aliases == ("GAD1", "CD24")
    human = GenePanel(("GAD1", "CD24", "VIP"))
    assert human.named_as(panel).symbols == ("Gad1", "Cd24a", "VIP")
    assert human.named_as(GenePanel(("Gad1",))) is human
