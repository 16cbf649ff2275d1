"""Everything that belongs to one viewer, made once and shared by all panels in it."""

from __future__ import annotations

from threading import Thread
from typing import Any

from qtpy.QtWidgets import QApplication, QWidget

from napari_tagscope.canvas.units import axis_units
from napari_tagscope.controllers.agreement import AgreementController
from napari_tagscope.controllers.agreement_legend import AgreementLegend
from napari_tagscope.controllers.annotate import AnnotateController
from napari_tagscope.controllers.attention import AttentionController
from napari_tagscope.controllers.boundary import BoundaryController
from napari_tagscope.controllers.bundles import KnownBundles, bundle_folder
from napari_tagscope.controllers.comparison import (
    ComparisonController,
    DomainComparison,
    ModelComparison,
)
from napari_tagscope.controllers.composition import CompositionController
from napari_tagscope.controllers.domain_edits import DomainEdits
from napari_tagscope.controllers.domain_legend import DomainLegend
from napari_tagscope.controllers.domain_outlines import DomainOutlines
from napari_tagscope.controllers.domains import DomainsController
from napari_tagscope.controllers.faithfulness import FaithfulnessController
from napari_tagscope.controllers.gene_map import GeneMapController
from napari_tagscope.controllers.gene_sets import RememberedFiles
from napari_tagscope.controllers.inspector import InspectorController
from napari_tagscope.controllers.layers import LayersController
from napari_tagscope.controllers.legend import LegendController
from napari_tagscope.controllers.markers import MarkersController
from napari_tagscope.controllers.patches import PatchesController
from napari_tagscope.controllers.preflight import PreflightController
from napari_tagscope.controllers.pretraining import PretrainingController
from napari_tagscope.controllers.recent import RecentSections
from napari_tagscope.controllers.section import SectionController
from napari_tagscope.controllers.selecting import SelectionController
from napari_tagscope.controllers.slots import SlotsController
from napari_tagscope.controllers.training import TrainingController
from napari_tagscope.jobs import JobRunner
from napari_tagscope.state import ViewerState
from napari_tagscope.views.painter import CanvasPainter

_sessions: dict[int, Session] = {}


class Session:
    """State, jobs, canvas and controllers of one viewer."""

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        self.state = ViewerState()
        self.runner = JobRunner()
        self.painter = CanvasPainter(viewer, self.state)
        bundles = KnownBundles(bundle_folder())
        recent = RecentSections(bundles.folder / "recent-sections.json")
        self.section = SectionController(self.state, self.runner, self.painter, recent)
        self.layers = LayersController(self.state, self.runner, self.painter)
        self.legend = LegendController(self.state, self.painter)
        self.annotate = AnnotateController(
            self.state, self.runner, self.painter, self.legend, bundles
        )
        self.training = TrainingController(self.state, self.runner, self.annotate, bundles)
        self.attention = AttentionController(self.state, self.runner, self.painter)
        self.selecting = SelectionController(self.state, self.runner, self.painter.areas)
        self.inspector = InspectorController(self.state, self.runner, self.painter)
        self.preflight = PreflightController(
            self.state, self.runner, self.annotate, self.section.reopen
        )
        files = RememberedFiles(bundle_folder().parent)
        self.slots = SlotsController(self.state, self.runner, self.painter, files)
        self.patches = PatchesController(self.state, self.runner, self.painter, files)
        self.gene_map = GeneMapController(self.state, self.runner)
        self.faithfulness = FaithfulnessController(self.state, self.runner)
        self.comparison = ComparisonController(self.state, self.runner)
        self.agreement_legend = AgreementLegend(self.state, self.painter)
        self.agreement = AgreementController(self.state, self.runner, self.painter)
        self.model_comparison = ModelComparison(self.state, self.runner)
        self._make_domains(bundles)
        self._window: QWidget | None = None
        Thread(target=_import_engine, name="tagscope-imports", daemon=True).start()

    def _make_domains(self, bundles: KnownBundles) -> None:
        state, runner, paint = self.state, self.runner, self.attention.paint_expression
        self.edits = DomainEdits(state, runner)
        self.domain_legend = DomainLegend(state, self.painter, self.edits)
        self.domains = DomainsController(state, runner, self.domain_legend, bundles)
        self.pretraining = PretrainingController(state, runner, self.domains, bundles)
        self.outlines = DomainOutlines(state, runner, self.painter)
        self.composition = CompositionController(state, runner)
        self.markers = MarkersController(state, runner, paint)
        self.boundary = BoundaryController(state, runner, paint)
        self.domain_comparison = DomainComparison(state, runner)

    @property
    def busy(self) -> bool:
        """Whether a job runs or waits."""
        return bool(self.runner.jobs)

    def end_with(self, window: QWidget) -> None:
        """Stop all jobs when this window is gone."""
        if self._window is not None:
            return
        self._window = window
        window.destroyed.connect(self.close)
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.close)

    def close(self) -> None:
        """Stop all jobs and wait for their threads."""
        if _sessions.pop(id(self.viewer), None) is None:
            return
        self.runner.close()
        self.painter.stop()
        application = QApplication.instance()
        if application is not None and self._window is not None:
            application.aboutToQuit.disconnect(self.close)


def _import_engine() -> None:
    """Import what opening a section needs while the user looks for one: it takes seconds."""
    import scipy.cluster.hierarchy  # noqa: F401 - what the legend sorts with
    import spatialdata  # noqa: F401

    from tagscope import api  # noqa: F401

    axis_units("unknown")  # makes the registry of units


def session_of(viewer: Any) -> Session:
    """The session of a viewer, which may come as napari's proxy of it."""
    viewer = getattr(viewer, "__wrapped__", viewer)
    if id(viewer) not in _sessions:
        _sessions[id(viewer)] = Session(viewer)
    return _sessions[id(viewer)]
