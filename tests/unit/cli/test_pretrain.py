"""pretrain as a person runs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from anndata import AnnData

from tagscope import api
from tagscope.models.omnicell.config import OmniCellConfig
from tagscope.training import pretrain_recipe

QUICK = ("--epochs", "1", "--batch-size", "16", "--neighbors", "2", "--device", "cpu")


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    network = OmniCellConfig(width=8, ffn=16, layers=1, heads=2, rotary_width=4, dropout=0.0)
    monkeypatch.setitem(pretrain_recipe._SMALL, "network", network)


def test_a_section_and_then_cells(tagscope, section: Path, sample_data: Path, tmp_path: Path):
    ran = tagscope("pretrain", section, "--out", tmp_path / "first", *QUICK)
    assert ran.code == 0, ran.err
    assert "held-out loss" in ran.out
    assert "54 cells (cells, spatial)" in ran.out
    again = tagscope("pretrain", section, "--out", tmp_path / "first", *QUICK)
    assert again.code == 1
    assert "--overwrite" in again.err
    ran = tagscope(
        "pretrain", sample_data / "reference.h5ad", "--init", tmp_path / "first",
        "--out", tmp_path / "second", *QUICK,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "(cells)" in ran.out
    first, second = (api.load_bundle(tmp_path / name) for name in ("first", "second"))
    assert first.panel == second.panel


@pytest.mark.slow
def test_a_store_is_read_too(tagscope, sample_data: Path, tmp_path: Path):
    out = tmp_path / "m"
    ran = tagscope("pretrain", sample_data / "section.zarr", "--out", out, *QUICK)
    assert ran.code == 0, ran.err
    assert api.load_bundle(out).preprocessing["unit"] == "µm"


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--layer", "nowhere"), 2, "nowhere"),
        (("--region", "a"), 2, "--region"),
        (("--epochs", "0"), 2, "--epochs"),
        (("--resume",), 2, "without --resume"),
    ],
)
def test_what_cannot_be(tagscope, section: Path, tmp_path: Path, options, code, said):
    ran = tagscope("pretrain", section, "--out", tmp_path / "m", *QUICK, *options)
    assert ran.code == code, ran.err
    assert said in ran.err
    assert list(tmp_path.iterdir()) == [section]


def test_sections_that_lie_upon_each_other_must_be_told_apart(
    tagscope, table: AnnData, tmp_path: Path
):
    table.obsm["spatial"] = np.random.default_rng(0).uniform(0, 100, (table.n_obs, 2))
    table.obs["section"] = np.where(np.arange(table.n_obs) % 2, "a", "b")
    table.write_h5ad(tmp_path / "two.h5ad")
    ran = tagscope("pretrain", tmp_path / "two.h5ad", "--out", tmp_path / "m", *QUICK)
    assert ran.code == 1
    assert "--sections section" in ran.err
    told = ("--sections", "section")
    ran = tagscope("pretrain", tmp_path / "two.h5ad", "--out", tmp_path / "m", *QUICK, *told)
    assert ran.code == 0, ran.err
