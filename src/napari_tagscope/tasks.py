"""What the window asks of the engine: tasks, their outcome, and who runs them. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from tagscope.errors import TagscopeError
from tagscope.jobs import JobContext, Progress

T = TypeVar("T")


@dataclass(frozen=True)
class Failure:
    """Why a task ended without a result: what a person can do, and the traceback if it is ours."""

    error: TagscopeError
    details: str = ""


def failure_of(error: Exception, details: str) -> Failure:
    """The failure an exception stands for; one that is no :class:`TagscopeError` is a defect."""
    if isinstance(error, TagscopeError):
        return Failure(error)
    if isinstance(error, MemoryError):
        wrapped = TagscopeError(
            "There was not enough memory.",
            "The section, the model and one batch must fit together.",
            "Close other programs, or open fewer cells.",
        )
    else:
        wrapped = TagscopeError(
            f"Something went wrong that TAGscope did not expect ({type(error).__name__}: {error}).",
            "",
            "Nothing on disk was changed. Please report it with the details below.",
        )
    return Failure(wrapped, details)


def nothing(*_: object) -> None:
    """Listen to nothing."""


@dataclass(frozen=True)
class Task(Generic[T]):
    """One engine call that takes long.

    ``work`` runs in a thread and gets all it needs as arguments captured when the task was made;
    all other callables are called on the GUI thread. ``topic``: a newer task of one topic
    supersedes an older one, whose outcome is dropped. ``heavy`` tasks run a network and go one at
    a time. ``unit`` is what ``Progress.done`` counts.
    """

    topic: str
    title: str
    work: Callable[[JobContext], T]
    done: Callable[[T], None]
    failed: Callable[[Failure], None]
    reported: Callable[[Sequence[Progress]], None] = nothing
    cancelled: Callable[[], None] = nothing
    unit: str = ""
    heavy: bool = False
    cancel_text: str = "Cancel"


class Runner(Protocol):
    """Runs tasks and delivers what comes of them on the GUI thread."""

    def start(self, task: Task[Any]) -> None:
        """Run a task; an older one of the same topic is cancelled and its outcome dropped."""
        ...

    def cancel(self, topic: str) -> None:
        """Ask the task of a topic to stop; its ``cancelled`` is called when it has."""
        ...
