"""What to simulate."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from tagscope.errors import ArgumentError
from tagscope.simulation.celltypes import TYPES

Layout = Literal[
    "spatialdata", "xenium", "xenium-2", "merscope", "cosmx", "visium", "visium-hd", "stereo-seq"
]
"""How the section is laid out on disk: a SpatialData store, or a vendor's folder."""


@dataclass(frozen=True)
class SimulateConfig:
    """Size, noise and seed of a simulated tissue."""

    cells: int = 4000
    """Cells in the section."""
    seed: int = 0
    """Seed of everything random; the same seed gives the same tissue."""
    reference_cells: int = 3000
    """Cells in the single-cell reference."""
    median_counts: float = 90.0
    """Median transcripts per cell of the section, over the panel."""
    reference_counts: float = 1500.0
    """Median counts per reference cell, over the panel."""
    spill: float = 0.15
    """Mean share of a cell's transcripts that segmentation gives to its neighbours, 0 to 0.5."""
    technical_shift: float = 0.5
    """Standard deviation of the natural log of a gene's efficiency, drawn once for the section and
    once for the reference; 0 makes the two measure alike."""
    unseen: str = "T cell"
    """The type of the section that the reference lacks."""
    pixel_size: float = 1.0
    """µm per pixel of the image."""

    def __post_init__(self) -> None:
        names = [t.name for t in TYPES]
        _in_range("cells", self.cells, 500, 5_000_000)
        _in_range("seed", self.seed, 0, 2**63 - 1)
        _in_range("reference_cells", self.reference_cells, 1000, 1_000_000)
        _in_range("median_counts", self.median_counts, 5, 5000)
        _in_range("reference_counts", self.reference_counts, 5, 50_000)
        _in_range("spill", self.spill, 0, 0.5)
        _in_range("technical_shift", self.technical_shift, 0, 2)
        _in_range("pixel_size", self.pixel_size, 0.1, 10)
        if self.unseen not in names:
            raise ArgumentError(
                f"{self.unseen!r} is not a cell type of the simulated tissue.",
                f"The types are {', '.join(names)}.",
                "Choose one of these.",
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


def _in_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ArgumentError(
            f"{name} is {value}.",
            f"It must lie between {low:,} and {high:,}.",
            f"Give a --{name.replace('_', '-')} in that range.",
        )
