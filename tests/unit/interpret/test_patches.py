"""Programs of patches against the network's own dense attention."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

from cellpatch_cases import close, load_case
from small_reference import GENES, small_reference
from tagscope.core.labels import LabelSet
from tagscope.errors import ArgumentError, InputError
from tagscope.interpret import patch_sums as sums_module
from tagscope.interpret.enrichment import enrich_tags, table_and_background
from tagscope.interpret.patches import PatchConfig, patch_programs
from tagscope.io.gene_sets import GeneSet
from tagscope.jobs import JobCancelled, JobContext
from tagscope.models.cellpatch.attention import Expressed, ListedAttention
from tagscope.models.cellpatch.config import CellPatchConfig
from tagscope.models.cellpatch.model import CellPatch
from tagscope.models.cellpatch.network import CellPatchNetwork, Genes
from tagscope.models.cellpatch.tokenise import CellPatchPreprocessing

CONFIG = CellPatchConfig(width=16, patches=8, heads=4, layers=1, projection=4)
ON_CPU = PatchConfig(device="cpu")


@pytest.fixture(scope="module")
def reference():
    """Three types, of which one has a cell that expresses nothing."""
    whole = small_reference((30, 20, 10))
    values = whole.cells.values.tolil()
    values[5] = 0
    return replace(whole, cells=replace(whole.cells, values=sp.csr_matrix(values)))


@pytest.fixture(scope="module")
def model(reference):
    torch.manual_seed(0)
    networks = tuple(CellPatchNetwork(CONFIG, GENES, 3).eval() for _ in range(2))
    for network in networks:
        network.value.weight.data *= 4  # so that attention hangs on values, in both directions
    return CellPatch(networks, reference.cells.panel, reference.labels, CellPatchPreprocessing())


@pytest.fixture(scope="module")
def codes(reference):
    """The types, of which some cells are in none."""
    codes = reference.codes.copy()
    codes[::7] = -1
    return codes


@pytest.fixture(scope="module")
def found(reference, model, codes):
    return patch_programs(reference.cells, model, reference.labels, codes, ON_CPU)


@pytest.fixture(scope="module")
def dense(reference, model):
    """Attention (N, P, G) of the first network, every gene a token, and the values (N, G)."""
    values = model.preprocessing.apply(reference.cells, model.vocabulary).toarray()
    genes = torch.arange(GENES).expand(len(values), -1)
    network = model.networks[0]
    with torch.inference_mode():
        read = Genes(genes, torch.from_numpy(values))
        attention = network.gathered(read, network.table(), attention=True).attention
    return attention.double().numpy(), values


def z_scores(attention: np.ndarray) -> np.ndarray:
    centred = attention - attention.mean(-1, keepdims=True)
    return centred / (attention.std(-1, ddof=1, keepdims=True) + 1e-5)


def test_z_scores_are_those_of_the_dense_network(found, dense, codes):
    attention, _ = dense
    assert found.groups == ("type 0", "type 1", "type 2")
    for index in range(3):
        wanted = z_scores(attention)[codes == index].mean(axis=0)
        np.testing.assert_allclose(found.z_scores[index], wanted, atol=2e-5)
    np.testing.assert_allclose(found.attention.to_numpy().T, attention.mean(axis=0), atol=1e-6)


def test_activity_is_what_is_read_against_the_mean_of_patches(found, dense):
    attention, values = dense
    read = np.einsum("npg,ng->np", attention, values)
    nothing = values.sum(axis=1) == 0
    assert nothing.sum() == 1
    np.testing.assert_array_equal(found.activity[nothing], 1)
    wanted = (read / read.mean(axis=1, keepdims=True).clip(1e-12))[~nothing]
    np.testing.assert_allclose(found.activity[~nothing], wanted, rtol=1e-4)


def test_published_z_scores(shared):
    case = load_case(shared / "parity" / "cellpatch" / "annotator_small")
    read = case.read
    longest = int((~read.padding).sum(dim=1).argmax())
    genes, values = read.genes[longest], read.values[longest].double()
    attention = ListedAttention(case.network(), genes)
    places = torch.arange(len(genes))[None]
    for kept in (values >= 0, values > 0):  # a zero is the same, stored or not
        cells = Expressed(places[:, kept], values[None, kept], kept[None, kept])
        weights = attention.of(cells)
        scores = attention.summed(cells, weights, 1 / (weights.spread + 1e-5)).T
        scores = scores - (1 / (weights.spread[0] + 1e-5) / len(genes))[:, None]
        close(scores.float(), case.expected["attention_zscore"][longest])


def test_batches_change_nothing(found, reference, model, codes, monkeypatch):
    monkeypatch.setitem(sums_module._NUMBERS, "cpu", 1)
    again = patch_programs(reference.cells, model, reference.labels, codes, ON_CPU)
    np.testing.assert_allclose(again.z_scores, found.z_scores, atol=1e-6)
    np.testing.assert_allclose(again.activity, found.activity, rtol=1e-6)


def test_extreme_scores_stay_finite(reference, model, codes):
    steep = CellPatchNetwork(CONFIG, GENES, 3).eval()
    steep.load_state_dict(model.networks[0].state_dict())
    steep.value.weight.data *= 300
    steeped = replace(model, networks=(steep,))
    got = patch_programs(reference.cells, steeped, reference.labels, codes, ON_CPU)
    assert np.isfinite(got.z_scores).all()
    assert np.isfinite(got.activity).all()
    np.testing.assert_allclose(got.attention.sum(axis=0), 1, rtol=1e-5)


def test_programs_rank_genes_by_their_mean_z_score(found, dense):
    attention, _ = dense
    overall, mean = z_scores(attention).mean(axis=0), attention.mean(axis=0)
    for patch, rows in found.programs.groupby("patch"):
        best = np.argsort(-overall[patch])
        assert list(rows["gene"].head(3)) == [f"G{g:02}" for g in best[:3]]
        others = np.delete(mean, patch, axis=0)[:, best].max(axis=0)
        np.testing.assert_allclose(rows["specificity"], mean[patch, best] / others, rtol=1e-3)
    own = found.of("type 2").programs
    top = own[own["patch"] == 3]
    assert top["gene"].iloc[0] == f"G{found.z_scores[2, 3].argmax():02}"
    np.testing.assert_allclose(top["z_score"], np.sort(found.z_scores[2, 3])[::-1], rtol=1e-5)
    with pytest.raises(ArgumentError, match="no cells of a group 'type 9'"):
        found.of("type 9")


def test_patches_are_told_by_the_variance_between_types(found, codes):
    patch = 2
    own = found.activity[:, patch].astype(np.float64)
    grouped = codes >= 0
    means = np.array([own[codes == code].mean() for code in range(3)])
    sizes = np.bincount(codes[grouped])
    centre = own[grouped].mean()
    wanted = sizes @ (means - centre) ** 2 / ((own[grouped] - centre) ** 2).sum()
    row = found.patches.iloc[patch]
    assert row["explained"] == pytest.approx(wanted, rel=1e-4)
    eligible = np.where(sizes >= 10, means, -np.inf)
    assert row["group"] == f"type {eligible.argmax()}"
    rows = found.types[found.types["patch"] == patch]
    np.testing.assert_allclose(rows["activity"], means, rtol=1e-5)
    np.testing.assert_allclose(
        rows["difference"], (means - own.mean()) / own.std(), rtol=1e-3, atol=1e-5
    )


def test_a_list_of_genes_and_another_network(reference, model, codes, dense):
    config = PatchConfig(device="cpu", network=1)
    names = ("G09", "g02", "G17")
    listed = patch_programs(
        reference.cells, model, reference.labels, codes, config, gene_list=names
    )
    assert listed.panel.symbols == ("G02", "G09", "G17")
    np.testing.assert_allclose(listed.attention.sum(axis=0), 1, rtol=1e-5)
    few = patch_programs(
        reference.cells, model, reference.labels, codes, PatchConfig(n_genes=5, device="cpu")
    )
    assert len(few.panel) == 5
    assert listed.provenance.extra == {"cells": 60, "genes": 3, "networks": 2}


def test_written_tables_are_taken_by_enrichment(found, tmp_path):
    folder = found.write(tmp_path / "patches")
    programs = pd.read_csv(folder / "patch_programs.csv")
    pd.testing.assert_frame_equal(programs, found.programs, check_dtype=False, rtol=1e-4)
    stored = pd.read_parquet(folder / "z_scores.parquet")
    assert stored.loc[("type 1", 4), "G03"] == found.z_scores[1, 4, 3]
    activity = pd.read_parquet(folder / "activity.parquet")
    np.testing.assert_array_equal(activity.to_numpy(), found.activity)
    for name in ("patch_by_type.png", "patch_programs.png", "provenance.json", "patches.csv"):
        assert (folder / name).stat().st_size
    frame, background = table_and_background(folder / "patch_programs.csv", None, "cellpatch")
    assert background == found.background
    sets = [GeneSet("first", tuple(programs["gene"].head(4)))]
    tested = enrich_tags(frame[frame["rank"] <= 4], background, sets)
    assert tested.frame.iloc[0]["overlap"] == 4
    assert "patch 0: " in tested.to_text()
    assert table_and_background(found, None, "")[1] == background


def test_what_cannot_be_read_is_refused(reference, model, codes):
    def read(codes=codes, gene_list=None, **said):
        config = PatchConfig(device="cpu", **said)
        patch_programs(reference.cells, model, reference.labels, codes, config, gene_list=gene_list)

    with pytest.raises(ArgumentError, match="There is no network 2"):
        read(network=2)
    with pytest.raises(ArgumentError, match=r"1 are not known to section and model \('Foo'\)"):
        read(gene_list=("G01", "G02", "Foo"))
    with pytest.raises(InputError, match="of 3"):
        read(codes=codes[:3])
    with pytest.raises(InputError, match="None of the 60 cells"):
        read(codes=np.full(60, -1))
    with pytest.raises(ArgumentError, match="n genes is 1"):
        read(n_genes=1)


def test_a_cancelled_reading_stops(reference, model, codes):
    context = JobContext()
    context.cancel()
    with pytest.raises(JobCancelled):
        patch_programs(
            reference.cells, model, LabelSet(reference.labels.names), codes, ON_CPU, context=context
        )
