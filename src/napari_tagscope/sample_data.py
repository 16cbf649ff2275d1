"""The entry "TAGscope sample: simulated cortex" of napari's File menu."""

from __future__ import annotations

from typing import Any

import napari


def open_simulated_cortex() -> list[Any]:
    """Open the sample in the current viewer, through the dock.

    napari wants a layer from every sample: it gets the cells' centroids, not shown.
    """
    viewer = napari.current_viewer()
    if viewer is None:
        from tagscope import api

        section = api.open_section(api.sample().section).section
    else:
        from napari_tagscope.views.open import open_sample

        opened = open_sample(viewer).state.opened
        if opened is None:
            return []
        section = opened.section
    look = {"name": "centroids", "visible": viewer is None, "size": 4, "metadata": {}}
    return [(section.xy[:, ::-1], look, "points")]
