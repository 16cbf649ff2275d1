"""A window, and the sample annotated with a small network, which is made once for all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from napari import Viewer

from tagscope import api
from tagscope.core.section import Reference

# a loaded machine is slow; the waits end as soon as what they wait for is there
PATIENCE_MS = 60_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Windows of napari's own fixture come first: it counts all that there are in the process."""
    items.sort(key=lambda item: "make_napari_viewer" not in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small run best on one core, beside whatever else the machine does."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def bundle(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> api.Bundle:
    """A small network, trained for a moment on a part of the sample's reference."""
    whole = api.read_reference(sample_data / "reference.h5ad", "cell_type")
    rows = np.random.default_rng(0).permutation(len(whole))[:1200]
    part = Reference(whole.cells.take(rows), whole.labels, whole.codes[rows])
    return api.train(
        part,
        out=tmp_path_factory.mktemp("bundles") / "quick",
        config=api.TrainConfig(epochs=6, batch_size=16, learning_rate=0.002),
        model_config=api.CellMemoryConfig(width=64, ffn=64, layers=1),
        panel=api.open_section(sample_data / "section.zarr").section.panel,
    )


@pytest.fixture(scope="session")
def annotated(
    sample_data: Path, bundle: api.Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The sample, annotated with attention by the command's own function."""
    out = tmp_path_factory.mktemp("annotated") / "annotated.zarr"
    config = api.AnnotateConfig(attention=True)
    api.annotate(sample_data / "section.zarr", bundle, config, out=out)
    return out


@pytest.fixture
def viewer(qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Viewer]:
    """A window whose jobs have ended when the test has."""
    monkeypatch.setenv("TAGSCOPE_CACHE", str(tmp_path / "cache"))
    made = Viewer()
    made.window.resize(1640, 980)
    yield made
    if made in Viewer._instances:
        made.close()
    qtbot.waitUntil(lambda: not _job_threads(), timeout=PATIENCE_MS)


@pytest.fixture
def wait(qtbot: Any) -> Callable[[Callable[[], object]], None]:
    """Wait until a condition holds."""

    def until(condition: Callable[[], object]) -> None:
        qtbot.waitUntil(lambda: bool(condition()), timeout=PATIENCE_MS)

    return until


@pytest.fixture
def job_threads() -> Callable[[], list[threading.Thread]]:
    """The threads in which jobs run now."""
    return _job_threads


def _job_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("tagscope-job")]
