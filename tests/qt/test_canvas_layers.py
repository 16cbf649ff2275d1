"""Images under the cells and transcripts above them, in a real viewer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
from napari import Viewer
from qtpy.QtTest import QTest

from napari_tagscope.canvas.images import CHANNEL_COLORS
from napari_tagscope.canvas.tissue import TissueCanvas
from napari_tagscope.canvas.transcripts import TranscriptPyramid
from pictures import drawn
from tagscope import api
from tagscope.core.labels import LabelSet

GENES = {"Gad1": "#f0e442", "Slc17a7": "#56b4e9", "Plp1": "#d55e00"}
RGB = {"Gad1": (240, 228, 66), "Slc17a7": (86, 180, 233), "Plp1": (213, 94, 0)}


@pytest.fixture(scope="module")
def opened(sample_data: Path) -> api.OpenedSection:
    return api.open_section(sample_data / "section.zarr")


@pytest.fixture(scope="module")
def images(opened: api.OpenedSection) -> tuple[api.SectionImage, ...]:
    return api.read_images(opened)


@pytest.fixture(scope="module")
def transcripts(opened: api.OpenedSection) -> api.Transcripts:
    return api.read_transcripts(opened, list(GENES))


@pytest.fixture
def pyramid(transcripts: api.Transcripts) -> TranscriptPyramid:
    return TranscriptPyramid(transcripts)


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Viewer]) -> Viewer:
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1400, 900)
    QTest.qWait(50)  # the window takes its size
    return viewer


@pytest.fixture
def canvas(viewer: Viewer, opened: api.OpenedSection, sample_data: Path) -> TissueCanvas:
    """The sample by its true types."""
    truth = json.loads((sample_data / "truth.json").read_text())["types"]
    types = [truth[cell] for cell in opened.section.ids]
    labels = LabelSet.from_values(types)
    codes = np.array([labels.code(name) for name in types])
    canvas = TissueCanvas(viewer, opened.section)
    canvas.paint_categories("cell type", codes, labels.colors, names=labels.names)
    canvas.fit()
    return canvas


def colors_at(viewer: Viewer, xy: np.ndarray) -> np.ndarray:
    """RGB drawn at world positions."""
    picture = drawn(viewer)
    size = np.array(viewer.canvas.size)[::-1]
    center = np.array(viewer.scene.camera.center)[:0:-1]
    x, y = (size / 2 + (xy - center) * viewer.scene.camera.zoom).astype(int).T
    return picture[y, x]


def shown(canvas: TissueCanvas) -> set[str]:
    return {layer.name for layer in canvas.viewer.layers if layer.visible}


def share(picture: np.ndarray, color: tuple[int, int, int]) -> float:
    return float((picture == color).all(axis=-1).mean())


def test_channels_lie_under_the_cells_by_name_and_colour(canvas, images) -> None:
    layers = canvas.show_images(images)
    assert [layer.name for layer in canvas.viewer.layers] == [
        "morphology · DAPI", "morphology · Membrane", "cell type",
    ]  # fmt: skip
    assert canvas.viewer.layers.selection.active is canvas.layer("cell type")
    assert all(layer.blending == "additive" and layer.multiscale for layer in layers)
    brightest = [layer.colormap.map(1.0)[0, :3] for layer in layers]
    expected = [[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in CHANNEL_COLORS[:2]]
    assert np.allclose(brightest, expected, atol=1e-3)
    assert layers[0].contrast_limits == images[0].limits[0].tolist()


def test_an_image_lies_where_the_cells_are(canvas, images, opened) -> None:
    canvas.show_images(images)
    canvas.set_look("outlines")
    canvas.layer("cell type").visible = False
    canvas.fit(np.arange(40, 80))
    rows = canvas.rows_in_view()[:30]
    nuclei = colors_at(canvas.viewer, opened.section.xy[rows]).sum(axis=1)
    assert np.median(nuclei) > 3 * np.median(drawn(canvas.viewer).sum(axis=-1))


def test_three_channels_are_on_and_the_rest_listed(canvas, images) -> None:
    (image,) = images
    five = replace(
        image,
        levels=tuple(np.concatenate([np.asarray(level)] * 3)[:5] for level in image.levels),
        channels=tuple("abcde"),
        limits=np.tile(image.limits, (3, 1))[:5],
        ranges=np.tile(image.ranges, (3, 1))[:5],
    )
    layers = canvas.show_images([five, replace(five, name="second")])
    assert [layer.visible for layer in layers] == [True] * 3 + [False] * 7
    assert canvas.show_images([]) == ()
    assert [layer.name for layer in canvas.viewer.layers] == ["cell type"]


def test_a_picture_in_colours_is_one_layer(canvas, images) -> None:
    (image,) = images
    rgb = replace(
        image,
        name="H&E",
        rgb=True,
        levels=tuple(np.full((*level.shape[1:], 3), 200, np.uint8) for level in image.levels),
    )
    (layer,) = canvas.show_images([rgb])
    assert (layer.rgb, layer.name) == (True, "H&E image")
    canvas.layer("cell type").visible = False
    assert share(drawn(canvas.viewer), (200, 200, 200)) > 0.3


def test_a_dark_channel_is_no_error(canvas, images) -> None:
    (image,) = images
    dark = replace(image, limits=np.zeros((2, 2)), ranges=np.zeros((2, 2)))
    assert canvas.show_images([dark])[0].contrast_limits == [0.0, 1.0]


def test_cells_become_translucent_or_outlines(canvas, images) -> None:
    viewer = canvas.viewer
    canvas.show_images(images)
    canvas.fit(np.arange(40, 80))
    rows = canvas.rows_in_view()
    xy = canvas.section.xy[rows]
    size = np.array(viewer.canvas.size)[::-1] / viewer.scene.camera.zoom / 2.2
    inner = np.abs(xy - np.array(viewer.scene.camera.center)[:0:-1]) < size
    xy = xy[inner.all(axis=1)][20:]
    filled = colors_at(viewer, xy)
    canvas.set_look("translucent")
    translucent = colors_at(viewer, xy)
    canvas.set_look("outlines")
    outlined = colors_at(viewer, xy)
    canvas.layer("cell type").visible = False
    bare = colors_at(viewer, xy)
    assert np.array_equal(outlined, bare)
    assert (np.abs(translucent - filled).max(axis=1) > 8).mean() > 0.9
    assert (np.abs(translucent - bare).max(axis=1) > 8).mean() > 0.9


def test_a_later_painting_keeps_the_style(canvas, opened) -> None:
    canvas.set_look("outlines")
    values = np.ones(len(opened.section))
    canvas.paint_values("attention", values)
    canvas.fit(np.arange(3))
    xy = opened.section.xy[:3]
    assert colors_at(canvas.viewer, xy).max() < 10
    canvas.set_look("filled")
    assert colors_at(canvas.viewer, xy).max() > 50


def test_transcripts_are_dots_in_their_genes_colours(canvas, pyramid, transcripts) -> None:
    viewer = canvas.viewer
    layer = canvas.show_transcripts(pyramid, GENES)
    canvas.set_look("outlines")
    canvas.fit(np.arange(200, 260))
    canvas.layer("cell type").visible = False
    low, high = (np.array(viewer.scene.camera.center)[:0:-1] + side * 30 for side in (-1, 1))
    near = ((transcripts.xy > low) & (transcripts.xy < high)).all(axis=1)
    xy = transcripts.xy[near]
    assert len(xy) > 10
    found = colors_at(viewer, xy)
    colors = np.array([RGB[transcripts.genes[code]] for code in transcripts.codes[near]])
    assert (found == colors).all(axis=1).mean() > 0.8  # others lie under a neighbour's dot
    assert str(layer.units[0]) == "micrometer"


def test_the_legend_counts_transcripts_and_hides_genes(canvas, pyramid, transcripts) -> None:
    canvas.show_transcripts(pyramid, GENES)
    overlay = canvas._transcripts._legend.overlay
    counts = {entry.name: entry.count for entry in overlay.entries}
    assert counts == {
        gene: int((transcripts.codes == code).sum()) for code, gene in enumerate(transcripts.genes)
    }
    canvas.layer("cell type").visible = False
    before = share(drawn(canvas.viewer), RGB["Gad1"])
    canvas.set_hidden_genes(["Gad1"])
    after = share(drawn(canvas.viewer), RGB["Gad1"])
    assert after < before / 2  # the legend's own swatch may stay
    assert [entry.name for entry in overlay.entries if entry.faint] == ["Gad1"]
    canvas._transcripts.layer.visible = False
    assert not overlay.visible


def under_mouse(viewer: Viewer, xy: np.ndarray) -> tuple[str, str]:
    """Status line and tooltip with the mouse at a position."""
    viewer.mouse_over_canvas = True
    viewer.cursor.position = tuple(xy[::-1])
    status, tooltip = viewer._calc_status_from_cursor()
    return status["value"], tooltip


def test_the_mouse_tells_a_transcript_s_gene_before_its_cell(canvas, pyramid, transcripts) -> None:
    viewer = canvas.viewer
    canvas.describe = lambda row: f"cell {row}"
    layer = canvas.show_transcripts(pyramid, GENES)
    canvas.fit(np.arange(200, 260))
    drawn(viewer)
    low, high = (np.array(viewer.scene.camera.center)[:0:-1] + side * 30 for side in (-1, 1))
    near = np.flatnonzero(((transcripts.xy > low) & (transcripts.xy < high)).all(axis=1))
    for active in (canvas.layer("cell type"), layer):
        viewer.layers.selection.active = active
        told = [under_mouse(viewer, transcripts.xy[i]) for i in near]
        assert all(value == tooltip for value, tooltip in told)
        own = [
            value.startswith(f"{transcripts.genes[transcripts.codes[i]]} transcript")
            for i, (value, _) in zip(near, told, strict=True)
        ]
        assert np.mean(own) > 0.8  # others lie under a neighbour's dot
        assert np.mean(["transcript · cell " in value for value, _ in told]) > 0.5
    start = perf_counter()
    for i in near:
        under_mouse(viewer, transcripts.xy[i])
    assert (perf_counter() - start) / len(near) < 0.005
    canvas.paint_values("counts", np.ones(len(canvas.section)))
    assert "transcript" in under_mouse(viewer, transcripts.xy[near[0]])[1]
    canvas.set_hidden_genes(GENES)
    assert "transcript" not in under_mouse(viewer, transcripts.xy[near[0]])[1]
    canvas.set_hidden_genes([])
    canvas.remove_transcripts()
    assert "transcript" not in under_mouse(viewer, transcripts.xy[near[0]])[1]


def test_transcripts_stay_on_top_and_go_with_their_legend(canvas, pyramid, opened) -> None:
    overlays = set(canvas.viewer.canvas.overlays)
    canvas.show_transcripts(pyramid, GENES)
    canvas.paint_values("attention", np.ones(len(opened.section)))
    assert canvas.viewer.layers[-1].name == "transcripts · 3 genes"
    canvas.show_transcripts(pyramid, GENES)
    assert [layer.name for layer in canvas.viewer.layers].count("transcripts · 3 genes") == 1
    canvas.viewer.layers.remove("transcripts · 3 genes")  # as a person would
    assert set(canvas.viewer.canvas.overlays) == overlays
    canvas.paint_values("expression", np.ones(len(opened.section)))
    canvas.remove_transcripts()


def test_side_by_side_shows_paintings_alone(canvas, images, pyramid, opened) -> None:
    canvas.show_images(images)
    canvas.show_transcripts(pyramid, GENES)
    for gene in ("Gad1", "Slc17a7"):
        column = opened.section.panel.symbols.index(gene)
        canvas.paint_values(gene, opened.section.cells.values[:, column].toarray().ravel())
    canvas.show_beside("Gad1", "Slc17a7")
    canvas.fit()
    assert shown(canvas) == {"Gad1", "Slc17a7"}
    canvas.show("cell type")
    assert shown(canvas) == {
        "cell type", "morphology · DAPI", "morphology · Membrane", "transcripts · 3 genes",
    }  # fmt: skip


def test_removal_takes_images_and_transcripts_along(canvas, images, pyramid) -> None:
    canvas.show_images(images)
    canvas.show_transcripts(pyramid, GENES)
    canvas.remove()
    assert len(canvas.viewer.layers) == 0
    assert not [key for key in canvas.viewer.canvas.overlays if key.startswith("tagscope")]
