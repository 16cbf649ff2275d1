"""Engine calls in threads: numbered, cancellable, delivered on the GUI thread.

Plain threads and plain functions: a ``RuntimeError`` inside a generator worker of superqt, such as
a GPU out of memory, would be reported to nobody.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_tagscope.tasks import Task, failure_of
from tagscope.jobs import JobCancelled, JobContext, Progress
from tagscope.memory import give_back_freed_memory

DELIVERY_MS = 80  # at most 12 deliveries a second, so that repaints leave time to the job
STANDING_BACK = 19  # added to the niceness of a job's thread, where threads have their own
CLOSING_SECONDS = 10.0
IDLE_MS = 500  # without a job, after which the memory that jobs used is given back


@dataclass(eq=False)
class Job:
    """One run of a task. ``latest`` is the last progress that was delivered."""

    number: int
    task: Task[Any]
    context: JobContext
    latest: Progress | None = None
    superseded: bool = False
    thread: threading.Thread | None = field(default=None, repr=False)

    @property
    def cancelling(self) -> bool:
        """Whether it was asked to stop."""
        return self.context.cancelled


class JobRunner(QObject):
    """Runs tasks for one viewer. All methods belong to the GUI thread."""

    started = Signal(object)
    """A :class:`Job` began, or waits for a heavy one before it."""
    progressed = Signal(object)
    """A :class:`Job` reported, or was asked to stop."""
    ended = Signal(object)
    """A :class:`Job` is over, however it ended."""
    _mail_arrived = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._number = 0
        self._jobs: list[Job] = []
        self._mail: deque[tuple[Job, Progress | Callable[[], None]]] = deque()
        self._closed = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DELIVERY_MS)
        self._timer.timeout.connect(self._deliver)
        self._idle = QTimer(self)
        self._idle.setSingleShot(True)
        self._idle.setInterval(IDLE_MS)
        self._idle.timeout.connect(_give_back_memory)
        self._mail_arrived.connect(self._schedule)

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Jobs that run or wait, oldest first."""
        return tuple(self._jobs)

    def start(self, task: Task[Any]) -> None:
        """Run a task; an older one of the same topic is cancelled and its outcome dropped."""
        if self._closed:
            return
        for job in self._of(task.topic):
            job.superseded = True
            self._stop(job)
        self._number += 1
        job = Job(self._number, task, JobContext())
        job.context.on_progress = lambda progress: self._post(job, progress)
        self._jobs.append(job)
        self._idle.stop()
        self.started.emit(job)
        self._start_waiting()

    def cancel(self, topic: str) -> None:
        """Ask the task of a topic to stop."""
        for job in self._of(topic):
            self._stop(job)

    def close(self) -> None:
        """Stop everything and wait for the threads; nothing is delivered afterwards."""
        self._closed = True
        self._mail.clear()
        for job in self._jobs:
            job.context.cancel()
        deadline = time.monotonic() + CLOSING_SECONDS
        for job in self._jobs:
            if job.thread is not None:
                job.thread.join(max(0.0, deadline - time.monotonic()))
        self._jobs.clear()

    def _of(self, topic: str) -> list[Job]:
        return [job for job in self._jobs if job.task.topic == topic and not job.superseded]

    def _stop(self, job: Job) -> None:
        job.context.cancel()
        if job.thread is None:
            self._end(job, job.task.cancelled)
        else:
            self.progressed.emit(job)

    def _start_waiting(self) -> None:
        busy = any(job.thread is not None and job.task.heavy for job in self._jobs)
        for job in self._jobs:
            if job.thread is None and not (job.task.heavy and busy):
                busy = busy or job.task.heavy
                job.thread = threading.Thread(
                    target=self._work, args=(job,), name=f"tagscope-job-{job.number}"
                )
                job.thread.start()

    def _work(self, job: Job) -> None:
        """Runs in the job's thread."""
        _stand_back()
        task = job.task
        try:
            result = task.work(job.context)
        except JobCancelled:
            self._post(job, task.cancelled)
        except Exception as error:  # noqa: BLE001 - the thread's edge: whatever it is, it is shown
            failure = failure_of(error, traceback.format_exc())
            self._post(job, lambda: task.failed(failure))
        else:
            self._post(job, lambda: task.done(result))

    def _post(self, job: Job, item: Progress | Callable[[], None]) -> None:
        """Called from any thread."""
        if not self._closed:
            self._mail.append((job, item))
            self._mail_arrived.emit()

    def _schedule(self) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def _deliver(self) -> None:
        reports: dict[Job, list[Progress]] = {}
        endings: list[tuple[Job, Callable[[], None]]] = []
        while self._mail:
            job, item = self._mail.popleft()
            if isinstance(item, Progress):
                reports.setdefault(job, []).append(item)
            else:
                endings.append((job, item))
        for job, progress in reports.items():
            self._report(job, progress)
        for job, ending in endings:
            self._end(job, ending)

    def _report(self, job: Job, progress: list[Progress]) -> None:
        if job.superseded or self._closed:
            return
        job.latest = progress[-1]
        job.task.reported(progress)
        self.progressed.emit(job)

    def _end(self, job: Job, ending: Callable[[], None]) -> None:
        if job not in self._jobs:
            return
        self._jobs.remove(job)
        job.context.on_progress = _to_nobody  # else context and job hold each other, and results
        self.ended.emit(job)
        if not job.superseded:
            ending()
        self._start_waiting()
        if not self._jobs:
            self._idle.start()


def _stand_back() -> None:
    """Let the window have a core that it and this thread, or threads it starts, both want."""
    if sys.platform == "linux":
        own = threading.get_native_id()
        before = os.getpriority(os.PRIO_PROCESS, own)
        os.setpriority(os.PRIO_PROCESS, own, before + STANDING_BACK)


def _to_nobody(progress: Progress) -> None:
    """Hears reports of a job that is over."""


def _give_back_memory() -> None:
    """In a thread, which the window does not wait for."""
    threading.Thread(target=give_back_freed_memory, name="tagscope-memory").start()
