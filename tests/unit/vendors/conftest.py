"""One small tissue as every vendor's folder."""

from __future__ import annotations

import shutil

import pytest

from tagscope.jobs import JobContext
from tagscope.simulation import SimulateConfig, simulate_tissue
from tagscope.simulation.vendors import cosmx, merscope, stereoseq, visium, xenium

COSMX_SIDE = 1500  # pixels of a FOV: several, so that the small section needs more than one
_WRITERS = {
    "xenium": xenium.write,
    "xenium-2": xenium.write_version_2,
    "merscope": merscope.write,
    "cosmx": lambda tissue, out, context: cosmx.write(tissue, out, context, COSMX_SIDE),
    "visium": visium.write,
    "visium-hd": visium.write_hd,
    "stereo-seq": stereoseq.write,
}


@pytest.fixture(scope="session")
def small():
    return simulate_tissue(SimulateConfig(cells=500, seed=5, reference_cells=1000))


@pytest.fixture(scope="session")
def folder_of(small, tmp_path_factory):
    """Folder of a layout, written once; tests that change it take a :func:`copy_of` it."""
    made = {}

    def write(layout):
        if layout not in made:
            made[layout] = tmp_path_factory.mktemp("vendor") / layout
            made[layout].mkdir()
            _WRITERS[layout](small, made[layout], JobContext())
        return made[layout]

    return write


@pytest.fixture
def copy_of(folder_of, tmp_path):
    """A copy of a layout's folder without the files that fit some patterns."""

    def copy(layout, *without):
        out = tmp_path / "copy"
        shutil.copytree(folder_of(layout), out)
        for pattern in without:
            for path in sorted(out.glob(pattern)):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        return out

    return copy


@pytest.fixture
def cells_of(small):
    """The ids that a layout gives the tissue's cells, in their order."""

    def ids(layout):
        if layout == "merscope":
            return merscope.cell_ids(small)
        if layout == "cosmx":
            return cosmx.cell_ids(small, COSMX_SIDE)
        return small.ids.tolist()

    return ids
