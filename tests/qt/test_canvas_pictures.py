"""Pictures of real and simulated sections on the canvas, kept where TAGSCOPE_SCREENSHOTS says."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from napari import Viewer
from qtpy.QtTest import QTest

from napari_tagscope.canvas.tissue import TissueCanvas
from tagscope import api
from tagscope.core.labels import default_colors


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Viewer]) -> Viewer:
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1300, 860)
    QTest.qWait(50)
    return viewer


@pytest.fixture(scope="module")
def sample(sample_data: Path) -> api.OpenedSection:
    return api.open_section(sample_data / "section.zarr")


@pytest.fixture(scope="module")
def types(sample: api.OpenedSection, sample_data: Path) -> tuple[np.ndarray, list[str]]:
    truth = json.loads((sample_data / "truth.json").read_text(encoding="utf-8"))
    names = truth["type_names"]
    codes = np.array([names.index(truth["types"][cell]) for cell in sample.section.ids])
    return codes, names


def picture(viewer: Viewer, name: str) -> np.ndarray:
    """What the canvas shows, kept under a name where pictures are asked for."""
    QTest.qWait(100)
    folder = os.environ.get("TAGSCOPE_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
    path = str(Path(folder) / f"canvas-{name}.png") if folder else None
    return viewer.screenshot(path, canvas_only=True, flash=False)


def by_type(canvas: TissueCanvas, types: tuple[np.ndarray, list[str]]) -> None:
    codes, names = types
    canvas.paint_categories("type", codes, default_colors(len(names)), names=names)
    canvas.fit()


def shown(image: np.ndarray) -> float:
    """Share of pixels that are not background."""
    colors, counts = np.unique(image[..., :3].reshape(-1, 3), axis=0, return_counts=True)
    return float(1 - counts[np.abs(colors.astype(int) - colors[counts.argmax()]).max(1) < 4].sum()
                 / counts.sum())  # fmt: skip


def gene(opened: api.OpenedSection, name: str) -> np.ndarray:
    column = opened.section.panel.position(name)
    counts = opened.section.cells.values[:, [column]].toarray().ravel()
    return np.log1p(counts)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_whole_section_by_type(
    viewer: Viewer, sample: api.OpenedSection, types: tuple[np.ndarray, list[str]], theme: str
) -> None:
    viewer.theme = theme
    canvas = TissueCanvas(viewer, sample.section)
    by_type(canvas, types)
    canvas.select(np.flatnonzero(types[0] == types[1].index("T cell")))
    assert shown(picture(viewer, f"whole-{theme}")) > 0.2


@pytest.mark.parametrize("look", ["filled", "outlines", "both"])
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_close_up(
    viewer: Viewer, sample: api.OpenedSection, types: tuple[np.ndarray, list[str]],
    look: str, theme: str,
) -> None:  # fmt: skip
    viewer.theme = theme
    canvas = TissueCanvas(viewer, sample.section)
    by_type(canvas, types)
    near = canvas.pyramid._cells.tree.query(sample.section.xy.mean(axis=0), k=60)[1]
    canvas.fit(near)
    canvas.set_look(look)
    canvas.select(near[:2])
    drawn = shown(picture(viewer, f"close-{look}-{theme}"))
    assert drawn < 0.35 if look == "outlines" else drawn > 0.5


def test_three_paintings_beside_each_other(
    viewer: Viewer, sample: api.OpenedSection, types: tuple[np.ndarray, list[str]]
) -> None:
    canvas = TissueCanvas(viewer, sample.section)
    canvas.show_legend(False)
    by_type(canvas, types)
    canvas.paint_values("Cux2", gene(sample, "Cux2"))
    canvas.paint_values("Gad1", gene(sample, "Gad1"), colormap="viridis")
    canvas.show_beside("type", "Cux2", "Gad1")
    canvas.select(np.flatnonzero(gene(sample, "Gad1") > 0)[:40])
    canvas.fit()
    assert shown(picture(viewer, "beside")) > 0.2


def test_outlines_over_the_image(viewer: Viewer, sample: api.OpenedSection) -> None:
    from spatialdata.transformations import get_transformation

    image = sample.sdata.images["morphology"]
    axes = {"input_axes": ("x", "y"), "output_axes": ("x", "y")}
    size = get_transformation(image).to_affine_matrix(**axes)[0, 0]
    viewer.add_image(
        np.asarray(image.data[0]), scale=(size, size), translate=(size / 2, size / 2),
        units=("um", "um"),
    )  # fmt: skip
    canvas = TissueCanvas(viewer, sample.section)
    canvas.paint_values("Snap25", gene(sample, "Snap25"), colormap="viridis")
    canvas.set_look("outlines")
    near = canvas.pyramid._cells.tree.query(sample.section.xy.mean(axis=0), k=300)[1]
    canvas.fit(near)
    assert shown(picture(viewer, "outlines-over-image")) > 0.2


def test_a_vendor_s_label_image(viewer: Viewer, shared: Path) -> None:
    opened = api.open_section(shared / "data/vendor/xenium_mouse_5k_23cells.zarr")
    section = opened.section
    assert section.labels is not None
    canvas = TissueCanvas(viewer, section)
    canvas.paint_values("counts", section.cells.totals, colormap="viridis")
    assert canvas.pyramid.pixel == pytest.approx(0.2125)
    canvas.fit(np.arange(12))
    assert shown(picture(viewer, "label-image")) > 0.002
    element = np.asarray(section.labels.levels[0])
    found = [canvas.pyramid.at(y, x) for x, y in section.xy]
    columns, rows = np.floor(section.xy / 0.2125).astype(int).T
    expected = [int(np.flatnonzero(section.labels.ids == label)[0]) if label else -1
                for label in element[rows, columns]]  # fmt: skip
    assert found == expected
    assert found == list(range(len(section)))


@pytest.mark.parametrize("shape", ["discs", "areas"])
def test_centroids_alone(viewer: Viewer, shared: Path, shape: str) -> None:
    opened = api.open_section(shared / "data/annotation/osmfish.h5ad")
    canvas = TissueCanvas(viewer, opened.section)
    canvas.set_shape(shape)
    labels = opened.table.obs["region"].astype("category").cat
    names = list(labels.categories)
    canvas.paint_categories("region", labels.codes.to_numpy(), default_colors(len(names)),
                            names=names)  # fmt: skip
    canvas.fit()
    assert shown(picture(viewer, f"centroids-{shape}")) > (0.15 if shape == "areas" else 0.08)


def test_spots_and_an_unknown_unit(viewer: Viewer, shared: Path) -> None:
    opened = api.open_section(shared / "data/domains/visium_dlpfc_151673.h5ad")
    canvas = TissueCanvas(viewer, opened.section)
    assert canvas.pyramid.diameter == 55
    canvas.paint_values("counts", opened.section.cells.totals)
    canvas.fit(np.flatnonzero((opened.section.xy < opened.section.xy.mean(axis=0)).all(axis=1)))
    picture(viewer, "spots")
    canvas.remove()
    unknown = api.open_section(shared / "data/annotation/starmap_by3_v1.h5ad").section
    assert unknown.unit == "unknown"
    canvas = TissueCanvas(viewer, unknown)
    canvas.paint_values("counts", unknown.cells.totals)
    canvas.fit()
    assert picture(viewer, "unknown-unit").any()
    drawn = viewer.window._qt_viewer.canvas._viewer_overlay_to_visual
    [bar] = drawn[viewer.canvas.overlays.scale_bar]
    assert bar.node.text.text.endswith("units")
