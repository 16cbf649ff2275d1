"""What a viewer shows, and where pictures of it are kept: TAGSCOPE_SCREENSHOTS names the folder."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.QtTest import QTest

Drawn = npt.NDArray[np.int64]


def keep(viewer: Any, name: str, *, canvas_only: bool = False) -> None:
    """Keep a picture of the window, or of its canvas, where pictures are asked for."""
    folder = os.environ.get("TAGSCOPE_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        QTest.qWait(200)  # layouts settle
        let_draw()
        path = str(Path(folder) / f"{name}.png")
        viewer.screenshot(path, canvas_only=canvas_only, flash=False)


def let_draw() -> None:
    """Wait until nothing is drawn in the background, and what came of it is on the canvas."""
    QTest.qWait(50)
    while any(thread.name == "tagscope-tiles" for thread in threading.enumerate()):
        QTest.qWait(50)


def photo(viewer: Any) -> npt.NDArray[np.uint8]:
    """A picture of the canvas, (height, width, RGBA)."""
    let_draw()
    picture: npt.NDArray[np.uint8] = viewer.screenshot(canvas_only=True, flash=False)
    return picture


def drawn(viewer: Any) -> Drawn:
    """What the canvas shows, (height, width, RGB)."""
    return photo(viewer)[..., :3].astype(np.int64)


def filled(picture: Drawn) -> float:
    """Share of pixels that are not of the most frequent colour, the canvas's."""
    colors, counts = np.unique(picture.reshape(-1, 3), axis=0, return_counts=True)
    like_the_canvas = np.abs(colors - colors[counts.argmax()]).max(axis=1) < 4
    return float(1 - counts[like_the_canvas].sum() / counts.sum())


def changed(before: Drawn, after: Drawn) -> float:
    """Share of pixels that differ."""
    return float((np.abs(before - after).max(axis=-1) > 8).mean())
