"""What the Domains panel shows, in fields and in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from napari_tagscope.tasks import Failure

if TYPE_CHECKING:
    from tagscope.api import Bundle, DomainConfig, DomainMap, StagateConfig, UnionConfig

Model = Literal["smoothed", "omnicell", "stagate", "cellpatch-stagate"]
Connect = Literal["nearest", "radius", "delaunay"]
Way = Literal["mixture", "kmeans", "leiden", "leiden by number"]

CLUSTERS: dict[Way, Literal["mixture", "kmeans", "leiden"]] = {
    "mixture": "mixture",
    "kmeans": "kmeans",
    "leiden": "leiden",
    "leiden by number": "leiden",
}


@dataclass(frozen=True)
class ModelKind:
    """What features of a model are made with: a bundle of the model ``takes``, "" for none, which
    it ``needs`` or may start from; ``learns`` where it learns from the section itself."""

    takes: str = ""
    needs: bool = False
    learns: bool = False


KINDS: dict[Model, ModelKind] = {
    "smoothed": ModelKind(),
    "omnicell": ModelKind(takes="omnicell", needs=True),
    "stagate": ModelKind(learns=True),
    "cellpatch-stagate": ModelKind(takes="cellpatch", learns=True),
}
NO_SECTION = "Open a section to find its domains."
CHOOSE_BUNDLE = "Choose a bundle of OmniCell, or train a small one on this section."
READY = "Press “Find domains”: cells with like surroundings become a domain."
LEARN = (
    "Press “Find domains”: it learns from this section first, in minutes or longer; the time left "
    "is told once it is known."
)
TOLD_FROM = 5  # updates, before which nobody knows how long the others take
LEARNING = "Learning from this section; Cancel harms nothing."
LIVE = "Number, method and smoothing move live: nothing is read again."


@dataclass(frozen=True)
class Settings:
    """How features become domains."""

    way: Way = "mixture"
    n_domains: int = 8
    resolution: float = 1.0
    neighbors: int = 20
    refine: bool = False

    @property
    def by_resolution(self) -> bool:
        """Whether a resolution, and no number, says how many domains there are."""
        return self.way == "leiden"

    @property
    def config(self) -> DomainConfig:
        """The same as the engine takes them."""
        from tagscope import api

        return api.DomainConfig(
            cluster=CLUSTERS[self.way],
            n_domains=self.n_domains,
            resolution=self.resolution if self.by_resolution else None,
            neighbors=self.neighbors,
            refine=self.refine,
        )


@dataclass(frozen=True)
class Learning:
    """How a STAGATE learns from the section; as long as usual where ``epochs`` is None.

    ``radius`` is in the unit of the coordinates, for the graph of that name; None until one is
    needed, and then :func:`usual_radius`.
    """

    graph: Connect = "nearest"
    nearest: int = 6
    radius: float | None = None
    epochs: int | None = None

    @property
    def chosen(self) -> dict[str, Any]:
        """The fields that matter, as the engine's settings name them."""
        chosen: dict[str, Any] = {"graph": self.graph, "epochs": self.epochs}
        if self.graph == "nearest":
            chosen["nearest"] = self.nearest
        elif self.graph == "radius":
            chosen["radius"] = self.radius
        return chosen

    @property
    def stagate(self) -> StagateConfig:
        """The same as the engine takes them."""
        from tagscope import api

        return api.StagateConfig(**self.chosen)

    @property
    def union(self) -> UnionConfig:
        """The same for CellPatch and STAGATE joined."""
        from tagscope import api

        return api.UnionConfig(**self.chosen)


@dataclass(frozen=True)
class Learned:
    """How far a model is: ``done`` of all ``updates``, the loss of the last pass."""

    done: int
    updates: int
    loss: float | None
    seconds_left: float | None


@dataclass(frozen=True)
class DomainsState:
    """What the Domains panel shows.

    ``known`` are bundles that the model takes; ``bundle`` is None until the chosen one is loaded
    and verified. ``learned`` says how far a model is that learns from the section. ``live`` once
    features of the section are there for the model; ``keys`` are the domains that the section has,
    ``key`` those on view. ``told`` says what became of the last run.
    """

    has_section: bool = False
    model: Model = "smoothed"
    known: tuple[Path, ...] = ()
    chosen: Path | None = None
    bundle: Bundle | None = None
    settings: Settings = Settings()
    learning: Learning = Learning()
    learned: Learned | None = None
    live: bool = False
    reading: bool = False
    clustering: bool = False
    keys: tuple[str, ...] = ()
    key: str = ""
    told: str = ""
    failure: Failure | None = None

    @property
    def ready(self) -> bool:
        """Whether domains can be found."""
        waits = self.bundle is None and (self.kind.needs or self.chosen is not None)
        return self.has_section and not waits and not self.reading

    @property
    def kind(self) -> ModelKind:
        """What the chosen model is made with."""
        return KINDS[self.model]


def usual_radius(xy: npt.NDArray[np.float64]) -> float:
    """A radius within which a cell has about six others, were cells (N, 2) spread evenly; of two
    digits."""
    known = xy[np.isfinite(xy).all(axis=1)]
    if len(known) < 2:
        return 1.0
    area = float(np.prod(np.maximum(np.ptp(known, axis=0), 1e-9)))
    return float(f"{math.sqrt(7 * area / (math.pi * len(known))):.2g}")


def hint(state: DomainsState) -> str:
    """What to do next."""
    if not state.has_section:
        return NO_SECTION
    if state.bundle is None and (state.kind.needs or state.chosen is not None):
        reading = state.chosen is not None and state.failure is None
        return "Reading the bundle…" if reading else CHOOSE_BUNDLE
    if state.reading and state.kind.learns:
        return LEARNING if state.learned is None else _learned(state.learned)
    if state.reading:
        return "Reading cells; Cancel harms nothing."
    if state.clustering:
        return "Clustering…"
    if state.live:
        return LIVE
    return LEARN if state.kind.learns else READY


def _learned(found: Learned) -> str:
    """How far it is, how well it does, and how long it still takes."""
    text = f"Learning: update {found.done:,} of {found.updates:,}"
    if found.loss is not None:
        text += f" · loss {found.loss:.4f}"
    if found.seconds_left is not None and found.done >= TOLD_FROM:
        text += f" · about {minutes(found.seconds_left)} left"
    return text


def minutes(seconds: float) -> str:
    """A time to wait, in seconds where it is short."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def told(found: DomainMap, seconds: float) -> str:
    """How many domains were found, how long that took, and what was not as asked for."""
    record = found.provenance
    asked, clusters = record.parameters["n_domains"], record.extra["clusters"]
    text = f"{len(found.domains)} domains, clustered in {seconds:.1f} s"
    if "resolution" not in record.extra:
        return text if clusters == asked else f"{text} · {asked} were asked for"
    text += f" · resolution {record.extra['resolution']:.3g}"
    searched = record.parameters["resolution"] is None
    return f"{text} · {asked} cannot be reached" if searched and clusters != asked else text
