"""The bar at the foot of the dock: what runs, how fast, how long still, and Cancel."""

from __future__ import annotations

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_tagscope.controllers.numbers import percent
from napari_tagscope.jobs import Job, JobRunner
from napari_tagscope.views.card import eliding_label
from tagscope.jobs import Progress

APPEARS_AFTER_MS = 150  # shorter jobs do not flicker


class JobBar(QWidget):
    """Shows the job that matters most: a heavy one, else the newest."""

    def __init__(self, runner: JobRunner) -> None:
        super().__init__()
        self._runner = runner
        self.title = eliding_label()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.bar.setAccessibleName("Progress")
        self.button = QPushButton("Cancel")
        self.button.setToolTip("Stop this job (Esc)")
        self.button.clicked.connect(self._cancel)
        for widget in (self.bar, self.button):
            _keep_its_place(widget)
        row = QHBoxLayout()
        row.addWidget(self.title, 1)
        row.addWidget(self.button)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 4, 8, 6)
        column.setSpacing(2)
        column.addLayout(row)
        column.addWidget(self.bar)
        self._appear = QTimer(self)
        self._appear.setSingleShot(True)
        self._appear.setInterval(APPEARS_AFTER_MS)
        self._appear.timeout.connect(self._refresh)
        for signal in (runner.started, runner.progressed, runner.ended):
            signal.connect(self._on_change)
        self._refresh()

    @property
    def job(self) -> Job | None:
        """The job on view."""
        jobs = [job for job in self._runner.jobs if not job.superseded]
        running = [job for job in jobs if job.thread is not None]
        heavy = [job for job in running if job.task.heavy]
        return next(iter(heavy or running[::-1] or jobs), None)

    def _on_change(self, _: Job) -> None:
        if self.button.isVisibleTo(self) or self.job is None:
            self._refresh()
        elif not self._appear.isActive():
            self._appear.start()

    def _cancel(self) -> None:
        if self.job is not None:
            self._runner.cancel(self.job.task.topic)

    def _refresh(self) -> None:
        job = self.job
        for widget in (self.bar, self.button):
            widget.setVisible(job is not None)
        if job is None:
            self.title.setText("Ready")
            return
        waiting = sum(other.thread is None for other in self._runner.jobs)
        text = f"{job.task.title}: stopping…" if job.cancelling else progress_text(job)
        text += f" · {waiting} waiting" if waiting else ""
        self.title.setText(text)
        self.title.setToolTip(f"{text}\n{counts_text(job)}".strip())
        self.button.setEnabled(not job.cancelling)
        if self.button.text() != job.task.cancel_text:
            self.button.setText(job.task.cancel_text)
            self.button.setShortcut("Esc")  # a new text clears it
        latest = job.latest
        counts = latest is not None and latest.total > 0
        self.bar.setRange(0, 1000 if counts else 0)
        if latest is not None and counts:
            self._move_bar(round(1000 * latest.fraction))

    def _move_bar(self, value: int) -> None:
        """Draw the bar with all else: by itself Qt would draw the whole window for it, at once."""
        self.bar.setUpdatesEnabled(False)
        self.bar.setValue(value)
        self.bar.setUpdatesEnabled(True)


def _keep_its_place(widget: QWidget) -> None:
    """While it is hidden, so that nothing under the mouse moves when a job begins or ends."""
    policy = widget.sizePolicy()
    policy.setRetainSizeWhenHidden(True)
    widget.setSizePolicy(policy)


def progress_text(job: Job) -> str:
    """Such as ``Annotating: 63 % · 212 cells/s · 8 s left``."""
    latest, unit, title = job.latest, job.task.unit, job.task.title
    if latest is None or not latest.total:
        return title
    if not unit:
        stage = "" if latest.stage.casefold() == title.casefold() else f" {latest.stage},"
        return f"{title}:{stage} {latest.done:,} of {latest.total:,}"
    rate = f" · {latest.rate:,.0f} {unit}/s" if latest.rate else ""
    return f"{title}: {percent(latest.fraction)}{rate}{_left(latest)}"


def counts_text(job: Job) -> str:
    """Such as ``3,048 of 4,839 cells``."""
    latest, unit = job.latest, job.task.unit
    counted = latest is not None and latest.total and unit
    return f"{latest.done:,} of {latest.total:,} {unit}" if latest and counted else ""


def _left(latest: Progress) -> str:
    remaining = latest.remaining_seconds
    if remaining is None:
        return ""
    if remaining < 90:
        return f" · {remaining:.0f} s left"
    return f" · {remaining / 60:.0f} min left"
