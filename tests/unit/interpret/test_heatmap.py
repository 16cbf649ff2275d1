"""Heatmaps: which rows, in which order, and that everything is named."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from tagscope.errors import ArgumentError
from tagscope.interpret.heatmap import diagonal_order, heatmap, tag_heatmap, write_figure


@pytest.fixture
def means():
    """Three groups; D is everybody's second gene, Z nobody's."""
    return pd.DataFrame(
        {"x": [5, 0, 0, 4, 0], "y": [0, 6, 0, 3, 0], "w": [0, 0, 7, 2, 0]},
        index=["A", "B", "C", "D", "Z"],
    )


def test_rows_are_the_union_of_top_genes_along_the_diagonal(means):
    assert diagonal_order(means, 1) == ["A", "B", "C"]
    assert diagonal_order(means, 2) == ["A", "D", "B", "C"]
    assert diagonal_order(means, 99) == ["A", "D", "B", "C"]


def test_scaling_divides_each_gene_by_its_highest_mean(means):
    image = tag_heatmap(means, "type", top=2, scaled=True).axes[0].images[0].get_array()
    np.testing.assert_allclose(image[1], [1, 0.75, 0.5])
    image = tag_heatmap(means, "type", top=2).axes[0].images[0].get_array()
    np.testing.assert_array_equal(image[1], [4, 3, 2])


def test_names_stay_apart_with_many_groups(tmp_path):
    """Forty-five groups with long names: no two labels overlap, none leaves the page."""
    values = pd.DataFrame(
        np.random.default_rng(0).random((90, 45)),
        index=[f"Gene{i}" for i in range(90)],
        columns=[f"a very long name of a type of cells, number {i}" for i in range(45)],
    )
    figure = heatmap(values, rows="gene", columns="type", label="share", numbered=True)
    figure.canvas.draw()
    axes, page = figure.axes[0], figure.bbox
    for labels, side in ((axes.get_xticklabels(), 0), (axes.get_yticklabels(), 1)):
        boxes = [label.get_window_extent() for label in labels]
        assert all(page.x0 <= b.x0 and b.x1 <= page.x1 and page.y0 <= b.y0 for b in boxes)
        places = sorted((b.min[side], b.max[side]) for b in boxes)
        assert all(a[1] <= b[0] + 1 for a, b in pairwise(places))
    assert all(len(label.get_text()) <= 28 for label in axes.get_xticklabels())
    assert not axes.texts  # numbers would not fit


def test_only_pictures_are_drawn(means, tmp_path):
    with pytest.raises(ArgumentError, match=r"tags\.csv"):
        write_figure(tag_heatmap(means, "type"), tmp_path / "tags.csv")
