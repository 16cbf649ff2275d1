from __future__ import annotations

import threading

import pytest

from tagscope.jobs import JobCancelled, JobContext, Progress


def test_steps_are_reported_with_their_partial_result():
    seen: list[Progress] = []
    context = JobContext(seen.append)
    context.step("reading", 1, 4, partial="first")
    context.step("reading", 4, 4)
    assert [(p.stage, p.done, p.fraction) for p in seen] == [
        ("reading", 1, 0.25),
        ("reading", 4, 1.0),
    ]
    assert seen[0].partial == "first"


def test_another_thread_can_cancel():
    context = JobContext()
    thread = threading.Thread(target=context.cancel)
    thread.start()
    thread.join()
    with pytest.raises(JobCancelled):
        context.step("training", 1, 2)


def test_rate_and_time_left():
    progress = Progress("cells", 50, 200, seconds=2.0)
    assert progress.rate == 25
    assert progress.remaining_seconds == 6
    assert Progress("cells", 0, 200).remaining_seconds is None


def test_the_pace_is_that_since_it_changed_or_the_job_went_on(monkeypatch):
    clock = iter([0.0, 10.0, 10.0, 30.0])
    monkeypatch.setattr("tagscope.jobs.time.monotonic", lambda: next(clock))
    heard: list[Progress] = []
    context = JobContext(heard.append)
    context.step("training", 500, 1000)  # an earlier sitting's
    context.step("training", 600, 1000)
    context.change_pace("training")
    context.step("training", 600, 1000)
    context.step("training", 620, 1000)
    assert [one.rate for one in heard] == [0, 10, 0, 1]
    assert heard[-1].remaining_seconds == 380
