"""Gene sets of a chosen file, tested in the programs of slots or patches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_tagscope.controllers.numbers import percent
from napari_tagscope.controllers.recent import read_list, write_list
from napari_tagscope.tasks import Runner, Task

if TYPE_CHECKING:
    from tagscope.api import Enrichment, PatchPrograms, SlotSummary

GENE_SETS, ORTHOLOGUES = "gene sets", "orthologues"
MOST_SETS = 50
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class SetRow:
    """One gene set in a program; the quantities are those of :class:`tagscope.api.Enrichment`."""

    name: str
    overlap: int
    size: int
    fold: float
    fdr: float
    genes: str


@dataclass(frozen=True)
class RememberedFiles:
    """Files that were chosen last, by what they are for; kept in a file of ``folder``."""

    folder: Path

    @property
    def _list(self) -> Path:
        return self.folder / "chosen_files.json"

    def path(self, purpose: str) -> Path | None:
        """The file, if it is still there."""
        found = Path(self._known().get(purpose, ""))
        return found if found.is_file() else None

    def remember(self, purpose: str, path: Path) -> None:
        """Keep a file for the next time."""
        known = {**self._known(), purpose: str(path.absolute())}
        write_list(self._list, list(known.items()))

    def _known(self) -> dict[str, str]:
        entries = read_list(self._list)
        return dict(entry for entry in entries if isinstance(entry, list) and len(entry) == 2)


class GeneSets:
    """The sets of the file that was chosen last, here or in another card, and what they tell.

    ``kind`` is what programs are of: "slot" or "patch". ``show`` is called when they were tested.
    ``update`` is that of a controller whose state has the files (``gene_sets``, ``orthologues``),
    the rows on view (``sets``, ``note``) and why there are none (``failure``).
    """

    def __init__(
        self,
        runner: Runner,
        remembered: RememberedFiles,
        kind: str,
        show: Callable[[], None],
        update: Callable[..., None],
    ) -> None:
        self._runner, self._remembered, self._kind = runner, remembered, kind
        self._show, self._update = show, update
        self._topic = f"enrich {kind}s"
        self._enriched: Enrichment | None = None

    def choose(self, purpose: str, path: Path) -> None:
        """Take another file, for ``GENE_SETS`` or ``ORTHOLOGUES``."""
        self._remembered.remember(purpose, path)
        self._update(failure=None, **{purpose.replace(" ", "_"): path})

    def test(self, programs: SlotSummary | PatchPrograms) -> None:
        """Test the sets of the chosen file, if there is one, in every program."""
        self.forget()
        path, orthologues = self._remembered.path(GENE_SETS), self._remembered.path(ORTHOLOGUES)
        self._update(gene_sets=path, orthologues=orthologues, sets=(), note="")
        if path is None:
            return
        self._runner.start(
            Task(
                topic=self._topic,
                title=f"Testing the sets of {path.name}",
                work=lambda _: _enrich(programs, path, orthologues),
                done=self._on_enriched,
                failed=lambda failure: self._update(sets=(), note="", failure=failure),
            )
        )

    def forget(self) -> None:
        """Forget what was found, and stop testing."""
        self._enriched = None
        self._runner.cancel(self._topic)

    def rows(self, number: int | None) -> tuple[SetRow, ...]:
        """The gene sets in one program, best first, 50 of them at most."""
        if self._enriched is None or number is None:
            return ()
        rows = self._enriched.frame
        rows = rows[rows[self._kind] == number].head(MOST_SETS)
        columns = ["set", "overlap", "set_size", "fold", "fdr", "genes"]
        return tuple(
            SetRow(str(name), int(overlap), int(size), float(fold), float(fdr), str(genes))
            for name, overlap, size, fold, fdr, genes in rows[columns].itertuples(index=False)
        )

    @property
    def note(self) -> str:
        """How many sets were tested, whether any is significant, and how genes were matched."""
        enriched = self._enriched
        if enriched is None:
            return ""
        best = enriched.frame["fdr"].min() if len(enriched.frame) else np.nan
        tested = (
            f"{enriched.sets_tested:,} of {enriched.sets_given:,} sets tested against "
            f"{len(enriched.background):,} genes."
        )
        none = (
            ""
            if best < SIGNIFICANT
            else f" None is below an FDR of {percent(SIGNIFICANT)} in any {self._kind}."
        )
        return " ".join([tested + none, *enriched.notes])

    def _on_enriched(self, enriched: Enrichment) -> None:
        self._enriched = enriched
        self._show()


def _enrich(
    programs: SlotSummary | PatchPrograms, path: Path, orthologues: Path | None
) -> Enrichment:
    from tagscope import api

    return api.enrich(programs, path, orthologues=orthologues)
