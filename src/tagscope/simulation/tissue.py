"""The whole simulated tissue, in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tagscope.jobs import JobContext
from tagscope.simulation.anatomy import plan_anatomy
from tagscope.simulation.celltypes import DOMAINS, PROGRAMS, TYPE_NAMES, TYPES, panel_genes
from tagscope.simulation.config import SimulateConfig
from tagscope.simulation.expression import SectionCounts, measure_section
from tagscope.simulation.image import draw_image
from tagscope.simulation.outlines import Outlines, outline_cells
from tagscope.simulation.placement import Placement, place_cells
from tagscope.simulation.programs import plan_programs
from tagscope.simulation.reference import ReferenceCells, make_reference
from tagscope.simulation.transcripts import Transcripts, locate_transcripts


@dataclass(frozen=True)
class Tissue:
    """A section with known truth and the reference to annotate it with.

    ``ids`` (N,) cell ids; ``image`` (2, rows, columns) uint8, channels as ``image.CHANNELS``.
    Lengths are µm, ``config.pixel_size`` µm a pixel.
    """

    config: SimulateConfig
    ids: npt.NDArray[np.str_]
    placement: Placement
    outlines: Outlines
    counts: SectionCounts
    transcripts: Transcripts
    image: npt.NDArray[np.uint8]
    reference: ReferenceCells

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def genes(self) -> tuple[str, ...]:
        """The section's panel."""
        return panel_genes()

    def truth(self) -> dict[str, Any]:
        """What is known about the tissue, JSON-ready."""
        types = np.array(TYPE_NAMES)[self.placement.types]
        domains = np.array(DOMAINS)[self.placement.domains]
        reactive = self.placement.reactivity > 0.005
        reactivity = np.round(self.placement.reactivity[reactive], 2)
        return {
            "parameters": self.config.to_dict(),
            "type_names": list(TYPE_NAMES),
            "domain_names": list(DOMAINS),
            "markers": {t.name: list(t.markers) for t in TYPES},
            "programs": {
                name: {
                    "genes": list(genes),
                    "types": [t.name for t in TYPES if name in t.programs],
                }
                for name, genes in PROGRAMS.items()
            },
            "unseen_types": [self.config.unseen],
            "unseen_cells": self.ids[types == self.config.unseen].tolist(),
            "types": dict(zip(self.ids.tolist(), types.tolist(), strict=True)),
            "domains": dict(zip(self.ids.tolist(), domains.tolist(), strict=True)),
            "reactivity": dict(zip(self.ids[reactive].tolist(), reactivity.tolist(), strict=True)),
        }


def make_tissue(config: SimulateConfig, context: JobContext) -> Tissue:
    """Make a tissue, one part after the other."""
    anatomy = plan_anatomy(config.cells, config.seed)
    programs = plan_programs(config.seed)
    placement = place_cells(anatomy, config.cells, config.seed, context)
    outlines = outline_cells(placement, anatomy, config.seed)
    counts = measure_section(config, programs, placement, context)
    transcripts = locate_transcripts(counts, outlines, config.seed, context)
    image = draw_image(outlines, anatomy.extent, config.pixel_size, config.seed, context)
    reference = make_reference(config, programs, placement.types)
    ids = _cell_ids(config.cells, config.seed)
    return Tissue(config, ids, placement, outlines, counts, transcripts, image, reference)


def _cell_ids(cells: int, seed: int) -> npt.NDArray[np.str_]:
    """Unique ids as Xenium writes them: eight letters a to p, a dash and 1."""
    numbers = (np.arange(cells, dtype=np.uint64) + np.uint64(seed % 65_521)) * np.uint64(2654435761)
    digits = (numbers[:, None] >> np.arange(28, -4, -4, dtype=np.uint64)) & np.uint64(15)
    letters = np.full((cells, 10), ord("-"), np.uint8)
    letters[:, :8] = digits + ord("a")
    letters[:, 9] = ord("1")
    return letters.view("S10").ravel().astype(np.str_)
