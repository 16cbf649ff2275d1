from __future__ import annotations

import pytest

from napari_tagscope.controllers.gene_search import near_matches

GENES = ("HLA.A", "HLA.B", "CD3D", "CD3E", "CD8A", "GAD1", "GAD2", "SLC17A7", "TGFB1", "MBP")


@pytest.mark.parametrize(
    ("wanted", "first"),
    [
        ("hla-a", "HLA.A"),
        ("CD-3d", "CD3D"),
        ("TGFβ1", "TGFB1"),
        ("slc17a6", "SLC17A7"),
        ("gad11", "GAD1"),
        ("Mbpp", "MBP"),
    ],
)
def test_what_is_spelt_otherwise_is_found(wanted, first):
    assert near_matches(wanted, GENES)[0] == first


def test_a_family_comes_before_what_is_spelt_alike():
    assert near_matches("CD3", GENES)[:2] == ("CD3D", "CD3E")


@pytest.mark.parametrize("wanted", ["", " - ", "Xyzzy42"])
def test_nothing_is_near_to_nonsense(wanted):
    assert near_matches(wanted, GENES) == ()
