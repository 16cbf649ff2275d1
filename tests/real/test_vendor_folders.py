"""Real vendor folders, whole and in part: each opens with findings, or says what it lacks."""

from __future__ import annotations

import numpy as np
import pytest

from tagscope import api
from tagscope.errors import InputError
from tagscope.io.readers import open_section

# folder, cells, genes, polygons, what is said
OPEN = [
    ("xenium_partial/sample1", 5, 124, True, "There is no cell_feature_matrix.h5."),
    ("xenium_partial/sample2", 9, 122, True, "There is no cells table."),
    ("cosmx_partial/sample_1", 85, 939, False, "0.18 µm per pixel"),
    ("cosmx_partial/sample_2", 96, 892, False, "There is no exprMat file."),
    ("merscope_partial/ovarian_patch", 24, 412, True, "There is no cell_by_gene.csv."),
    ("tiny_tables/Xenium_small", 6, 4, False, "There is no experiment.xenium."),
    ("tiny_tables/CosMx_small", 9, 8, False, "There is no polygons file."),
]
REFUSED = [
    ("merscope_partial/brain_mini", "holds 'cell_boundaries', 'images', 'vizgen_transcripts.gz'"),
    ("tiny_tables/MERSCOPE_small", "X is all zero"),
    ("tiny_tables/STARmapPLUS_small", "holds 'mock_spatial.csv', 'mockraw_expression_pd.csv'"),
    ("tiny_tables", "as the vendor writes it"),
    ("masks", "as the vendor writes it"),
    ("tiny_tables/Xenium_small/cell_feature_matrix.h5", "without cells and genes"),
    ("tiny_tables/Xenium_small/cells.csv.gz", "a gzip archive"),
]


@pytest.fixture
def vendor(shared):
    return shared / "data" / "vendor"


@pytest.mark.parametrize(("folder", "cells", "genes", "polygons", "said"), OPEN)
def test_a_partial_folder_opens_and_says_what_is_missing(
    vendor, folder, cells, genes, polygons, said
):
    opened = open_section(vendor / folder)
    section = opened.section
    assert (len(section), len(section.panel)) == (cells, genes)
    assert section.unit == "µm"
    assert np.isfinite(section.xy).all()
    assert (section.outlines is not None) == polygons
    assert said in " ".join(finding.found for finding in opened.notes)
    assert all(f.needed for f in opened.notes if f.code == "missing-file"), "each with its cost"
    assert api.check(vendor / folder).ok


@pytest.mark.parametrize(("folder", "said"), REFUSED)
def test_what_is_no_section_says_what_it_is(vendor, folder, said):
    with pytest.raises(InputError, match=said):
        open_section(vendor / folder)


def test_xenium_counts_agree_with_the_transcripts(vendor):
    import pandas as pd

    folder = vendor / "xenium_partial" / "sample1"
    spots = pd.read_csv(folder / "transcripts.csv")
    opened = open_section(folder)
    for cell, total in zip(opened.section.ids, opened.section.cells.totals, strict=True):
        own = spots[(spots["cell_id"].astype(str) == cell) & (spots["qv"] >= 20)]
        controls = own["feature_name"].str.contains("NegControl|BLANK")
        assert total == (~controls).sum()


def test_merscope_cells_hold_their_transcripts(vendor):
    opened = open_section(vendor / "merscope_partial" / "ovarian_patch")
    assert np.median(opened.section.cells.totals) > 100
    widths = [np.ptp(opened.section.outlines.ring(i), axis=0).max() for i in range(24)]
    assert 5 < np.median(widths) < 40, "µm"


def test_a_cosmx_label_image_lies_on_its_cells(vendor):
    from tagscope.io.masks import label_centroids
    from tagscope.io.spatialdata_store import affine_to

    opened = open_section(vendor / "cosmx_partial" / "sample_1")
    assert set(opened.sdata.labels) == {"fov_1_labels"}, "the file of FOV 2 is a copy of FOV 1's"
    image = opened.sdata["fov_1_labels"]
    ids = np.array([int(name.split("_")[1]) for name in opened.section.ids])
    affine = affine_to(image, "microns")
    centres = label_centroids(image, ids) @ affine[:2, :2].T + affine[:2, 2]
    away = np.hypot(*(centres - opened.section.xy).T)
    assert np.nanmedian(away) < 2, "µm"
