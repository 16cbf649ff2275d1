"""What a step of the confidence slider costs the window at 1,000,000 cells.

Run with ``pytest tests/bench/test_confidence_slider.py --benchmark-only``.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle

import numpy as np
import pytest
from napari import Viewer
from pytest_benchmark.fixture import BenchmarkFixture

from canvas_screen import Screen
from canvas_tissue import TYPES, section
from napari_tagscope.canvas.tissue import TissueCanvas
from napari_tagscope.controllers.legend import LegendController
from napari_tagscope.controllers.stored import prepared
from napari_tagscope.state import ViewerState
from napari_tagscope.views.legend_view import LegendView
from napari_tagscope.views.painter import CanvasPainter
from tagscope.core.labels import LabelSet
from tagscope.core.provenance import Provenance
from tagscope.core.results import Annotation, AnnotationResult

CELLS = 1_000_000


def annotated() -> AnnotationResult:
    """Cells of twelve types, most of them sure."""
    random = np.random.default_rng(0)
    top = random.beta(5, 1.5, CELLS).astype(np.float32) * 0.9 + 0.1
    probabilities = np.repeat(((1 - top) / (TYPES - 1))[:, None], TYPES, axis=1)
    probabilities[np.arange(CELLS), random.integers(0, TYPES, CELLS)] = top
    names = tuple(f"type {code}" for code in range(TYPES))
    ids, embedding = np.arange(CELLS).astype(str), np.zeros((CELLS, 0), np.float32)
    annotation = Annotation(ids, LabelSet(names), probabilities, embedding)
    return prepared(AnnotationResult("cellmemory", annotation, None, None, Provenance("", {})))


@pytest.mark.parametrize("bounds", [np.arange(0.5, 0.7, 0.01), np.array([1.0, 0.0])], ids=len)
def test_step(
    benchmark: BenchmarkFixture, make_napari_viewer: Callable[..., Viewer], bounds: np.ndarray
) -> None:
    viewer = make_napari_viewer(show=True)
    screen, state = Screen(viewer), ViewerState()
    painter = CanvasPainter(viewer, state)
    painter.canvas = TissueCanvas(viewer, section(CELLS))
    legend = LegendController(state, painter)
    view = LegendView(legend)
    state.set_result(annotated())
    viewer.reset_view()
    screen.rest()
    steps = cycle(bounds.tolist())
    benchmark.pedantic(
        lambda: screen.timed(lambda: legend.set_min_confidence(next(steps))),
        rounds=20,
        warmup_rounds=2,
    )
    painter.stop()
    view.deleteLater()
