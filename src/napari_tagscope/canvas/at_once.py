"""Several changes of a viewer's layers that napari takes into its scene in one step."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from napari.components import ViewerModel

_YOUNG = 1  # generation

_changing: set[int] = set()


@contextmanager
def at_once(viewer: ViewerModel) -> Iterator[None]:
    """Let napari rebuild its scene when the last of some changes is made; one within another is
    part of it.

    napari then looks through all objects of the process for garbage, which is most of what a
    change costs; here it looks through the young ones, and Python through all in its own time.
    """
    key = id(viewer.layers)
    if key in _changing:
        yield
        return
    _changing.add(key)
    collect = gc.collect
    gc.collect = partial(collect, _YOUNG)
    try:
        with viewer.layers.batched_update():
            yield
    finally:
        gc.collect = collect
        _changing.discard(key)
