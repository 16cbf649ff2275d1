"""One case of the canvas's benchmark, measured in a process of its own.

What is measured is written to the output as it is found, a JSON object a line, so that a case which
is ended still tells what it got to.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

import napari
import numpy as np

from canvas_journey import Journey, clicks
from canvas_screen import Screen
from canvas_tissue import Labelled, Tissue, section
from canvas_ways import Centroids, Way
from measuring import peak_so_far

ROUNDS = 10
ENOUGH = 30.0  # s of repaints after which no more are timed


def save_labels(cells: int, path: Path) -> None:
    """The image of labels that some ways take as given."""
    Labelled.of(section(cells)).save(path)


def repaint(way: type[Way], by: str, cells: int, labels: Path) -> None:
    """The first picture, repaints, and memory beyond that of an empty window."""
    viewer = napari.Viewer()
    screen = Screen(viewer)
    screen.rest()
    empty = peak_so_far()
    shown = _shown(viewer, way, by, cells, labels)
    first, whole = screen.settled(shown.open)
    tell(first=first, whole=whole, memory=peak_so_far() - empty)
    viewer.reset_view()
    screen.rest()
    screen.settled(shown.paint)
    seconds: list[float] = []
    while len(seconds) < ROUNDS and sum(seconds) < ENOUGH:
        seconds.append(screen.settled(shown.paint)[1])
    tell(repaint=float(np.median(seconds)), lowest=min(seconds), memory=peak_so_far() - empty)


def journey(way: type[Way], by: str, cells: int, labels: Path) -> None:
    """Frames of every movement of the camera."""
    viewer = napari.Viewer()
    screen = Screen(viewer)
    shown = _opened(viewer, screen, way, by, cells, labels)
    taken = Journey(viewer, shown)
    for name, paths in taken.movements().items():
        frames = taken.frames(screen, paths)
        tell(**{name: [*spread(frames.seconds), frames.sharp]})


def picking(way: type[Way], by: str, cells: int, labels: Path) -> None:
    """What a click takes until its cell is known."""
    viewer = napari.Viewer()
    shown = _opened(viewer, Screen(viewer), way, by, cells, labels)
    tell(pick=spread(clicks(cast(Centroids, shown))))


CASES: dict[str, Callable[[type[Way], str, int, Path], None]] = {
    "repaint": repaint,
    "journey": journey,
    "picking": picking,
}


def spread(seconds: list[float]) -> list[float]:
    """Median, 95 % and highest, s."""
    return [float(np.percentile(seconds, share)) for share in (50, 95, 100)]


def tell(**found: object) -> None:
    """Write down what was found by now."""
    print(json.dumps(found), flush=True)


def _shown(viewer: napari.Viewer, way: type[Way], by: str, cells: int, labels: Path) -> Way:
    return way(viewer, Tissue(section(cells), partial(Labelled.load, labels)), by)


def _opened(
    viewer: napari.Viewer, screen: Screen, way: type[Way], by: str, cells: int, labels: Path
) -> Way:
    """A way, all of whose cells are on the screen."""
    shown = _shown(viewer, way, by, cells, labels)
    screen.settled(shown.open)
    screen.settled(shown.paint)
    viewer.reset_view()
    screen.rest()
    return shown
