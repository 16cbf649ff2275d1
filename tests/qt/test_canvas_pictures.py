"""Sections of every kind in the window, in both themes, as their user sees them.

One window serves all: it opens one section after the other. Pictures go into the folder named by
TAGSCOPE_SCREENSHOTS, if it is set.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari import Viewer
from qtpy.QtTest import QTest

from napari_tagscope.canvas.tissue import TissueCanvas
from napari_tagscope.controllers.layers import GENE_COLORS
from napari_tagscope.views.dock import TagscopeDock
from napari_tagscope.views.open import show_dock
from pictures import Drawn, changed, drawn, filled, keep
from tagscope import api

PATIENCE_S = 60


@dataclass(frozen=True)
class Window:
    """A viewer with the dock."""

    viewer: Viewer
    dock: TagscopeDock

    @property
    def session(self) -> Any:
        return self.dock.session

    @property
    def canvas(self) -> TissueCanvas:
        return self.session.painter.canvas

    @property
    def opened(self) -> api.OpenedSection:
        return self.session.state.opened

    def open(self, path: Path, **choices: Any) -> None:
        self.session.section.open(path, **choices)
        self.settle()
        self.session.section.choose_look("filled")

    def settle(self) -> None:
        for _ in range(PATIENCE_S * 50):
            if not self.session.busy:
                return
            QTest.qWait(20)
        raise TimeoutError(f"still busy after {PATIENCE_S} s")

    def fit(self, cells: int) -> np.ndarray:
        """Bring the cells in the middle of the section into view."""
        away = np.linalg.norm(self.opened.section.xy - self.opened.section.xy.mean(0), axis=1)
        rows = np.argsort(away)[:cells]
        self.canvas.fit(rows)
        return rows

    def pictures(self, name: str) -> tuple[Drawn, Drawn]:
        """The canvas in the dark and in the light theme; the whole window is kept."""
        shown = []
        for theme in ("dark", "light"):
            self.viewer.theme = theme
            keep(self.viewer, f"{name}-{theme}")
            shown.append(drawn(self.viewer))
        return shown[0], shown[1]

    def scale_bar(self) -> str:
        """What stands at the scale bar."""
        shown = self.viewer.window._qt_viewer.canvas._viewer_overlay_to_visual
        [bar] = shown[self.viewer.canvas.overlays.scale_bar]
        return str(bar.node.text.text)


@pytest.fixture(scope="module")
def window(qapp: object) -> Iterator[Window]:
    viewer = Viewer()
    viewer.window.resize(1640, 980)
    yield Window(viewer, show_dock(viewer))
    viewer.close()


@pytest.fixture(scope="module")
def typed(window: Window, annotated: Path) -> Window:
    """The window with the annotated sample."""
    window.open(annotated)
    return window


def test_types(typed: Window) -> None:
    typed.canvas.show_legend(True)
    for picture in typed.pictures("types"):
        assert 0.2 < filled(picture) < 0.7
    typed.canvas.show_legend(False)
    rows = typed.fit(60)
    typed.session.state.select_cell(int(rows[0]))
    for look in ("filled", "both", "outlines"):
        typed.session.section.choose_look(look)
        for picture in typed.pictures(f"types-{look}"):
            assert filled(picture) < 0.35 if look == "outlines" else filled(picture) > 0.5


def test_attention_beside_expression(typed: Window) -> None:
    typed.session.section.choose_look("filled")
    typed.session.attention.choose_gene_with_its_type("Cux2")
    typed.dock.attention.both_button.click()
    typed.settle()
    typed.canvas.fit()
    for picture in typed.pictures("attention-beside-expression"):
        half = picture.shape[1] // 2
        assert changed(picture[:, :half], picture[:, -half:]) > 0.05
    typed.dock.attention.attention_button.click()
    typed.fit(60)
    typed.session.section.choose_look("outlines")
    typed.session.state.select_cell(None)
    dark, _ = typed.pictures("attention-outlines")
    assert np.median(dark[dark.max(axis=-1) > 20].max(axis=-1)) > 120  # low values are seen


def test_images_under_the_cells(typed: Window) -> None:
    typed.dock.attention.attention_button.click()
    typed.session.layers.set_images(True)
    typed.settle()
    typed.session.state.select_label(None)
    typed.canvas.show("cell type")
    typed.fit(60)
    for look in ("translucent", "outlines"):
        typed.session.section.choose_look(look)
        for picture in typed.pictures(f"image-{look}"):
            assert filled(picture) > 0.3
    typed.session.layers.set_images(False)


def test_transcripts_of_three_genes(typed: Window) -> None:
    typed.session.layers.set_transcripts(True)
    for gene in ("Slc17a7", "Gad1", "Plp1"):
        typed.session.state.select_gene(gene)
        typed.session.layers.keep_gene(True)
        typed.settle()
    typed.canvas.show("cell type")
    typed.session.section.choose_look("outlines")
    rgb = [tuple(int(c[i : i + 2], 16) for i in (1, 3, 5)) for c in GENE_COLORS[:3]]
    typed.canvas.fit()
    keep(typed.viewer, "transcripts-whole")
    typed.fit(60)
    for picture in typed.pictures("transcripts"):
        assert all((picture == color).all(axis=-1).sum() > 200 for color in rgb)
    typed.session.layers.set_transcripts(False)


def test_centroids_alone(window: Window, shared: Path) -> None:
    window.open(shared / "data/annotation/osmfish.h5ad")
    shares = {}
    for shape in ("discs", "areas"):
        window.session.section.choose_shape(shape)
        shares[shape] = filled(window.pictures(f"centroids-{shape}")[0])
    assert 0.08 < shares["discs"] < shares["areas"]
    window.session.section.choose_shape("discs")


def test_sections_side_by_side(window: Window, shared: Path) -> None:
    window.open(shared / "data/unlabelled/molcart_mouse_cortex_3sections.h5ad")
    window.session.section.apply_offer({"sections": "section"})
    window.settle()
    assert len(window.opened.section.pieces.names) == 3
    window.canvas.fit()
    for picture in window.pictures("sections-side-by-side"):
        columns = (picture != picture[2, picture.shape[1] // 2]).any(axis=(0, 2))
        assert columns.mean() > 0.5


def test_a_simulated_xenium_folder(window: Window, tmp_path: Path) -> None:
    config = api.SimulateConfig(cells=500, reference_cells=1000)
    window.open(api.simulate(tmp_path / "run", config, layout="xenium") / "section")
    window.session.layers.set_images(True)
    window.session.section.choose_look("outlines")
    window.settle()
    window.canvas.fit()
    keep(window.viewer, "xenium-folder")
    window.fit(40)
    for picture in window.pictures("xenium-folder-close"):
        assert filled(picture) > 0.2


def test_a_xenium_store(window: Window, shared: Path) -> None:
    window.open(shared / "data/vendor/xenium_mouse_5k_23cells.zarr")
    section = window.opened.section
    assert window.canvas.pyramid.pixel == pytest.approx(0.2125)
    window.session.layers.set_images(True)
    window.settle()
    window.canvas.fit()
    keep(window.viewer, "xenium-store")
    window.session.section.choose_look("outlines")
    window.canvas.fit(np.arange(3))
    for picture in window.pictures("xenium-store-close"):
        assert filled(picture) > 0.05
    labels = section.labels
    assert labels is not None
    columns, rows = np.floor(section.xy / 0.2125).astype(int).T
    drawn_there = np.asarray(labels.levels[0])[rows, columns]
    expected = [int(np.flatnonzero(labels.ids == i)[0]) if i else -1 for i in drawn_there]
    assert [window.canvas.pyramid.at(y, x) for x, y in section.xy] == expected
    assert expected == list(range(len(section)))


def test_spots(window: Window, shared: Path) -> None:
    window.open(shared / "data/domains/visium_dlpfc_151673.h5ad")
    assert window.canvas.pyramid.diameter == 55
    window.fit(300)
    for picture in window.pictures("spots"):
        assert filled(picture) > 0.15


def test_an_unknown_unit_has_no_prefix(window: Window, shared: Path) -> None:
    window.open(shared / "data/annotation/starmap_by3_v1.h5ad")
    assert window.opened.section.unit == "unknown"
    window.canvas.fit()
    window.pictures("unknown-unit")
    number, unit = window.scale_bar().split()
    assert (float(number) >= 1000, unit) == (True, "units")
    window.fit(5)
    assert window.scale_bar().split()[1] == "units"
