"""What the training part shows, in fields and in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_tagscope.controllers.reference import LabelColumn, ReferenceSummary
from napari_tagscope.tasks import Failure

if TYPE_CHECKING:
    from tagscope.api import EpochRecord

Model = Literal["cellmemory", "cellpatch"]
FEW_CELLS = 10  # of a type, below which a network hardly learns it
MOST_NAMED = 3


@dataclass(frozen=True)
class TrainingState:
    """What the training part shows.

    ``name`` is that of the bundle to be. A CellPatch may ``start`` from one of ``starts``, or from
    any other bundle of its kind. An ``unusable`` reference could not be read with these
    labels. ``history`` grows by one record an epoch, over all ``networks`` of the training.
    """

    reference: Path | None = None
    model: Model = "cellmemory"
    starts: tuple[Path, ...] = ()
    start: Path | None = None
    columns: tuple[LabelColumn, ...] = ()
    column: str = ""
    name: str = ""
    summary: ReferenceSummary | None = None
    counting: bool = False
    unusable: bool = False
    epochs: int | None = None
    reading: bool = False
    running: bool = False
    stopping: bool = False
    networks: int = 1
    history: tuple[EpochRecord, ...] = ()
    failure: Failure | None = None
    notice: str = ""

    @property
    def ready(self) -> bool:
        """Whether training can start; what it would learn from is known first."""
        found, waits = self.summary, self.running or self.counting
        hopeless = found is not None and (found.shared == 0 or len(found.types) < 2)
        useless = self.unusable or hopeless
        return bool(self.reference and self.column) and not waits and not useless


def network_starts(history: Sequence[EpochRecord]) -> tuple[int, ...]:
    """Positions in ``history`` from which on another network learns, the first one's left out."""
    return tuple(n for n in range(1, len(history)) if history[n].fold != history[n - 1].fold)


def summary_text(state: TrainingState) -> str:
    """What a training would learn from, and what would be learned badly."""
    found = state.summary
    if found is None:
        return "Counting types and genes…" if state.counting else ""
    genes = f"{found.genes:,} genes; those of an open section would be kept"
    if found.shared is not None:
        genes = f"{found.shared:,} of {found.genes:,} genes shared with the section"
    lines = [f"{found.cells:,} cells · {len(found.types):,} types · {genes}"]
    if found.shared == 0:
        lines.append("Nothing can be learned: check species and kind of gene ids of both.")
    if len(found.types) < 2:
        lines.append("One type alone cannot be told from others: choose another column.")
    rare = [f"{name} ({cells:,})" for name, cells in found.types if cells < FEW_CELLS]
    if rare:
        more = f", and {len(rare) - MOST_NAMED:,} more" if len(rare) > MOST_NAMED else ""
        named = ", ".join(rare[:MOST_NAMED]) + more
        lines.append(f"Types of fewer than {FEW_CELLS} cells are hardly learned: {named}")
    return "\n".join(lines)


def usual_name(state: TrainingState) -> str:
    """What a bundle is called that nobody named."""
    if state.reference is None:
        return ""
    name = f"{state.reference.stem}-{state.column}"
    return name if state.model == "cellmemory" else f"{name}-{state.model}"


def training_text(state: TrainingState) -> str:
    """What became of it, which network is at which epoch, and how well its best epoch does."""
    parts = [state.notice] if state.notice else []
    if state.history:
        parts.append(_epoch_text(state.history, state.networks))
    elif state.running:
        parts.append("The curve begins after the first epoch.")
    return "\n".join(parts)


def _epoch_text(history: Sequence[EpochRecord], networks: int) -> str:
    """The best epoch is the one that is kept: of this network, with the lowest validation loss."""
    last = history[-1]
    best = min((r for r in history if r.fold == last.fold), key=lambda r: r.validation_loss)
    text = f"network {last.fold} of {networks}, " if networks > 1 else ""
    text += f"epoch {last.epoch}"
    if math.isfinite(best.macro_f1):
        text += f" · best epoch {best.epoch}: macro-F1 {best.macro_f1:.3f}"
        text += f", accuracy {best.accuracy:.3f}"
    return text


def stopped_text(state: TrainingState, name: str) -> str:
    """What is kept of a training that was stopped."""
    if state.networks == 1:
        return f"Best epoch kept as {name}."
    where = f"network {state.history[-1].fold} of {state.networks}"
    return f"Stopped in {where}; the best so far is kept as {name}."
