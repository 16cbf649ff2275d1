"""Controllers with a recording painter, a runner without threads, and small real data."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

from napari_tagscope.controllers.annotate import AnnotateController
from napari_tagscope.controllers.bundles import KnownBundles
from napari_tagscope.controllers.legend import LegendController
from napari_tagscope.controllers.section import SectionController
from napari_tagscope.state import ViewerState
from napari_tagscope.tasks import failure_of
from tagscope import api
from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.core.provenance import Provenance
from tagscope.core.results import Annotation, AnnotationResult, GeneScores
from tagscope.jobs import JobCancelled, JobContext
from tagscope.models.base import Capability
from tagscope.models.bundle import save_bundle
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.cellmemory.network import CellMemoryNetwork

GENES = ("Gad1", "Slc17a7", "Mbp", "Aqp4", "Cx3cr1", "Cldn5")
TYPES = ("Astrocyte", "Excitatory", "Inhibitory")
CELLS = 30


class RecordingPainter:
    """Remembers what was painted last, as a canvas would show it."""

    def __init__(self):
        self.calls = []
        self.values = {}
        self.titles = {}
        self.said = {}
        self.codes = {}
        self.colors = {}
        self.hidden = {}
        self.isolated = {}
        self.front = None
        self.prepared, self.previews = [], []
        self.view = np.array([3, 1], dtype=np.int64)
        self.limits, self.side_by_side = {}, ()
        self.lines = None

    def at_once(self):
        return nullcontext()

    def prepare(self, section):
        self.prepared.append(section)

    def preview(self, section):
        self.previews.append(section)

    def paint_values(
        self, name, title, values, *, colormap, facts="", unit="", alone=True, shown=True
    ):
        if alone and shown:
            self.side_by_side = ()
        self.calls.append(("paint_values", name, colormap))
        self.values[name], self.titles[name] = values, title
        self.said[name] = (facts, unit)
        if shown:
            self.front = name

    def paint_categories(self, name, title, codes, colors, names):
        assert len(colors) == len(names)
        self.side_by_side = ()
        self.calls.append(("paint_categories", name))
        self.codes[name], self.titles[name], self.front = np.array(codes), title, name
        self.colors[name] = tuple(colors)

    def update_categories(self, name, rows, codes):
        self.calls.append(("update_categories", name))
        self.codes[name][rows] = codes

    def set_hidden(self, name, codes):
        self.hidden[name] = frozenset(codes)

    def isolate(self, name, code):
        self.isolated[name] = code

    def show_beside(self, *names):
        self.calls.append(("show_beside", *names))
        self.side_by_side = names

    def on_view(self, *names):
        return set(names) == set(self.side_by_side or (self.front,))

    def set_look(self, look):
        self.calls.append(("set_look", look))

    def set_shape(self, shape):
        self.calls.append(("set_shape", shape))

    def draw_lines(self, lines):
        self.lines = lines

    def show_images(self, images):
        self.calls.append(("show_images", tuple(image.name for image in images)))

    def prepare_transcripts(self, transcripts, context):
        return dict(zip(transcripts.genes, np.bincount(transcripts.codes), strict=True))

    def show_transcripts(self, prepared, colors):
        self.calls.append(("show_transcripts", prepared, dict(colors)))

    def remove_transcripts(self):
        self.calls.append(("remove_transcripts",))

    def rows_in_view(self):
        return self.view

    def bring_into_view(self, row, *, centred=False):
        self.calls.append(("bring_into_view", row))

    def seen(self):
        return self.front

    def restore(self, seen):
        self.calls.append(("restore", seen))
        self.front = seen

    def forget(self, section):
        self.calls.append(("forget", section))

    def set_limits(self, name, low, high):
        self.limits[name] = (low, high)


class DirectRunner:
    """Runs tasks at once, or keeps them until :meth:`run` where ``held``."""

    def __init__(self):
        self.held = False
        self.waiting = []
        self.titles = []
        self.cancel_at = None  # cancel a task's context at its n-th report

    def start(self, task):
        self.titles.append(task.title)
        self.waiting = [old for old in self.waiting if old.topic != task.topic]
        self.waiting.append(task)
        if not self.held:
            self.run()

    def cancel(self, topic):
        for task in [task for task in self.waiting if task.topic == topic]:
            self.waiting.remove(task)
            task.cancelled()

    def run(self):
        while self.waiting:
            self._run(self.waiting.pop(0))

    def _run(self, task):
        reports = []

        def report(progress):
            reports.append(progress)
            task.reported([progress])
            if self.cancel_at is not None and len(reports) >= self.cancel_at:
                context.cancel()

        context = JobContext(report)
        try:
            result = task.work(context)
        except JobCancelled:
            task.cancelled()
        except Exception as error:  # noqa: BLE001 - as the real runner's thread does
            task.failed(failure_of(error, "traceback"))
        else:
            task.done(result)


@pytest.fixture(autouse=True)
def one_thread():
    """Networks this small run best on one core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def painter():
    return RecordingPainter()


