"""What is seen with the cells: images below them, transcripts above them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_tagscope.controllers.observed import Observed
from napari_tagscope.controllers.painter import Painter
from napari_tagscope.controllers.per_section import PerSection
from napari_tagscope.state import ViewerState
from napari_tagscope.tasks import Failure, Runner, Task
from tagscope.jobs import JobContext

if TYPE_CHECKING:
    from tagscope.api import OpenedSection

IMAGES_TOPIC = "read images"
TRANSCRIPTS_TOPIC = "read transcripts"
# of Okabe and Ito; the first is seen on black, on white and on the attention map
GENE_COLORS = ("#56b4e9", "#e69f00", "#cc79a7", "#009e73", "#f0e442", "#d55e00", "#0072b2")
MOST_KEPT = len(GENE_COLORS) - 1  # and the selected gene


@dataclass(frozen=True)
class LayersState:
    """``has_images``, ``has_transcripts``: the store holds some. ``images``, ``transcripts``: they
    are asked for. ``gene`` is the one whose transcripts follow the selection, ``kept`` are those
    that stay on view beside it."""

    has_images: bool = False
    has_transcripts: bool = False
    images: bool = False
    transcripts: bool = False
    gene: str | None = None
    kept: tuple[str, ...] = ()
    failure: Failure | None = None


class LayersController(Observed[LayersState]):
    """Reads images and transcripts when they are asked for, and shows them.

    A section that is left and shown again gets back what was asked for in it.
    """

    def __init__(self, viewer_state: ViewerState, runner: Runner, painter: Painter) -> None:
        super().__init__(LayersState())
        self._viewer_state = viewer_state
        self._runner = runner
        self._painter = painter
        self._left: PerSection[LayersState] = PerSection()
        viewer_state.section_changed.connect(self._on_section)
        viewer_state.gene_selected.connect(self._on_gene)

    def set_images(self, shown: bool) -> None:
        """List the store's images below the cells, or take them away."""
        opened = self._viewer_state.opened
        if opened is None or shown == self.state.images:
            return
        self._update(images=shown, failure=None)
        self._runner.cancel(IMAGES_TOPIC)
        if not shown:
            self._painter.show_images(())
            return

        def work(context: JobContext) -> Any:
            from tagscope import api

            return api.read_images(opened, context)

        self._runner.start(
            Task(
                topic=IMAGES_TOPIC,
                title="Reading images",
                work=work,
                done=self._painter.show_images,
                failed=lambda failure: self._update(images=False, failure=failure),
                cancelled=lambda: self._update(images=False),
            )
        )

    def set_transcripts(self, shown: bool) -> None:
        """Show the transcripts of the selected gene, or none."""
        self._update(transcripts=shown, kept=(), failure=None)
        if shown:
            self._show_genes()
        else:
            self._runner.cancel(TRANSCRIPTS_TOPIC)
            self._painter.remove_transcripts()

    def keep_gene(self, kept: bool) -> None:
        """Keep the selected gene's transcripts on view while others are selected, or no longer."""
        gene = self.state.gene
        others = tuple(other for other in self.state.kept if other != gene)
        self._update(kept=(*others, gene)[:MOST_KEPT] if kept and gene else others)

    def _show_genes(self) -> None:
        """Show the transcripts of the genes kept and of the selected one."""
        opened, gene = self._viewer_state.opened, self.state.gene
        if opened is None or gene is None:
            return
        genes = dict.fromkeys((*self.state.kept, gene))
        colors = dict(zip(genes, GENE_COLORS, strict=False))

        def work(context: JobContext) -> Any:
            from tagscope import api

            found = api.read_transcripts(opened, tuple(colors), context)
            return self._painter.prepare_transcripts(found, context)

        self._runner.start(
            Task(
                topic=TRANSCRIPTS_TOPIC,
                title=f"Reading transcripts of {', '.join(colors)}",
                work=work,
                done=lambda prepared: self._painter.show_transcripts(prepared, colors),
                failed=self._on_transcripts_failed,
                cancelled=lambda: self.set_transcripts(False),
            )
        )

    def _on_transcripts_failed(self, failure: Failure) -> None:
        """Say why; the next gene selected may have some."""
        self._painter.remove_transcripts()
        self._update(failure=failure)

    def _on_section(self, opened: OpenedSection | None) -> None:
        self._runner.cancel(IMAGES_TOPIC)
        self._runner.cancel(TRANSCRIPTS_TOPIC)
        asked = self._left.exchange(opened, self.state) or LayersState()
        store = None if opened is None else opened.sdata
        self._update(
            has_images=store is not None and len(store.images) > 0,
            has_transcripts=store is not None and len(store.points) > 0,
            images=False,
            transcripts=asked.transcripts,
            kept=asked.kept,
            failure=None,
        )
        self.set_images(asked.images)

    def _on_gene(self, gene: str | None) -> None:
        self._update(gene=gene, failure=None)
        if self.state.transcripts:
            self._show_genes()
