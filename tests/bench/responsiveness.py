"""Whether the window answers while it annotates: stalls, first colours, cancel, memory.

    python tests/bench/responsiveness.py section.zarr bundle     # on a screen, or a virtual one

The section is opened and annotated as by a click on Annotate, with all of it in view. "p99" is the
gap between two rounds of the event loop that 99 % of the time waited no longer than, "longest" the
longest one; "first colours" is when the first cells had been drawn in the colour of their type, and
"cancel" is from the click until a job was over that had run for a second. With ``--runs 20`` the
memory tells whether anything is left behind.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import psutil
import torch
from qtpy.QtWidgets import QApplication

from heart import Heart
from measuring import machine
from napari_tagscope.views.open import show_dock
from napari_tagscope.views.session import Session, session_of

PATIENCE = 1800.0
SETTLED = 2.0  # seconds without a job until its memory is looked at


def wait(condition: Callable[[], object], patience: float = PATIENCE) -> float:
    """Let the window work until a condition holds; seconds that took."""
    began = time.perf_counter()
    while not condition():
        QApplication.processEvents()
        time.sleep(0.001)
        if time.perf_counter() - began > patience:
            raise TimeoutError(f"not within {patience:.0f} s: {condition}")
    return time.perf_counter() - began


def rest(seconds: float) -> None:
    """Let the window work for so long."""
    began = time.perf_counter()
    wait(lambda: time.perf_counter() - began > seconds)


def first_colours(session: Session) -> Callable[[], bool]:
    """Whether cells have been drawn in their types' colours since this was called."""
    drawn: list[bool] = []
    painter: Any = session.painter
    update = painter.update_categories

    def told(*arguments: Any) -> None:
        update(*arguments)
        QApplication.processEvents()
        drawn.append(True)
        painter.update_categories = update

    painter.update_categories = told
    return lambda: bool(drawn)


def run_once(session: Session, heart: Heart) -> tuple[float, float]:
    """Seconds until the first colours, and until the end."""
    coloured = first_colours(session)
    heart.start()
    session.annotate.run()
    first = wait(coloured)
    whole = first + wait(lambda: not session.annotate.state.running and not session.busy)
    heart.stop()
    return first, whole


def cancel_once(session: Session) -> float:
    """Seconds from a click on Cancel until the job is over."""
    session.annotate.run()
    rest(1.0)
    session.annotate.cancel()
    return wait(lambda: not session.busy)


def opened(section: Path, bundle: Path) -> tuple[Any, Session]:
    """A window with a section and a bundle that are ready."""
    viewer = napari.Viewer()
    viewer.window.resize(1680, 1000)
    show_dock(viewer)
    session = session_of(viewer)
    session.section.open(section)
    wait(lambda: session.state.opened is not None and not session.busy)
    session.annotate.choose(bundle)
    wait(lambda: session.annotate.state.ready and not session.busy)
    return viewer, session


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("section", type=Path)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--runs", type=int, default=1, help="as many runs; 20 for the memory")
    options = parser.parse_args()
    viewer, session = opened(options.section, options.bundle)
    heart, process = Heart(), psutil.Process()
    print(f"{machine(torch.device('cpu'))}\n")
    print("| cells | first colours, s | whole, s | p99, ms | longest, ms | memory, GB |")
    print("|---|---|---|---|---|---|", flush=True)
    cells = len(session.state.opened.section) if session.state.opened else 0
    for _ in range(options.runs):
        first, whole = run_once(session, heart)
        rest(SETTLED)
        memory = process.memory_info().rss / 1e9
        print(f"| {cells:,} | {first:.2f} | {whole:.1f} | {heart.percentile(99) * 1e3:.0f} | "
              f"{heart.longest * 1e3:.0f} | {memory:.2f} |", flush=True)  # fmt: skip
    print(f"\ncancelled within {cancel_once(session):.2f} s")
    viewer.close()


if __name__ == "__main__":
    main()
