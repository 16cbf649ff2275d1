"""How long a section takes to open in the window: the first picture, the whole, and memory.

    python tests/bench/opening.py section.zarr section.h5ad     # on a screen, or a virtual one

Every file is opened in a process of its own, with the window there for five seconds. "first tissue"
is when the canvas has been drawn with the cells' places, "whole" when cells, counts and outlines
are there and the canvas has been drawn again. "stall" is the longest time in which the window did
not answer.
``tagscope simulate --cells 1000000`` makes a section to open.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from measuring import peak_so_far

PATIENCE = 300.0
LOOKING = 5.0  # s that a person takes to choose a file


def open_once(path: Path) -> None:
    """Open one file and print its row of the table."""
    import napari
    from qtpy.QtWidgets import QApplication

    from heart import Heart
    from napari_tagscope.views.open import show_dock
    from napari_tagscope.views.session import session_of

    viewer = napari.Viewer()
    viewer.window.resize(1680, 1000)
    show_dock(viewer)
    session = session_of(viewer)
    wait_until = time.perf_counter() + LOOKING
    while time.perf_counter() < wait_until:
        QApplication.processEvents()
        time.sleep(0.02)
    before = peak_so_far()
    heart = Heart()
    heart.start()
    started, first = time.perf_counter(), None
    session.section.open(path)
    while session.state.opened is None and time.perf_counter() - started < PATIENCE:
        QApplication.processEvents()
        if first is None and len(viewer.layers):
            QApplication.processEvents()  # the canvas is drawn
            first = time.perf_counter() - started
        time.sleep(0.002)
    QApplication.processEvents()
    whole = time.perf_counter() - started
    while session.busy:
        QApplication.processEvents()
        time.sleep(0.001)
    heart.stop()
    section = session.state.opened.section
    kind = "centroids" if section.outlines is None else "polygons"
    shown = "–" if first is None else f"{first:.2f}"
    print(f"| {len(section):,} | {path.suffix} | {kind} | {shown} | {whole:.1f} | "
          f"{heart.longest:.2f} | {peak_so_far() / 1e9:.1f} | {before / 1e9:.1f} |")  # fmt: skip
    viewer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        open_once(options.paths[0])
        return
    print(
        "| cells | file | shapes | first tissue, s | whole, s | stall, s | peak, GB | empty, GB |"
    )
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for path in options.paths:
        subprocess.run([sys.executable, __file__, "--once", path], check=True)


if __name__ == "__main__":
    main()
