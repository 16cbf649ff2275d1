"""Finding the domains of the open section: features once, clusters live."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from napari_tagscope.controllers.bundles import KnownBundles
from napari_tagscope.controllers.domain_legend import DomainLegend
from napari_tagscope.controllers.domains_state import (
    KINDS,
    DomainsState,
    Learned,
    Learning,
    Model,
    told,
    usual_radius,
)
from napari_tagscope.controllers.observed import Observed
from napari_tagscope.controllers.per_section import PerSection
from napari_tagscope.controllers.stored import stored_domains
from napari_tagscope.state import ViewerState
from napari_tagscope.tasks import Failure, Runner, Task, nothing
from tagscope.core.labels import LabelSet
from tagscope.errors import BundleError
from tagscope.jobs import JobContext, Progress

if TYPE_CHECKING:
    from tagscope.api import Bundle, DomainMap, Embedding, OpenedSection

FEATURES_TOPIC = "domain features"
CLUSTER_TOPIC = "cluster domains"
LOAD_TOPIC = "load bundle for domains"
READ_TOPIC = "read domains"
OMNICELL: Final = "omnicell"
_Kept = tuple[dict[str, "Embedding"], dict[str, "DomainMap"], Learning]


class DomainsController(Observed[DomainsState]):
    """Finds domains; what features cost is paid once for a model, and settings then move live.

    Features and domains of a section that is left are there again when it is shown.
    """

    def __init__(
        self,
        viewer_state: ViewerState,
        runner: Runner,
        legend: DomainLegend,
        bundles: KnownBundles,
    ) -> None:
        super().__init__(DomainsState())
        self._viewer_state = viewer_state
        self._runner = runner
        self._legend = legend
        self._bundles = bundles
        self._features: dict[str, Embedding] = {}  # by model, bundle and how it learned
        self._taken: dict[Model, Bundle] = {}
        self._found: dict[str, DomainMap] = {}
        self._left: PerSection[_Kept] = PerSection()
        viewer_state.section_changed.connect(self._on_section)
        viewer_state.domains_changed.connect(self._on_domains)

    def choose_model(self, model: Model) -> None:
        """Compare cells by their smoothed expression, or as a model embeds them."""
        self._stop()
        self._runner.cancel(LOAD_TOPIC)
        bundle = self._taken.get(model)
        self._update(
            model=model,
            known=self._bundles.of_model(KINDS[model].takes),
            chosen=None if bundle is None else bundle.path,
            bundle=bundle,
            failure=None,
        )
        self._turn_live()

    def choose(self, path: Path) -> None:
        """Load and verify a bundle, and turn to the model that takes it."""
        self._stop()
        model = self.state.model if self.state.kind.takes else OMNICELL
        self._update(model=model, chosen=path, bundle=None, live=False, failure=None)
        self._runner.start(
            Task(
                topic=LOAD_TOPIC,
                title=f"Reading {path.name}",
                work=lambda _: _load(path),
                done=self.use,
                failed=lambda failure: self._update(chosen=None, failure=failure),
            )
        )

    def use(self, bundle: Bundle) -> None:
        """Take a bundle that is loaded already, such as one just trained."""
        self._bundles.remember(bundle.path)
        model = _taking(bundle)
        self._taken[model] = bundle
        self.choose_model(model)

    def start_anew(self) -> None:
        """Take no bundle, where the model may do without one."""
        self._taken.pop(self.state.model, None)
        self.choose_model(self.state.model)

    def set_learning(self, **changes: Any) -> None:
        """Change how the model learns: other settings are other features, to be asked for."""
        learning = self._fitting(replace(self.state.learning, **changes))
        if learning != self.state.learning:
            self._stop()
            self._update(learning=learning, failure=None)
            self._turn_live()

    def set(self, **changes: Any) -> None:
        """Change settings; where features are there, the domains follow."""
        settings = replace(self.state.settings, **changes)
        if settings == self.state.settings:
            return
        self._update(settings=settings)
        if self.state.live:
            self._cluster()

    def run(self) -> None:
        """Find domains: features first, where there are none yet."""
        if not self.state.ready:
            return
        if self.state.live:
            self._cluster()
        else:
            self._read()

    def cancel(self) -> None:
        """Stop; the domains on view stay."""
        self._stop()

    def show_key(self, key: str) -> None:
        """Show other domains that the section has."""
        opened = self._viewer_state.opened
        if opened is None or key == self.state.key:
            return
        if key in self._found:
            self._viewer_state.set_domains(self._found[key])
            return
        table = opened.table
        self._runner.start(
            Task(
                topic=READ_TOPIC,
                title=f"Reading {key}",
                work=lambda _: _stored(table, key),
                done=self._viewer_state.set_domains,
                failed=lambda failure: self._update(failure=failure),
            )
        )

    @property
    def _key(self) -> str:
        """Whose features are asked for."""
        bundle, learning = self.state.bundle, self.state.learning
        parts = [self.state.model, "" if bundle is None else bundle.digest]
        return " ".join([*parts, str(learning.chosen) if self.state.kind.learns else ""])

    def _fitting(self, learning: Learning) -> Learning:
        """With a radius that suits the section, where one is needed and nobody gave any."""
        opened = self._viewer_state.opened
        if opened is None or learning.graph != "radius" or learning.radius is not None:
            return learning
        return replace(learning, radius=usual_radius(opened.section.xy))

    def _turn_live(self) -> None:
        """Cluster at once where there are features already."""
        self._update(live=self._key in self._features)
        if self.state.live:
            self._cluster()

    def _stop(self) -> None:
        """Stop, and say so at once: a job may need a while until it hears of it."""
        self._update(reading=False, clustering=False, learned=None)
        for topic in (FEATURES_TOPIC, CLUSTER_TOPIC):
            self._runner.cancel(topic)

    def _read(self) -> None:
        opened, key = self._viewer_state.opened, self._key
        if opened is None:
            return
        model, bundle, learning = self.state.model, self.state.bundle, self.state.learning
        learns = self.state.kind.learns
        self._update(reading=True, failure=None, told="", learned=None)
        self._runner.start(
            Task(
                topic=FEATURES_TOPIC,
                title="Learning from the section" if learns else "Reading cells",
                work=lambda context: _features(opened, model, bundle, learning, context),
                done=lambda features: self._on_features(key, features),
                failed=self._on_failed,
                reported=self._on_learning if learns else nothing,
                cancelled=lambda: self._update(reading=False, learned=None),
                unit="cells" if model == OMNICELL else "updates" if learns else "",
                heavy=True,
            )
        )

    def _on_learning(self, reports: Sequence[Progress]) -> None:
        """Say how far it is, unless somebody cancelled."""
        last = next((report for report in reversed(reports) if report.stage == "learning"), None)
        if last is not None and self.state.reading:
            left = last.remaining_seconds
            self._update(learned=Learned(last.done, last.total, last.partial, left))

    def _on_features(self, key: str, features: Embedding) -> None:
        self._features[key] = features
        wanted = self.state.reading and key == self._key  # else somebody cancelled
        self._update(reading=False, learned=None, live=self._key in self._features)
        if wanted:
            self._cluster()

    def _cluster(self) -> None:
        """Cluster the features that are kept, in place of a clustering that still runs."""
        opened, features = self._viewer_state.opened, self._features.get(self._key)
        if opened is None or features is None:
            return
        settings = self.state.settings
        before = self._viewer_state.domains
        self._update(clustering=True, failure=None)
        self._runner.start(
            Task(
                topic=CLUSTER_TOPIC,
                title="Clustering domains",
                work=lambda context: _clustered(opened, features, settings.config, before, context),
                done=self._on_clustered,
                failed=self._on_failed,
                reported=self._on_reported,
                cancelled=self._on_cancelled,
                heavy=True,
            )
        )

    def _on_reported(self, reports: Sequence[Progress]) -> None:
        """Paint the best so far."""
        parts = [report.partial for report in reports if report.partial is not None]
        if parts and self.state.clustering:
            self._legend.preview(parts[-1])

    def _on_cancelled(self) -> None:
        self._update(clustering=False)
        self._legend.restore()

    def _on_clustered(self, clustered: tuple[DomainMap, float]) -> None:
        found, seconds = clustered
        self._update(clustering=False, told=told(found, seconds))
        self._viewer_state.set_domains(found)

    def _on_failed(self, failure: Failure) -> None:
        self._update(reading=False, clustering=False, learned=None, failure=failure)

    def _on_section(self, opened: OpenedSection | None) -> None:
        for topic in (FEATURES_TOPIC, CLUSTER_TOPIC, READ_TOPIC):
            self._runner.cancel(topic)
        before = self.state.learning
        kept = self._left.exchange(opened, (self._features, self._found, before))
        anew = self._fitting(replace(before, radius=None))
        self._features, self._found, learning = kept or ({}, {}, anew)
        self._update(learning=learning)
        keys = () if opened is None else tuple(stored_domains(opened.table))
        self._update(
            has_section=opened is not None,
            live=self._key in self._features,
            reading=False,
            clustering=False,
            learned=None,
            keys=tuple(dict.fromkeys((*self._found, *keys))),
            key="",
            told="",
            failure=None,
        )

    def _on_domains(self, found: DomainMap | None) -> None:
        if found is None:
            self._update(key="")
            return
        self._found[found.key] = found
        keys = self.state.keys
        self._update(key=found.key, keys=keys if found.key in keys else (found.key, *keys))


def _load(path: Path) -> Bundle:
    from tagscope import api

    bundle = api.load_bundle(path)
    if all(kind.takes != bundle.model for kind in KINDS.values()):
        raise BundleError(
            f"{path.name} is a model of kind {bundle.model!r}.",
            "Domains take an OmniCell, or a CellPatch that STAGATE is joined with.",
            "Choose another, train a small one here, or take smoothed expression.",
        )
    return bundle


def _taking(bundle: Bundle) -> Model:
    """The model that takes a bundle."""
    return next(model for model, kind in KINDS.items() if kind.takes == bundle.model)


def _stored(table: Any, key: str) -> DomainMap:
    from tagscope import api

    return api.DomainMap.of_table(table, key)


def _features(
    opened: OpenedSection,
    model: Model,
    bundle: Bundle | None,
    learning: Learning,
    context: JobContext,
) -> Embedding:
    from tagscope import api

    return api.domain_features(
        opened, model, bundle, stagate=learning.stagate, union=learning.union, context=context
    )


def _clustered(
    opened: OpenedSection,
    features: Embedding,
    config: Any,
    before: DomainMap | None,
    context: JobContext,
) -> tuple[DomainMap, float]:
    """Domains in the colours of those on view, and the seconds it took."""
    from tagscope import api

    def coloured(progress: Progress) -> None:
        found = None
        if progress.partial is not None:
            found = _kept_colors(_so_far(opened, features, progress.partial), before)
        context.step(progress.stage, progress.done, progress.total, found)

    started = time.monotonic()
    inner = JobContext(coloured)
    found = api.delineate_domains(opened, embedding=features, config=config, context=inner)
    return _kept_colors(found, before), time.monotonic() - started


def _kept_colors(found: DomainMap, before: DomainMap | None) -> DomainMap:
    from tagscope import api

    return found if before is None else api.coloured_like(found, before)


def _so_far(opened: OpenedSection, features: Embedding, codes: Any) -> DomainMap:
    """Clusters as domains, before they are refined."""
    from tagscope import api

    names = tuple(f"Domain {number}" for number in range(1, int(codes.max()) + 2))
    ids = opened.section.ids
    return api.DomainMap(features.key, ids, LabelSet(names), codes, features.provenance)