@pytest.fixture
def runner():
    return DirectRunner()


@pytest.fixture
def state():
    return ViewerState()


@pytest.fixture
def bundles(tmp_path):
    return KnownBundles(tmp_path / "bundles")


@pytest.fixture
def section(state, runner, painter):
    return SectionController(state, runner, painter)


@pytest.fixture
def annotate(state, runner, painter, bundles):
    return AnnotateController(state, runner, painter, LegendController(state, painter), bundles)


def counts(cells=CELLS):
    """Cells of three types by turns, each with two genes of its own."""
    lam = np.full((cells, len(GENES)), 0.5)
    for cell in range(cells):
        lam[cell, 2 * (cell % 3) : 2 * (cell % 3) + 2] = 8.0
    values = np.random.default_rng(0).poisson(lam)
    values[:, 0] += 1  # no empty cell
    return sp.csr_matrix(values, dtype=np.float32)


def table(cells=CELLS):
    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical([TYPES[i % 3] for i in range(cells)]),
            "batch": pd.Categorical(["one"] * cells),
            "age": np.linspace(1, 9, cells),
        },
        index=[f"c{i}" for i in range(cells)],
    )
    made = ad.AnnData(counts(cells), obs=obs, var=pd.DataFrame(index=list(GENES)))
    made.obsm["spatial"] = np.column_stack([np.arange(cells) % 6, np.arange(cells) // 6]) * 10.0
    return made


@pytest.fixture
def section_file(tmp_path) -> Path:
    path = tmp_path / "section.h5ad"
    table().write_h5ad(path)
    return path


@pytest.fixture
def opened(section_file):
    return api.open_section(section_file)


@pytest.fixture
def result(opened) -> AnnotationResult:
    """Right labels; confidences rise from 0.4 to 0.97; attention is each cell's own genes'."""
    true = np.arange(CELLS) % 3
    top = np.linspace(0.4, 0.97, CELLS, dtype=np.float32)
    probabilities = np.repeat((1 - top)[:, None] / 2, 3, axis=1)
    probabilities[np.arange(CELLS), true] = top
    scores = sp.csc_matrix(opened.section.cells.values.multiply(0.01), dtype=np.float32)
    annotation = Annotation(
        opened.section.ids, LabelSet(TYPES), probabilities, np.zeros((CELLS, 2), np.float32)
    )
    return AnnotationResult(
        "cellmemory",
        annotation,
        GeneScores(opened.section.ids, opened.section.panel, scores),
        None,
        Provenance("annotate", {"min_confidence": 0.0}, extra={"labels": list(TYPES)}),
    )


@pytest.fixture
def bundle(tmp_path):
    """A network as it was born: enough to see that it is run, and on what."""
    config = CellMemoryConfig(width=8, ffn=8, layers=1, heads=2, slots=2, max_bin=5)
    torch.manual_seed(0)
    return save_bundle(
        tmp_path / "born",
        model="cellmemory",
        config=config.to_dict(),
        panel=GenePanel(GENES),
        labels=LabelSet(TYPES),
        preprocessing={"target_sum": 100.0, "transform": "log1p"},
        capabilities=frozenset(Capability),
        training={"accuracy": 0.5, "macro_f1": 0.25},
        state=CellMemoryNetwork(config, len(GENES), len(TYPES)).state_dict(),
    )


@pytest.fixture
def annotated(opened, bundle):
    """What that network says, with attention."""
    return api.annotate(opened, bundle, api.AnnotateConfig(attention=True))
