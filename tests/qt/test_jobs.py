"""Jobs in threads: delivered on the GUI thread, one heavy one at a time, cancelled, closed."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
import weakref

import pytest

from napari_tagscope.jobs import JobRunner
from napari_tagscope.tasks import Task
from tagscope.errors import InputError


@pytest.fixture
def runner(qtbot):
    made = JobRunner()
    yield made
    made.close()


class Found:
    """Something that a job found."""


class Outcome:
    """Collects what a task delivers, and on which thread."""

    def __init__(self):
        self.results, self.failures, self.reports, self.cancels = [], [], [], 0
        self.threads = set()

    def task(self, work, topic="topic", **options):
        return Task(topic, "A task", work, self.done, self.failed, self.reported, self.cancelled,
                    **options)  # fmt: skip

    def done(self, result):
        self.threads.add(threading.current_thread())
        self.results.append(result)

    def failed(self, failure):
        self.threads.add(threading.current_thread())
        self.failures.append(failure)

    def reported(self, reports):
        self.threads.add(threading.current_thread())
        self.reports.extend(reports)

    def cancelled(self):
        self.cancels += 1


def endless(context):
    done = 0
    while True:
        done += 1
        context.step("running", done, 10**9)
        time.sleep(0.002)


def test_progress_and_result_arrive_in_order_on_the_gui_thread(runner, qtbot):
    outcome = Outcome()

    def work(context):
        for i in range(200):
            context.step("running", i, 200, partial=i)
        return threading.current_thread()

    runner.start(outcome.task(work))
    qtbot.waitUntil(lambda: bool(outcome.results))
    assert [report.partial for report in outcome.reports] == list(range(200))
    assert outcome.threads == {threading.main_thread()}
    assert outcome.results[0] is not threading.main_thread()
    assert runner.jobs == ()


def test_what_a_job_found_is_held_by_nobody_once_it_is_over(runner, qtbot):
    outcome = Outcome()
    found = {}

    def work(context):
        context.step("running", 1, 1, partial=Found())
        found["result"] = weakref.ref(result := Found())
        return result

    gc.disable()  # what hangs in a ring would wait for a full collection
    try:
        runner.start(outcome.task(work))
        qtbot.waitUntil(lambda: bool(outcome.results) and not runner.jobs)
        found["report"] = weakref.ref(outcome.reports[0].partial)
        outcome.results.clear()
        outcome.reports.clear()
        qtbot.waitUntil(lambda: found["result"]() is None and found["report"]() is None)
    finally:
        gc.enable()


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no niceness of their own here")
def test_a_job_leaves_the_window_first_turn_at_a_core(runner, qtbot):
    outcome = Outcome()
    runner.start(outcome.task(lambda _: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))
    qtbot.waitUntil(lambda: bool(outcome.results))
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert outcome.results[0] > own or own == 19


def test_errors_are_delivered_with_their_remedy(runner, qtbot):
    outcome = Outcome()

    def known(context):
        raise InputError("found", "needed", "fix")

    def unknown(context):
        raise RuntimeError("CUDA out of everything")

    runner.start(outcome.task(known, "one"))
    qtbot.waitUntil(lambda: len(outcome.failures) == 1)
    runner.start(outcome.task(unknown, "two"))
    qtbot.waitUntil(lambda: len(outcome.failures) == 2)
    first, second = outcome.failures
    assert (str(first.error), first.details) == ("found needed fix", "")
    assert "CUDA out of everything" in second.error.found
    assert "Traceback" in second.details


def test_a_newer_task_of_a_topic_supersedes_the_older(runner, qtbot):
    old, new = Outcome(), Outcome()
    runner.start(old.task(endless))
    qtbot.waitUntil(lambda: bool(old.reports))
    runner.start(new.task(lambda context: "new"))
    heard = len(old.reports)
    qtbot.waitUntil(lambda: not runner.jobs)
    assert new.results == ["new"]
    assert (old.results, old.failures, old.cancels) == ([], [], 0)
    assert len(old.reports) == heard


def test_heavy_tasks_go_one_at_a_time_and_light_ones_pass(runner, qtbot):
    first, second, light = Outcome(), Outcome(), Outcome()
    runner.start(first.task(endless, "first", heavy=True))
    runner.start(second.task(lambda context: "second", "second", heavy=True))
    runner.start(light.task(lambda context: "light", "light"))
    qtbot.waitUntil(lambda: bool(light.results))
    assert second.results == []
    runner.cancel("first")
    qtbot.waitUntil(lambda: bool(second.results))
    assert first.cancels == 1


def test_a_task_that_waits_can_be_cancelled(runner, qtbot):
    first, second = Outcome(), Outcome()
    runner.start(first.task(endless, "first", heavy=True))
    runner.start(second.task(endless, "second", heavy=True))
    runner.cancel("second")
    assert second.cancels == 1
    assert len(runner.jobs) == 1


def test_closing_ends_the_threads_and_delivers_nothing_more(runner, qtbot):
    outcome = Outcome()
    runner.start(outcome.task(endless))
    qtbot.waitUntil(lambda: bool(outcome.reports))
    runner.close()
    heard = len(outcome.reports)
    assert not [t for t in threading.enumerate() if t.name.startswith("tagscope-job")]
    qtbot.wait(100)
    assert len(outcome.reports) == heard
    runner.start(outcome.task(lambda context: "late"))
    qtbot.wait(50)
    assert outcome.results == []
