"""Folders and files dragged onto the window, through napari's own drop handling."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from napari import Viewer

from hands import drop
from napari_tagscope.views.session import session_of
from tagscope import api


@pytest.fixture(scope="module")
def xenium(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run as a Xenium instrument leaves it; its folder's name says nothing."""
    config = api.SimulateConfig(cells=500, reference_cells=1000)
    return api.simulate(tmp_path_factory.mktemp("run") / "out", config, layout="xenium") / "section"


@pytest.fixture(scope="module")
def h5ad(xenium: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("table") / "section.h5ad"
    return api.export(xenium, "h5ad", out)


@pytest.mark.parametrize("kind", ["store", "xenium", "h5ad"])
def test_what_is_dropped_on_the_window_opens(
    viewer: Viewer,
    kind: str,
    sample_data: Path,
    request: pytest.FixtureRequest,
    wait: Callable[[Callable[[], object]], None],
) -> None:
    path = sample_data / "section.zarr" if kind == "store" else request.getfixturevalue(kind)
    drop(viewer, path)
    session = session_of(viewer)
    wait(lambda: session.state.opened is not None and not session.busy)
    assert session.state.opened.source.path == path
    assert [layer.name for layer in viewer.layers] == ["counts per cell"]
    assert any("TAGscope" in name for name in viewer.window.dock_widgets)
