"""Several changes of a viewer's layers that napari takes into its scene in one step."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from napari.components import ViewerModel

_changing: set[int] = set()


@contextmanager
def at_once(viewer: ViewerModel) -> Iterator[None]:
    """Let napari rebuild its scene when the last of some changes is made; one within another is
    part of it.

    napari then looks through all objects of the process for garbage, which is most of what a
    change costs; what there is by now waits for the next time.
    """
    key = id(viewer.layers)
    if key in _changing:
        yield
        return
    _changing.add(key)
    gc.freeze()
    try:
        with viewer.layers.batched_update():
            yield
    finally:
        gc.unfreeze()
        _changing.discard(key)
