"""Checkpoints as the original OmniCell leaves them, run through the public verbs."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

import tagscope as ts
from tagscope.cli.main import main
from tagscope.errors import ArgumentError, BundleError, InputError
from tagscope.inference.genes import cell_gene_states
from tagscope.jobs import JobContext
from tagscope.models.omnicell.config import OmniCellConfig
from tagscope.models.omnicell.convert import SPECIALS, to_published
from tagscope.models.omnicell.network import OmniCellNetwork
from tagscope.models.registry import load_omnicell

EXACT = ts.EmbedConfig(device="cpu", precision="fp32")


@dataclass(frozen=True)
class Case:
    """The checkpoint, converted, with the section it came with and what the original said."""

    folder: Path
    bundle: ts.Bundle
    section: ts.OpenedSection
    genes: tuple[str, ...]
    expected: dict[str, np.ndarray]


@pytest.fixture(scope="module")
def case(shared: Path, tmp_path_factory) -> Case:
    folder = shared / "parity" / "e2e" / "omnicell_small"
    bundle = ts.convert(folder / "checkpoint", out=tmp_path_factory.mktemp("omnicell") / "bundle")
    genes = tuple(json.loads((folder / "settings.json").read_text())["selected_genes"])
    expected = load_file(folder / "expected" / "expected.safetensors")
    return Case(folder, bundle, ts.open_section(folder / "query.h5ad"), genes, expected)


def embedded(case: Case, genes: tuple[str, ...] | None = None, **changes) -> np.ndarray:
    config = replace(EXACT, **changes)
    return ts.embed(case.section, case.bundle, config, gene_list=genes or case.genes).values


def gram(values: np.ndarray) -> np.ndarray:
    return values @ values.T


def test_cells_alone(case):
    np.testing.assert_allclose(
        embedded(case, neighbors=0), case.expected["sc_embedding"], atol=2e-5
    )


def test_cells_with_their_neighbours(case):
    wanted = case.expected["spatial_embedding"]
    np.testing.assert_allclose(embedded(case, blocks="all"), wanted, atol=2e-5)
    np.testing.assert_allclose(embedded(case), wanted[:, 0], atol=2e-5)
    np.testing.assert_allclose(embedded(case, blocks="mean"), wanted.mean(axis=1), atol=2e-5)


def test_projected(case):
    expected = case.expected
    alone = embedded(case, neighbors=0, project=True)
    assert alone.shape == expected["sc_projected"].shape
    np.testing.assert_allclose(gram(alone), expected["sc_projected_gram"], atol=5e-5)
    centres = gram(embedded(case, project=True))
    np.testing.assert_allclose(centres, expected["spatial_projected_centre_gram"], atol=5e-5)
    blocks = embedded(case, blocks="all", project=True)[:25].reshape(250, -1)
    wanted = expected["spatial_projected_all_blocks_first25_gram"]
    np.testing.assert_allclose(gram(blocks), wanted, atol=5e-5)


def test_the_genes_that_vary_most(case):
    found = ts.embed(case.section, case.bundle, replace(EXACT, neighbors=0, n_genes=40))
    assert found.provenance.extra["genes"] == 40
    np.testing.assert_allclose(found.values, case.expected["sc_hvg_embedding"], atol=2e-5)


def test_batches_and_order_change_nothing(case):
    whole = embedded(case)
    np.testing.assert_allclose(embedded(case, batch_size=3), whole, atol=2e-6)
    other = ad.read_h5ad(case.folder / "query.h5ad")[::-1].copy()
    turned = replace(
        case.section.section, cells=case.section.section.cells.take(np.arange(200)[::-1]),
        xy=case.section.section.xy[::-1],
    )  # fmt: skip
    assert list(turned.ids) == list(other.obs_names)
    found = ts.embed(turned, case.bundle, EXACT, gene_list=case.genes).values
    np.testing.assert_allclose(found[::-1], whole, atol=2e-6)


def test_genes_in_cells(case):
    model = load_omnicell(case.bundle, torch.device("cpu"))
    config = ts.GeneConfig(device="cpu", precision="fp32")
    with cell_gene_states(
        case.section.section, model, config, gene_list=case.genes, context=JobContext()
    ) as found:
        states, wanted = np.array(found.states), case.expected
        np.testing.assert_allclose(found.cells, wanted["sc_embedding"], atol=2e-5)
        assert found.panel.symbols == case.genes
    grams = np.einsum("cgm,chm->cgh", states[:30], states[:30])
    np.testing.assert_allclose(grams, wanted["gene_gram_first30"], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(
        np.linalg.norm(states, axis=2), wanted["gene_embedding_norm"], rtol=1e-4
    )


def test_bf16_agrees(case):
    exact, rounded = embedded(case), embedded(case, precision="bf16")
    assert (exact * rounded).sum(axis=1).min() > 0.999


def test_a_section_is_checked_for_it_but_not_annotated(case):
    found = ts.check(case.folder / "query.h5ad", case.bundle)
    assert found.ok
    assert "60 of the section's 63 genes are known to the model" in found.to_text()
    assert "few-shared-genes" not in {finding.code for finding in found.findings}
    with pytest.raises(BundleError, match="'omnicell', which cannot annotate"):
        ts.annotate(case.section, case.bundle)


def test_the_commands(case, tmp_path, capsys):
    names = tmp_path / "genes.txt"
    names.write_text("\n".join(case.genes))
    checkpoint, bundle = str(case.folder / "checkpoint"), str(tmp_path / "bundle")
    assert main(["convert", checkpoint, "--out", bundle]) == 0
    out = tmp_path / "embedded.h5ad"
    assert main(["embed", str(case.folder / "query.h5ad"), "--bundle", bundle, "--neighbors", "0",
                 "--gene-list", str(names), "--precision", "fp32", "--device", "cpu",
                 "--out", str(out)]) == 0  # fmt: skip
    assert "200 × 64 numbers over 60 genes" in capsys.readouterr().out
    table = ad.read_h5ad(out)
    np.testing.assert_allclose(table.obsm["X_omnicell"], case.expected["sc_embedding"], atol=2e-5)
    assert main(["embed", str(out), "--bundle", bundle, "--out", str(out)]) == 2
    assert "already has obsm['X_omnicell']" in capsys.readouterr().err
    assert main(["convert", checkpoint, "--out", bundle, "--mode", "full", "--no-flash"]) == 2
    assert "not those of converting omnicell: mode" in capsys.readouterr().err


def test_genes_of_a_real_section(shared, of_mice, tmp_path, capsys):
    section = shared / "data" / "annotation" / "osmfish.h5ad"
    out = tmp_path / "genes"
    words = ["genes", str(section), "--bundle", str(of_mice.path), "--label", "cell_class",
             "--device", "cpu", "--precision", "fp32", "--epochs", "2",
             "--out", str(out)]  # fmt: skip
    assert main(words) == 0
    assert "33 genes in" in capsys.readouterr().out
    values = pd.read_parquet(out / "embeddings.parquet")
    modules, markers = (pd.read_csv(out / f"{name}.csv") for name in ("modules", "markers"))
    assert len(values) == len(modules) == 33
    assert np.isfinite(values.to_numpy()).all()
    # with random weights too, an embedding moves with the rank of its gene
    best = markers[markers["rank"] <= 3].groupby("group")["gene"].agg(set)
    assert "Gad2" in best["Inhibitory"]
    assert {"Plp1", "Pdgfra", "Sox10", "Itpr2", "Bmp4"} & best["Oligodendrocyte"]
    again = ts.gene_embeddings(section, of_mice, ts.GeneConfig(device="cpu", precision="fp32",
                                                               epochs=2))  # fmt: skip
    np.testing.assert_allclose(again.values, values.to_numpy(), atol=1e-5)
    near = again.nearest("Gad2", 5)
    assert len(near) == 5
    assert near["cosine"].is_monotonic_decreasing


@pytest.fixture(scope="module")
def of_mice(shared, tmp_path_factory) -> ts.Bundle:
    """Random weights whose vocabulary is a section's own genes, by symbol."""
    folder = tmp_path_factory.mktemp("mouse")
    names = sorted(ad.read_h5ad(shared / "data" / "annotation" / "osmfish.h5ad").var_names)
    return random_checkpoint(folder, names, ts.OmniCellConvertConfig())


