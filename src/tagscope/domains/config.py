"""How to delineate domains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tagscope.errors import ArgumentError

DomainModel = Literal["smoothed", "omnicell", "stagate", "cellpatch-stagate"]
"""What cells are compared by: smoothed components, or an embedding by OmniCell, by STAGATE, or by
CellPatch and STAGATE joined."""
Cluster = Literal["mixture", "leiden", "kmeans"]


@dataclass(frozen=True)
class DomainConfig:
    """How to delineate domains."""

    key: str | None = None
    """Name of the result in the table, before _domain and _domains; the model's if not given."""
    cluster: Cluster = "mixture"
    """mixture (Gaussians with one shared covariance), leiden or kmeans."""
    n_domains: int = 8
    """Domains to find; Leiden's resolution is searched for it, which may miss it."""
    resolution: float | None = None
    """Leiden's resolution, instead of a number of domains."""
    neighbors: int = 20
    """Cells around each, of its own section, over which its features are averaged; 0 clusters
    every cell's own."""
    components: int = 20
    """Principal components that are kept."""
    expression: bool = True
    """Compare cells by the components of their expression beside an OmniCell's embedding."""
    refine: bool = False
    """Give every cell the domain of most cells next to it."""
    starts: int = 10
    """Runs of mixture or kmeans from different starts, the best of which is kept."""
    seed: int = 0
    """Seed of everything random; the same seed gives the same domains."""

    def __post_init__(self) -> None:
        if self.key is not None and (not self.key or "/" in self.key):
            raise ArgumentError(
                f"The key {self.key!r} cannot name a slot of a table.",
                "A key is a word without a slash.",
                "Choose another.",
                {"key": None},
            )
        if self.cluster not in ("mixture", "leiden", "kmeans"):
            raise ArgumentError(
                f"The clustering {self.cluster!r} is unknown.",
                "It is mixture, leiden or kmeans.",
                "Choose one of these.",
                {"cluster": None},
            )
        for name, least in (("n_domains", 2), ("components", 1), ("starts", 1), ("neighbors", 0)):
            value = getattr(self, name)
            if value < least:
                raise ArgumentError(
                    f"{name.replace('_', ' ')} is {value}.",
                    f"A number from {least} on is needed.",
                    "Give another.",
                    {name: None},
                )
        self._judge_resolution()

    def _judge_resolution(self) -> None:
        if self.resolution is None:
            return
        if self.cluster != "leiden":
            raise ArgumentError(
                f"A resolution was given for the clustering {self.cluster!r}.",
                "Leiden alone has a resolution; the others take a number of domains.",
                "Choose Leiden, or give a number of domains.",
                {"cluster": "leiden", "n_domains": None},
            )
        if self.resolution <= 0:
            raise ArgumentError(
                f"The resolution is {self.resolution}.",
                "A number above 0 is needed.",
                "Give another.",
                {"resolution": None},
            )
