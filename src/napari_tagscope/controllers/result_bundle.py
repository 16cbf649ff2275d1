"""The model that gave a result, from what the result says of it, and how it is asked again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from napari_tagscope.state import ViewerState
from napari_tagscope.tasks import Failure, Runner, Task
from tagscope.errors import ArgumentError
from tagscope.jobs import JobContext

if TYPE_CHECKING:
    from tagscope.api import AnnotationResult, Bundle, OpenedSection

T = TypeVar("T")


class Question(Generic[T]):
    """What the model that gave the result on view is asked again, one time after the other.

    ``work`` asks it, in a job's thread; ``done`` takes the answer. ``update`` is that of a
    controller whose state says whether the model is asked (``running``) and why it gave no
    answer (``failure``).
    """

    def __init__(
        self,
        viewer_state: ViewerState,
        runner: Runner,
        topic: str,
        title: str,
        work: Callable[[OpenedSection, AnnotationResult, Bundle, JobContext], T],
        done: Callable[[T], None],
        update: Callable[..., None],
    ) -> None:
        self._viewer_state = viewer_state
        self._runner = runner
        self._topic, self._title = topic, title
        self._work, self._done, self._update = work, done, update
        self._run: tuple[str, str] | None = None
        self._asked = False

    def ask(self, chosen: Path | None) -> None:
        """Ask the model, or the same from the folder ``chosen``."""
        opened, result = self._viewer_state.opened, self._viewer_state.result
        if opened is None or result is None or self._asked:
            return
        self._tell(asked=True, failure=None)
        self._runner.start(
            Task(
                topic=self._topic,
                title=self._title,
                work=lambda context: self._work(opened, result, bundle_of(result, chosen), context),
                done=self._on_answer,
                failed=lambda failure: self._tell(asked=False, failure=failure),
                cancelled=lambda: self._tell(asked=False),
                unit="cells",
                heavy=True,
            )
        )

    def cancel(self) -> None:
        """Stop asking."""
        self._runner.cancel(self._topic)

    def follow(self, result: AnnotationResult | None) -> bool:
        """Whether another run gave this result than the one before; then asking stops.

        Another colour or bound is of the same run.
        """
        run = None if result is None else (result.key, result.provenance.finished)
        if run == self._run:
            return False
        self._run = run
        self.cancel()
        return True

    def _on_answer(self, answer: T) -> None:
        self._tell(asked=False)
        self._done(answer)

    def _tell(self, *, asked: bool, **changes: Failure | None) -> None:
        self._asked = asked
        self._update(running=asked, **changes)


def model_of(result: AnnotationResult | None) -> str:
    """The kind of the model that gave a result, which older ones tell by their key alone."""
    return "" if result is None else str(result.provenance.extra.get("model", result.key))


def bundle_of(result: AnnotationResult, chosen: Path | None) -> Bundle:
    """Load the bundle that annotated, from where it was then or from ``chosen``.

    Raises
    ------
    ArgumentError
        If it is not known or no longer there, or ``chosen`` is another.
    BundleError
        If it is damaged.
    """
    from tagscope import api

    inputs = result.provenance.inputs
    known = inputs.get("bundle", "any known place")
    path = chosen or Path(known)
    if chosen is None and not (path / "bundle.json").is_file():
        raise ArgumentError(
            f"The bundle that annotated the cells is not at {known}.",
            "The model that gave the labels is asked again.",
            "Choose its folder with “Bundle…”.",
        )
    bundle = api.load_bundle(path)
    if inputs.get("bundle_digest", bundle.digest) != bundle.digest:
        raise ArgumentError(
            f"The cells were annotated by another model than {path}.",
            "The model that gave the labels is asked again.",
            f"Choose the bundle that annotated them ({known}).",
        )
    return bundle
