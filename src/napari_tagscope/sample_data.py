"""The entry "TAGscope sample: simulated cortex" of napari's File menu."""

from __future__ import annotations

from typing import Any

import napari


def open_simulated_cortex() -> list[Any]:
    """Open the sample in the current viewer, through the dock; no layer is returned."""
    viewer = napari.current_viewer()
    if viewer is not None:
        from napari_tagscope.views.open import open_sample

        open_sample(viewer)
    return []
