"""What a person makes of the domains on view: merged, renamed, undone, and saved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tagscope.controllers.observed import Observed
from napari_tagscope.controllers.per_section import PerSection
from napari_tagscope.state import ViewerState
from napari_tagscope.tasks import Failure, Runner, Task
from tagscope.core.keys import Slots
from tagscope.errors import ArgumentError
from tagscope.jobs import JobContext

if TYPE_CHECKING:
    from tagscope.api import DomainMap, OpenedSection

TOPIC = "save domains"
MERGED, RENAMED, RECOLOURED, FOUND_ANEW = "Merge", "Rename", "Colour", "Find anew"


@dataclass(frozen=True)
class EditsState:
    """What can be done with the domains on view.

    ``names`` and ``colors`` are theirs, ``key`` the name they are saved under. ``undoes`` says what
    would be undone, "" where nothing; ``replaces`` names the column that saving into the section's
    own store would replace.
    """

    names: tuple[str, ...] = ()
    colors: tuple[str, ...] = ()
    key: str = ""
    undoes: str = ""
    replaces: str = ""
    saving: bool = False
    saved: Path | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class _Before:
    """Domains that an act replaced."""

    act: str
    domains: DomainMap


class DomainEdits(Observed[EditsState]):
    """Edits the domains on view, which are the viewer's; each edit can be undone.

    Edited domains that are replaced by finding domains anew can be had back, too.
    """

    def __init__(self, viewer_state: ViewerState, runner: Runner) -> None:
        super().__init__(EditsState())
        self._viewer_state = viewer_state
        self._runner = runner
        self._before: tuple[_Before, ...] = ()
        self._shown: DomainMap | None = None
        self._written: frozenset[str] = frozenset()
        self._left: PerSection[tuple[tuple[_Before, ...], frozenset[str]]] = PerSection()
        viewer_state.section_changed.connect(self._on_section)
        viewer_state.domains_changed.connect(self._on_domains)

    def merge(self, names: tuple[str, ...]) -> None:
        """Make several domains one, which keeps name and colour of the largest, and select it."""
        from tagscope import api

        self._edit(MERGED, lambda found: api.merge_domains(found, names))
        found = self._viewer_state.domains
        if found is not None and self.state.failure is None:
            self._viewer_state.select_domain(next(n for n in found.domains.names if n in names))

    def rename(self, name: str, shown: str) -> None:
        """Give a domain another name; it stays selected where it was."""
        from tagscope import api

        if shown.strip() == name:
            self._update(failure=None)
            return
        selected = self._viewer_state.domain == name
        self._edit(RENAMED, lambda found: api.rename_domain(found, name, shown))
        if selected and self.state.failure is None:
            self._viewer_state.select_domain(shown.strip())

    def recolour(self, name: str, color: str) -> None:
        """Give a domain another colour."""
        from tagscope import api

        self._edit(RECOLOURED, lambda found: api.recolour_domain(found, name, color))

    def undo(self) -> None:
        """Bring back what the last edit replaced."""
        if self._before:
            last, self._before = self._before[-1], self._before[:-1]
            self._replace(last.domains)

    def set_key(self, key: str) -> None:
        """Save the domains under another name; one that cannot be is refused."""
        found, key = self._viewer_state.domains, key.strip()
        if found is None or key == found.key:
            return
        if not key or "/" in key:
            error = ArgumentError(
                f"The name {key!r} cannot name a column of a table.",
                "A name is a word without a slash.",
                "Type another.",
            )
            self._update(failure=Failure(error))
            return
        parameters = {**found.provenance.parameters, "key": key}
        named = replace(found, key=key, provenance=replace(found.provenance, parameters=parameters))
        self._replace(named)

    def save(self, out: Path | None = None) -> None:
        """Write column and outlines into the section's own store, or into a whole copy at ``out``.

        Domains of the same key that are there already are replaced.
        """
        opened, found = self._viewer_state.opened, self._viewer_state.domains
        if opened is None or found is None:
            return
        target = out or opened.source.path
        self._update(saving=True, saved=None, failure=None)
        self._runner.start(
            Task(
                topic=TOPIC,
                title=f"Saving {target.name}",
                work=lambda context: _save(opened, found, target, context),
                done=lambda path: self._on_saved(path, found.key),
                failed=lambda failure: self._update(saving=False, failure=failure),
                cancelled=lambda: self._update(saving=False),
                unit="MB",
            )
        )

    def _edit(self, act: str, edited: Callable[[DomainMap], DomainMap]) -> None:
        found = self._viewer_state.domains
        self._update(failure=None)
        if found is None:
            return
        try:
            other = edited(found)
        except ArgumentError as error:
            self._update(failure=Failure(error))
            return
        self._before = (*self._before, _Before(act, found))
        self._replace(other)

    def _replace(self, found: DomainMap) -> None:
        """Show what an edit made, which is no finding anew."""
        self._shown = found
        self._viewer_state.set_domains(found)

    def _on_section(self, opened: OpenedSection | None) -> None:
        self._runner.cancel(TOPIC)
        kept = self._left.exchange(opened, (self._before, self._written))
        self._before, self._written = kept or ((), frozenset())
        self._shown = None
        self._update(**vars(EditsState()))

    def _on_domains(self, found: DomainMap | None) -> None:
        if found is None or self._viewer_state.opened is None:
            return
        if found is not self._shown and self._shown is not None:
            lost = (_Before(FOUND_ANEW, self._shown),) if self._before else ()
            self._before = lost
        self._shown = found
        self._tell(found)

    def _tell(self, found: DomainMap) -> None:
        opened = self._viewer_state.opened
        column = Slots(found.key).domain
        there = opened is not None and column in opened.table.obs
        self._update(
            names=found.domains.names,
            colors=found.domains.colors,
            key=found.key,
            undoes=self._before[-1].act if self._before else "",
            replaces=column if there or found.key in self._written else "",
            saved=None,
            failure=None,
        )

    def _on_saved(self, path: Path, key: str) -> None:
        opened, found = self._viewer_state.opened, self._viewer_state.domains
        if opened is not None and path == opened.source.path:
            self._written |= {key}
        if found is not None:
            self._tell(found)
        self._update(saving=False, saved=path)


def _save(opened: OpenedSection, found: DomainMap, out: Path, context: JobContext) -> Path:
    from tagscope import api

    return api.write_result(opened, found, out, overwrite=True, context=context)
