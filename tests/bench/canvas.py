"""The canvas beside napari's own ways to show cells, and napari-spatialdata's, in one run.

    python tests/bench/canvas.py [--cells 100000 300000 1000000]
    python tests/bench/canvas.py --quick    # 10,000 cells

On a screen, or a virtual one. Every case runs in a process of its own, one after the other, in a
window of 1,400 × 900; one that takes more than 300 s or 12 GB is ended. ``canvas_ways.py`` and
``canvas_spatialdata.py`` say how each way is asked.

- Repaint: all values are replaced and the picture is drawn, the whole section in view.
- First picture and whole: from arrays in memory until cells are first drawn, coloured or not, and
  until nothing more is drawn.
- Memory: the highest of the process beyond that of an empty window, arrays included.
- Frames: the camera moves, and the window answers. Sharp: the longest time from the end of a
  movement to its last picture. No tile is kept from before, in memory or on disk.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
import torch

from measuring import machine, table

CELLS = (100_000, 300_000, 1_000_000)
QUICK = (10_000,)
LONGEST = 300.0  # s
MOST = 12e9  # bytes
WAYS = {
    "TAGscope, centroids": "canvas_ways.Centroids",
    "TAGscope, polygons": "canvas_ways.Polygons",
    "napari Points": "canvas_ways.NapariPoints",
    "napari Labels": "canvas_ways.NapariLabels",
    "napari-spatialdata, circles": "canvas_spatialdata.Circles",
    "napari-spatialdata, labels": "canvas_spatialdata.Labels",
}
OURS, NAPARI = tuple(WAYS)[:2], tuple(WAYS)[2:4]
MOVEMENTS = ("zoom", "pan 1 ×", "pan 4 ×", "pan 16 ×", "pan 64 ×")


@dataclass(frozen=True)
class Case:
    """What one process measures."""

    what: str
    way: str
    by: str
    cells: int


@dataclass(frozen=True)
class Outcome:
    """What a case has told, and why it ended before it had told all."""

    found: dict[str, Any]
    ended: str

    def said(self, name: str, unit: float = 1.0) -> object:
        """A number in a unit; where there is none, why not."""
        return self.found[name] / unit if name in self.found else self.ended

    def spread(self, name: str) -> str:
        """Median, 95 % and highest in milliseconds."""
        if name not in self.found:
            return self.ended
        return " / ".join(f"{seconds * 1000:.0f}" for seconds in self.found[name][:3])


def outcome(case: Case, labels: Path) -> Outcome:
    """Run a case in a process of its own, with an empty cache."""
    print(f"{case.way}, {case.cells:,} cells, by {case.by}: {case.what}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as empty, tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__, "--case", case.what, case.way, case.by,
             "--cells", str(case.cells), "--labels", labels],
            stdout=told, env={**os.environ, "TAGSCOPE_CACHE": empty},
        )  # fmt: skip
        ended = _watched(process)
        told.seek(0)
        found: dict[str, Any] = {}
        for line in told:
            found |= json.loads(line)
    return Outcome(found, ended)


def _watched(process: subprocess.Popen[bytes]) -> str:
    """Wait for a process, and end it where it takes too much; why it has not done all, if so."""
    began, watched = time.monotonic(), psutil.Process(process.pid)
    while process.poll() is None:
        if time.monotonic() - began > LONGEST:
            return _killed(process, f"> {LONGEST:.0f} s")
        if watched.memory_info().rss > MOST:
            return _killed(process, f"> {MOST / 1e9:.0f} GB")
        time.sleep(0.05)
    return "" if process.returncode == 0 else f"failed, {process.returncode}"


def _killed(process: subprocess.Popen[bytes], reason: str) -> str:
    process.kill()
    process.wait()
    return reason


def repaints(cells: int, labels: Path) -> Iterator[tuple[object, ...]]:
    """A row for every way and what it colours by."""
    for by in ("number", "category"):
        ours = None
        for way in WAYS:
            measured = outcome(Case("repaint", way, by, cells), labels)
            repaint = measured.found.get("repaint")
            ours = ours or repaint
            yield (
                way, by, measured.said("first"), measured.said("whole"),
                measured.said("repaint", 1e-3), measured.said("lowest", 1e-3),
                repaint / ours if repaint and ours else measured.ended,
                measured.said("memory", 1e9),
            )  # fmt: skip


def journeys(sizes: Iterable[int], labels: Path) -> Iterator[tuple[object, ...]]:
    """A row for every way and size; napari's own at the smallest."""
    smallest, *larger = sorted(sizes)
    cases = [(way, smallest) for way in (*OURS, *NAPARI)]
    cases += [(way, cells) for cells in larger for way in OURS]
    for way, cells in cases:
        measured = outcome(Case("journey", way, "category", cells), labels)
        sharp = max((told[3] for told in measured.found.values()), default=measured.ended)
        yield (way, cells, *(measured.spread(name) for name in MOVEMENTS), sharp)


def picks(cells: int, labels: Path) -> Iterator[tuple[object, ...]]:
    """A row for centroids and one for polygons."""
    for way in OURS:
        measured = outcome(Case("picking", way, "category", cells), labels)
        yield (way, cells, measured.spread("pick"))


def report(sizes: list[int], folder: Path) -> None:
    """Run all cases and print their tables."""
    print(machine(torch.device("cpu")))
    for cells in sizes:
        labels = folder / f"{cells}.npz"
        command = [sys.executable, __file__, "--save", "--cells", str(cells), "--labels", labels]
        subprocess.run(command, check=True)
        table(
            f"Repaint, first picture and memory, {cells:,} cells",
            ("way", "by", "first picture, s", "whole, s", "repaint, ms", "lowest, ms",
             "× TAGscope", "memory, GB"),
            repaints(cells, labels),
        )  # fmt: skip
    smallest = folder / f"{min(sizes)}.npz"
    table(
        "Frames, median / 95 % / highest in ms",
        ("way", "cells", *MOVEMENTS, "sharp, s"),
        journeys(sizes, smallest),
    )
    table(
        "A click, median / 95 % / highest in ms",
        ("way", "cells", "pick"),
        picks(max(sizes), smallest),
    )
    print(f"\n{machine(torch.device('cpu'))}")


def alone(options: argparse.Namespace) -> None:
    """What a process of its own does."""
    import canvas_cases  # not in the process that waits, whose memory others would start from

    if options.save:
        canvas_cases.save_labels(options.cells[0], options.labels)
        return
    what, way, by = options.case
    module, name = WAYS[way].split(".")
    kind = getattr(import_module(module), name)
    canvas_cases.CASES[what](kind, by, options.cells[0], options.labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, nargs="+", default=list(CELLS))
    parser.add_argument("--quick", action="store_true", help=f"{QUICK[0]:,} cells")
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--save", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--labels", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case or options.save:
        alone(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        report(list(QUICK) if options.quick else options.cells, Path(folder))


if __name__ == "__main__":
    main()
