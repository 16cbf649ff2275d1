"""Whether the labels hang on the genes that get the attention: the model is asked, on demand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_tagscope.controllers.numbers import percent
from napari_tagscope.controllers.observed import Observed
from napari_tagscope.controllers.result_bundle import Question
from napari_tagscope.state import ViewerState
from napari_tagscope.tasks import Failure, Runner
from tagscope.jobs import JobContext

if TYPE_CHECKING:
    from tagscope.api import AnnotationResult, Bundle, FaithfulnessReport, OpenedSection

TOPIC = "faithfulness"
ALL = "(all)"
CELLS_PER_TYPE = 50
DRAWS = 2
PERCENT = (1.0, 5.0, 10.0)
SHOWN_PERCENT = 5.0
NO_RESULT = "Annotate the section, then ask the model whether its labels hang on these genes."
READY = "Hide the most attended genes from the model, and see how often the label changes."


@dataclass(frozen=True)
class Step:
    """What hiding some of a cell's genes does: shares of cells that change their label, 0 to 1.

    ``percent`` of the genes are hidden, at least one; ``attention``: those with the most of it,
    ``random``: as many drawn by chance, ``expression``: the most expressed ones. ``error`` is the
    standard error of the difference of the first two.
    """

    percent: float
    attention: float
    random: float
    expression: float
    error: float


@dataclass(frozen=True)
class Verdict:
    """What the test found in the sampled cells of a type."""

    label: str
    cells: int
    steps: tuple[Step, ...]

    @property
    def of_all(self) -> bool:
        """Whether it is of the cells of all types."""
        return self.label == ALL

    @property
    def sentence(self) -> str:
        """How often hiding the top genes changes the label, in words."""
        step = self._told
        return (
            f"Hiding the top {step.percent:g} % of genes changes the label of "
            f"{percent(step.attention)} of {self.cells:,} cells "
            f"(random genes: {percent(step.random)}, most expressed: {percent(step.expression)})."
        )

    @property
    def judgement(self) -> str:
        """What that means: beyond two standard errors of what chance does, or not."""
        step = self._told
        if step.attention - step.random > 2 * step.error:
            return "The label hangs on its top attention genes."
        return "Not clearly more than by chance: the label does not hang on these genes alone."

    @property
    def _told(self) -> Step:
        return next(step for step in self.steps if step.percent == SHOWN_PERCENT)


@dataclass(frozen=True)
class FaithfulnessState:
    """What the panel shows: ``verdict`` is that of the chosen type, or of all cells."""

    ready: bool = False
    running: bool = False
    verdict: Verdict | None = None
    hint: str = NO_RESULT
    failure: Failure | None = None


class FaithfulnessController(Observed[FaithfulnessState]):
    """Runs the deletion test on some cells of every type."""

    def __init__(self, viewer_state: ViewerState, runner: Runner) -> None:
        super().__init__(FaithfulnessState())
        self._viewer_state = viewer_state
        self._verdicts: dict[str, Verdict] = {}
        self._question = Question(
            viewer_state, runner, TOPIC, "Hiding genes from the model", _verdicts,
            self._on_verdicts, self._update,
        )  # fmt: skip
        viewer_state.result_changed.connect(self._on_result)
        viewer_state.label_selected.connect(lambda _: self._show())

    def run(self, bundle: Path | None = None) -> None:
        """Ask the model that annotated, or the same from another folder."""
        self._question.ask(bundle)

    def cancel(self) -> None:
        """Stop asking."""
        self._question.cancel()

    def _on_result(self, result: AnnotationResult | None) -> None:
        if self._question.follow(result):
            self._verdicts = {}
            self._update(failure=None)
        self._update(ready=result is not None, hint=NO_RESULT if result is None else READY)
        self._show()

    def _on_verdicts(self, verdicts: dict[str, Verdict]) -> None:
        self._verdicts = verdicts
        self._show()

    def _show(self) -> None:
        label = self._viewer_state.label or ALL
        self._update(verdict=self._verdicts.get(label, self._verdicts.get(ALL)))


def _verdicts(
    opened: OpenedSection, result: AnnotationResult, bundle: Bundle, context: JobContext
) -> dict[str, Verdict]:
    from tagscope import api

    config = api.FaithfulnessConfig(cells_per_type=CELLS_PER_TYPE, draws=DRAWS, percent=PERCENT)
    report = api.faithfulness_of_result(
        result, opened.section.cells, bundle, config, context=context
    )
    return verdicts_of(report)


def verdicts_of(report: FaithfulnessReport) -> dict[str, Verdict]:
    """The verdict of every type of a report, and of all cells under ``(all)``."""
    deleted = report.curves[report.curves["test"] == "deletion"]
    found = {}
    for label, rows in deleted.groupby("type", sort=False):
        by = rows.set_index(["order", "percent"])
        changed, error = 1 - by["label_kept"], by["label_kept_se"].fillna(0.0)
        steps = tuple(
            Step(
                percent,
                float(changed["attention", percent]),
                float(changed["random", percent]),
                float(changed["expression", percent]),
                float(np.hypot(error["attention", percent], error["random", percent])),
            )
            for percent in PERCENT
        )
        found[str(label)] = Verdict(str(label), int(rows["cells"].iloc[0]), steps)
    return found
