"""What the Domains panel shows, in fields and in words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_tagscope.tasks import Failure

if TYPE_CHECKING:
    from tagscope.api import Bundle, DomainConfig, DomainMap

Model = Literal["smoothed", "omnicell"]
Way = Literal["mixture", "kmeans", "leiden", "leiden by number"]

CLUSTERS: dict[Way, Literal["mixture", "kmeans", "leiden"]] = {
    "mixture": "mixture",
    "kmeans": "kmeans",
    "leiden": "leiden",
    "leiden by number": "leiden",
}
NO_SECTION = "Open a section to find its domains."
CHOOSE_BUNDLE = "Choose a bundle of OmniCell, or train a small one on this section."
READY = "Press “Find domains”: cells with like surroundings become a domain."
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
class DomainsState:
    """What the Domains panel shows.

    ``known`` are bundles of OmniCell; ``bundle`` is None until the chosen one is loaded and
    verified. ``live`` once features of the section are there for the model; ``keys`` are the
    domains that the section has, ``key`` those on view. ``told`` says what became of the last run.
    """

    has_section: bool = False
    model: Model = "smoothed"
    known: tuple[Path, ...] = ()
    chosen: Path | None = None
    bundle: Bundle | None = None
    settings: Settings = Settings()
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
        has_model = self.model == "smoothed" or self.bundle is not None
        return self.has_section and has_model and not self.reading


def hint(state: DomainsState) -> str:
    """What to do next."""
    if not state.has_section:
        return NO_SECTION
    if state.model == "omnicell" and state.bundle is None:
        reading = state.chosen is not None and state.failure is None
        return "Reading the bundle…" if reading else CHOOSE_BUNDLE
    if state.reading:
        return "Reading cells; Cancel harms nothing."
    if state.clustering:
        return "Clustering…"
    return LIVE if state.live else READY


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
