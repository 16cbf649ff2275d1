"""What is drawn, and in which colours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import EllipseCollection, PolyCollection
from matplotlib.colors import to_rgba
from PIL import Image

from tagscope.core.labels import UNASSIGNED_COLOR
from tagscope.core.section import SideBySide
from tagscope.errors import ArgumentError
from tagscope.exporters.figure import draw_tissue, save_figure
from tagscope.exporters.paint import (
    Measured,
    paint_of_attention,
    paint_of_column,
    paint_of_expression,
)


def _pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


def _share_of_color(pixels, color):
    wanted = np.round(255 * np.array(to_rgba(color)[:3]))
    return (np.abs(pixels - wanted).max(axis=-1) < 3).mean()


def test_labels_have_the_colours_of_the_table_and_counts(table):
    table.uns["cellmemory_colors"] = np.array(["#112233", "#445566", "#778899", UNASSIGNED_COLOR])
    paint = paint_of_column(table, "cellmemory")
    counts = table.obs["cellmemory"].value_counts()
    legend = {name: (color, count) for name, color, count in paint.legend()}
    assert legend["Neuron"] == ("#445566", counts["Neuron"])
    assert legend["Unassigned"] == (UNASSIGNED_COLOR, counts["Unassigned"])
    first = list(paint.names).index(table.obs["cellmemory"].iloc[0])
    np.testing.assert_allclose(paint.rgba()[0], to_rgba(paint.colors[first]))


def test_a_plain_column_gets_default_colours_and_missing_values_grey(table):
    paint = paint_of_column(table, "layer")
    assert [(name, count) for name, _, count in paint.legend()] == [
        ("L1", 30),
        ("L2", 29),
        ("no value", 1),
    ]
    np.testing.assert_allclose(paint.rgba()[59], to_rgba("#d9d9d9"))


def test_the_legend_is_by_size_unless_the_order_means_something(table):
    few, many, unknown = ["few"] * 9, ["many"] * 11, ["Unassigned"] * 40
    order = ["few", "Unassigned", "many"]
    for ordered, expected in ((False, ["many", "few", "Unassigned"]), (True, order)):
        table.obs["type"] = pd.Categorical(few + many + unknown, order, ordered)
        names = [name for name, _, _ in paint_of_column(table, "type").legend()]
        assert names == expected


def test_numbers_are_measured_and_a_bright_cell_does_not_darken_the_rest(table):
    table.obs["score"] = np.append(np.linspace(0, 1, 59), 1000.0)
    paint = paint_of_column(table, "score")
    assert isinstance(paint, Measured)
    assert paint.scale == "score"
    assert paint.is_clipped
    values = np.append(np.linspace(0, 1, 999), 1000.0)
    assert Measured("", values).limits[1] < 2
    assert Measured("", np.full(5, np.nan)).limits == (0, 1)
    assert Measured("", np.zeros(5)).limits == (0, 1)
    assert Measured("", np.array([-2.0, 1.0])).limits[0] == -2


def test_attention_and_expression_of_a_gene(section, table, result):
    attention = paint_of_attention(table, "Snap25", "cellmemory")
    np.testing.assert_allclose(attention.values, result.gene_scores.column("Snap25"))
    expression = paint_of_expression(section.cells, "gfap")
    counts = section.cells.values.toarray()
    expected = np.log1p(1e4 * counts[:, 0] / np.maximum(counts.sum(1), 1))
    np.testing.assert_allclose(expression.values, expected)
    with pytest.raises(ArgumentError, match="Did you mean Snap25"):
        paint_of_expression(section.cells, "Snap26")
    with pytest.raises(ArgumentError, match="no attention scores of 'other'"):
        paint_of_attention(table, "Snap25", "other")


def test_cells_are_drawn_by_their_outlines_and_as_discs_without(section, table):
    axes = draw_tissue(section, paint_of_column(table, "cellmemory")).axes[0]
    polygons, discs = axes.collections
    assert isinstance(polygons, PolyCollection)
    assert isinstance(discs, EllipseCollection)
    assert (len(polygons.get_paths()), len(discs.get_offsets())) == (40, 20)
    np.testing.assert_allclose(discs.get_offsets(), section.xy[40:])
    assert axes.get_ylim()[0] > axes.get_ylim()[1]


def test_the_brightest_cells_are_drawn_last(section):
    values = np.random.default_rng(0).random(60)
    axes = draw_tissue(replace(section, outlines=None), Measured("x", values)).axes[0]
    np.testing.assert_allclose(axes.collections[-1].get_offsets()[-1], section.xy[values.argmax()])


def test_the_scale_bar_is_as_long_as_it_says(section, table):
    axes = draw_tissue(section, paint_of_column(table, "layer")).axes[0]
    bar = axes.lines[0].get_xdata()
    assert bar[1] - bar[0] == pytest.approx(20)
    assert [t.get_text() for t in axes.texts] == ["20 µm"]
    unknown = draw_tissue(replace(section, unit="unknown"), paint_of_column(table, "layer"))
    assert [t.get_text() for t in unknown.axes[0].texts] == ["20 units (µm not known)"]


def test_a_long_legend_gets_columns_and_long_names_are_cut(section, table):
    table.obs["many"] = pd.Categorical(
        [f"type {i} of a very long-winded taxonomy" for i in range(60)]
    )
    axes = draw_tissue(section, paint_of_column(table, "many")).axes[0]
    legend = axes.get_legend()
    assert legend._ncols > 1
    texts = [text.get_text() for text in legend.get_texts()]
    assert all(text.endswith("… (1)") for text in texts[:-1])
    assert texts[-1] == f"{61 - len(texts)} more ({61 - len(texts)})"
    assert len(texts) == 48


def test_spots_have_their_width_and_sections_side_by_side_their_names(section):
    pieces = SideBySide(("A", "B"), np.arange(60) // 30, np.zeros((2, 2)))
    spots = replace(section, outlines=None, spot_diameter=5.0, pieces=pieces)
    axes = draw_tissue(spots, Measured("x", np.arange(60.0))).axes[0]
    assert axes.collections[-1].get_widths() == pytest.approx(5.0)
    assert [t.get_text() for t in axes.texts][-2:] == ["A", "B"]


def test_a_measured_figure_has_a_colour_bar_and_counts_cells_without_a_value(section):
    values = np.append(np.arange(59.0), np.nan)
    figure = draw_tissue(section, Measured("gene", values, "attention score"))
    assert figure.axes[1].get_ylabel() == "attention score"
    assert "grey: no value (1 cells)" in [t.get_text() for t in figure.axes[0].texts]


def test_pixels_carry_the_colours_and_the_resolution(section, table, tmp_path):
    paint = replace(paint_of_column(table, "layer"), colors=("#0072b2", "#e69f00"))
    for dpi in (100, 200):
        save_figure(draw_tissue(section, paint), tmp_path / f"{dpi}.png", dpi)
    small, large = _pixels(tmp_path / "100.png"), _pixels(tmp_path / "200.png")
    assert large.shape[0] == pytest.approx(2 * small.shape[0], abs=4)
    # 30 of 60 grid cells, a third of each covered by its outline
    assert 0.05 < _share_of_color(large, "#0072b2") < 0.4
    assert 0.05 < _share_of_color(large, "#e69f00") < 0.4


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_figure_gives_the_same_bytes(section, table, tmp_path, suffix):
    for name in ("one", "two"):
        figure = draw_tissue(section, paint_of_column(table, "cellmemory"))
        save_figure(figure, tmp_path / f"{name}{suffix}", 80)
    assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()


def test_letters_of_a_vector_figure_stay_letters(section, table, tmp_path):
    save_figure(draw_tissue(section, paint_of_column(table, "layer")), tmp_path / "a.svg", 80)
    assert "L1 (30)" in (tmp_path / "a.svg").read_text()


def test_many_cells_are_one_picture_inside_a_vector_figure(section, tmp_path):
    rows = np.tile(np.arange(60), 60)
    many = replace(section, cells=section.cells.take(rows), xy=section.xy[rows], outlines=None)
    save_figure(draw_tissue(many, Measured("x", np.arange(3600.0))), tmp_path / "many.svg", 80)
    text = (tmp_path / "many.svg").read_text()
    assert "<image" in text
    assert len(text) < 500_000