def damaged(case: Case, folder: Path, change) -> Path:
    """A copy of the checkpoint with other weights."""
    folder.mkdir()
    weights = torch.load(case.folder / "checkpoint" / "backbone.pth", weights_only=True)
    torch.save(change(weights), folder / "backbone.pth")
    for name in ("checkpoint/LMConfig.json", "Vocabulary.json"):
        (folder / Path(name).name).write_bytes((case.folder / name).read_bytes())
    return folder


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: {k: v for k, v in w.items() if k != "output.W"}, r"1 are missing \(output.W\)"),
        (lambda w: {**w, "head.bias": torch.zeros(3)}, r"1 are not OmniCell's \(head.bias\)"),
        (lambda w: {**w, "output.W": torch.zeros(3, 3)}, r"output.W has shape \(3, 3\)"),
        (lambda w: {**w, "output.W": w["output.W"] * torch.nan}, "not tensors of finite numbers"),
        (
            lambda w: {
                **w,
                "embedder.gene_embedding.weight": w["embedder.gene_embedding.weight"][:300],
            },
            "the weights have 300",
        ),
    ],
)
def test_no_weight_is_left_to_chance(case, tmp_path, change, said):
    with pytest.raises(InputError, match=said):
        ts.convert(damaged(case, tmp_path / "odd", change), out=tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_what_is_missing_is_named(case, tmp_path):
    with pytest.raises(InputError, match="There is no checkpoint"):
        ts.convert(tmp_path / "nowhere", "omnicell", out=tmp_path / "bundle")
    with pytest.raises(InputError, match="lacks LMConfig"):
        ts.convert(tmp_path, "omnicell", out=tmp_path / "bundle")
    with pytest.raises(ArgumentError, match="not those of converting omnicell"):
        ts.convert(case.folder / "checkpoint", out=tmp_path / "b", config=ts.ConvertConfig())


@pytest.fixture(scope="module")
def of_humans(shared: Path, tmp_path_factory) -> ts.Bundle:
    """A converted checkpoint of random weights whose vocabulary is that of human genes."""
    folder = tmp_path_factory.mktemp("human")
    table = shared / "data" / "genes" / "human_ensembl_symbol.csv"
    ids = sorted({line.split(",")[0] for line in table.read_text().splitlines()[1:]})
    ids = [name for name in ids if name.startswith("ENSG")]
    return random_checkpoint(folder, ids, ts.OmniCellConvertConfig(symbols=table))


def random_checkpoint(
    folder: Path, names: list[str], config: ts.OmniCellConvertConfig
) -> ts.Bundle:
    """A checkpoint of random weights over some genes, converted."""
    rows = {name: row for row, name in enumerate((*names, *SPECIALS))}
    (folder / "Vocabulary.json").write_text(json.dumps(rows))
    sizes = {"d_model": 32, "heads": 2, "dim": 8, "num_layers": 2, "hidden_dim": 64,
             "num_gene": len(rows)}  # fmt: skip
    (folder / "LMConfig.json").write_text(json.dumps(sizes))
    network = OmniCellConfig(width=32, heads=2, rotary_width=8, layers=2, ffn=64)
    torch.manual_seed(0)
    state = OmniCellNetwork(network, len(rows)).state_dict()
    torch.save(to_published(state, network), folder / "backbone.pth")
    return ts.convert(folder, out=folder / "bundle", config=config)


def test_genes_are_found_by_symbol_and_by_orthologue(shared, of_humans):
    data = shared / "data"
    human = ts.open_section(data / "unlabelled" / "xenium_breast_pikachu.h5ad", where=None)
    few = replace(human.section, cells=human.section.cells.take(np.arange(50)),
                  xy=human.section.xy[:50])  # fmt: skip
    found = ts.embed(few, of_humans, EXACT)
    assert found.provenance.extra["genes"] > 300
    mouse = data / "annotation" / "osmfish.h5ad"
    pairs = data / "genes" / "human_mouse_orthologues.csv"
    section = ts.open_section(mouse, orthologues=pairs).section
    some = replace(section, cells=section.cells.take(np.arange(50)), xy=section.xy[:50])
    found = ts.embed(some, of_humans, EXACT)
    assert found.provenance.extra["genes"] >= 28  # of 33
    assert np.allclose(np.linalg.norm(found.values, axis=1), 1, atol=1e-5)
