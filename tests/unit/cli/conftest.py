"""A small model and a small section, and a way to run a command as a person would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData, read_h5ad

from tagscope.cli.main import main


@dataclass(frozen=True)
class Ran:
    """What a command left: its exit code and what it said."""

    code: int
    out: str
    err: str


@pytest.fixture
def tagscope(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run one command in this process."""

    def run(*words: object) -> Ran:
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as stop:  # argparse leaves so
            code = int(stop.code or 0)
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return run


@pytest.fixture(scope="session")
def bundle(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A narrow model trained for two epochs on the sample's reference."""
    from tagscope import api

    out = tmp_path_factory.mktemp("bundle") / "cellmemory"
    reference = api.read_reference(sample_data / "reference.h5ad", "cell_type")
    api.train(
        reference,
        out=out,
        config=api.TrainConfig(epochs=2, seed=1),
        model_config=api.CellMemoryConfig(width=16, ffn=16, layers=1, heads=2, slots=3),
        panel=sample_data / "section.zarr",
    )
    return out


@pytest.fixture
def table(sample_data: Path) -> AnnData:
    """Sixty cells of the sample's reference, placed on a line."""
    cells = 60
    table = read_h5ad(sample_data / "reference.h5ad")[:cells].copy()
    table.obsm["spatial"] = np.column_stack((np.arange(cells) * 10.0, np.zeros(cells)))
    table.X = sp.csr_matrix(table.X)
    return table


@pytest.fixture
def section(table: AnnData, tmp_path: Path) -> Path:
    """A section of 60 cells as .h5ad."""
    path = tmp_path / "section.h5ad"
    table.write_h5ad(path)
    return path
