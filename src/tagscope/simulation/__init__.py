"""A tissue with known truth: section, reference, planted markers, domains, unseen cells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tagscope.jobs import JobContext
from tagscope.simulation.config import Layout, SimulateConfig

if TYPE_CHECKING:
    from tagscope.simulation.tissue import Tissue

__all__ = ["Layout", "SimulateConfig", "simulate_tissue", "write_tissue"]


def simulate_tissue(config: SimulateConfig, *, context: JobContext | None = None) -> Tissue:
    """Make a tissue in memory; the same ``config`` gives the same tissue.

    Raises
    ------
    JobCancelled
        If the owner of ``context`` cancels.
    """
    from tagscope.simulation.tissue import make_tissue

    return make_tissue(config, context or JobContext())


def write_tissue(
    tissue: Tissue,
    out: Path,
    *,
    layout: Layout = "spatialdata",
    overwrite: bool = False,
    context: JobContext | None = None,
) -> None:
    """Write ``out/section.zarr``, ``out/reference.h5ad`` and ``out/truth.json``, all or nothing.

    In another ``layout`` the section is the vendor's folder ``out/section``.

    Raises
    ------
    OutputError
        If ``out`` exists and ``overwrite`` is not set, or cannot be written.
    JobCancelled
        If the owner of ``context`` cancels; nothing is left behind.
    """
    from tagscope.simulation.write import write_folder

    write_folder(tissue, out, layout, overwrite=overwrite, context=context or JobContext())
