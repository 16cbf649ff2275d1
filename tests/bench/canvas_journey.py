"""A journey over a section: where the camera is in every frame, and what frames and clicks take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from napari import Viewer

from canvas_screen import Screen
from canvas_ways import Centroids, Way

STEP = 1.15  # of the zoom in a frame
DEEPEST = 256.0
PIXELS = 60.0  # on the screen that a quick hand drags in a frame
FRAMES = 60
CLICKS = 200


class Eye(NamedTuple):
    """What the camera sees: times the zoom of the whole section, and the centre as shares of it."""

    zoom: float
    y: float
    x: float


def zooming() -> Iterator[list[Eye]]:
    """In and out again at two places."""
    inwards = STEP ** np.arange(np.ceil(np.log(DEEPEST) / np.log(STEP)) + 1)
    zooms = np.minimum([*inwards, *inwards[-2::-1]], DEEPEST)
    for place in ((0.3, 0.3), (0.6, 0.7)):
        yield [Eye(float(zoom), *place) for zoom in zooms]


def panning(zoom: float, y: float, step: float) -> Iterator[list[Eye]]:
    """To the right; ``step`` is a frame's at the zoom of the whole section, as a share of it."""
    shares = np.arange(0.1, 0.9, step / zoom)[: FRAMES + 1]
    yield [Eye(zoom, y, float(x)) for x in shares]


@dataclass(frozen=True)
class Frames:
    """How long frames took, s, and how long after the last one the picture changed no more."""

    seconds: list[float]
    sharp: float


class Journey:
    """Takes the camera of a window over a section that it shows as a whole."""

    def __init__(self, viewer: Viewer, way: Way) -> None:
        self._camera = viewer.scene.camera
        self._way = way
        self._whole = float(self._camera.zoom)
        self._low = way.section.xy.min(axis=0)[::-1]
        self._size = way.section.xy.max(axis=0)[::-1] - self._low

    def movements(self) -> dict[str, Iterator[list[Eye]]]:
        """By name, the places of the camera in every frame."""
        step = PIXELS / (self._whole * float(self._size[1]))
        rows = {1: 0.5, 4: 0.2, 16: 0.4, 64: 0.8}
        pans = {f"pan {zoom} ×": panning(zoom, y, step) for zoom, y in rows.items()}
        return {"zoom": zooming(), **pans}

    def frames(self, screen: Screen, paths: Iterator[list[Eye]]) -> Frames:
        """Frames of a movement over tissue that was not drawn before."""
        seconds, sharp = [], 0.0
        for first, *path in paths:
            if isinstance(self._way, Centroids):
                self._way.forget()
            self._look(first)
            screen.rest()
            seconds += [screen.timed(lambda eye=eye: self._look(eye)) for eye in path]
            sharp = max(sharp, screen.rest())
        return Frames(seconds, sharp)

    def _look(self, eye: Eye) -> None:
        self._camera.zoom = self._whole * eye.zoom
        center = self._low + self._size * (eye.y, eye.x)
        self._camera.center = (0.0, float(center[0]), float(center[1]))


def clicks(way: Centroids) -> list[float]:
    """Seconds that finding a cell takes, at places that were not drawn before."""
    way.forget()
    low, high = way.section.xy.min(axis=0), way.section.xy.max(axis=0)
    places = np.random.default_rng(2).uniform(low[::-1], high[::-1], (CLICKS, 2))
    return [_seconds_of_pick(way, place) for place in places]


def _seconds_of_pick(way: Centroids, place: npt.NDArray[np.float64]) -> float:
    began = time.perf_counter()
    way.canvas.pick(place)
    return time.perf_counter() - began
