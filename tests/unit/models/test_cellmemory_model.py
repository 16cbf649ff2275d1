"""What must hold of any CellMemory network, whatever its weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from safetensors.torch import load_file

from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells
from tagscope.errors import ArgumentError, InputError
from tagscope.inference.annotate import AnnotateConfig, annotate
from tagscope.models.base import CellBatch
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.cellmemory.convert import from_published, to_published
from tagscope.models.cellmemory.model import CellMemory
from tagscope.models.cellmemory.network import CellMemoryNetwork, NetworkOutput
from tagscope.models.cellmemory.tokenise import tokenise
from tagscope.models.preprocessing import Preprocessing

GENES, LABELS = 30, 4
SMALL = CellMemoryConfig(width=16, ffn=24, layers=3, heads=2, slots=3, max_bin=8)
PANEL = GenePanel(tuple(f"G{i}" for i in range(GENES)))
BOTH = replace(SMALL, encoding="both", max_value=9, resolution=2.0)
EVERY_MODE = [SMALL, replace(SMALL, mode="full"), BOTH, replace(BOTH, mode="full")]


def model(config: CellMemoryConfig = SMALL) -> CellMemory:
    torch.manual_seed(0)
    network = CellMemoryNetwork(config, GENES, LABELS)
    return CellMemory(network, PANEL, LabelSet(tuple("abcd")), Preprocessing(100.0))


def some_cells(count: int = 12) -> Cells:
    rng = np.random.default_rng(3)
    counts = rng.poisson(0.7, (count, GENES)).astype(np.float32)
    return Cells(sp.csr_matrix(counts), PANEL, np.array([f"c{i}" for i in range(count)]))


def ask(config: CellMemoryConfig, cells: Cells, rows: list[int] | None = None):
    asked = model(config)
    tokens = asked.tokenise(cells)
    batch = tokens.batch(np.array(range(len(cells)) if rows is None else rows))
    return batch, asked(batch, gene_scores=True, slot_scores=True)


@pytest.mark.parametrize("config", EVERY_MODE)
def test_shapes_and_sums(config: CellMemoryConfig) -> None:
    batch, said = ask(config, some_cells())
    length = batch.tokens.shape[1]
    assert said.embedding.shape == (12, config.width)
    assert said.logits.shape == (12, LABELS)
    assert said.gene_scores.shape == (12, length)
    assert said.slot_scores.shape == (12, config.slots, length)
    network = model(config).network.eval()
    with torch.no_grad():
        scores = network(batch.tokens, batch.genes, batch.padding, gene_scores=True).gene_scores
    torch.testing.assert_close(scores.sum(1), torch.ones(12))
    torch.testing.assert_close(scores[:, 1:], said.gene_scores)
    torch.testing.assert_close(said.slot_scores.sum(1), torch.ones(12, length))


def test_nothing_is_computed_that_was_not_asked_for() -> None:
    asked = model()
    said = asked(asked.tokenise(some_cells()).batch(np.arange(3)))
    assert said.gene_scores is None
    assert said.slot_scores is None


def test_genes_may_come_in_any_order() -> None:
    batch, said = ask(SMALL, some_cells())
    order = torch.randperm(batch.tokens.shape[1], generator=torch.Generator().manual_seed(1))
    shuffled = CellBatch(
        batch.tokens[:, order], batch.genes[:, order], batch.padding[:, order], batch.rows
    )
    other = model()(shuffled, gene_scores=True, slot_scores=True)
    torch.testing.assert_close(other.logits, said.logits)
    torch.testing.assert_close(other.gene_scores, said.gene_scores[:, order])
    torch.testing.assert_close(other.slot_scores, said.slot_scores[:, :, order])


@pytest.mark.parametrize("config", [*EVERY_MODE, replace(SMALL, top_k=3)])
def test_a_cell_does_not_depend_on_its_batch(config: CellMemoryConfig) -> None:
    cells = some_cells()
    _, together = ask(config, cells)
    for row in range(len(cells)):
        batch, alone = ask(config, cells, [row])
        length = batch.tokens.shape[1]
        torch.testing.assert_close(alone.logits[0], together.logits[row])
        torch.testing.assert_close(alone.gene_scores[0], together.gene_scores[row, :length])


def real_pads(config: CellMemoryConfig, cells: Cells) -> NetworkOutput:
    """What the network says where every pad of the published code is there, and no table."""
    asked = model(config)
    batch = tokenise(cells, PANEL, config, asked.preprocessing).batch(np.arange(len(cells)))
    with torch.no_grad():
        return asked.network.eval()(
            batch.tokens, batch.genes, batch.padding, gene_scores=True, slot_scores=True
        )


@pytest.mark.parametrize("pad_to", [0, 21, 60])
@pytest.mark.parametrize("top_k", [None, 4])
def test_one_pad_stands_for_all(pad_to: int, top_k: int | None) -> None:
    config = replace(SMALL, compat="published", pad_to=pad_to, top_k=top_k)
    plain = real_pads(config, some_cells())
    batch, said = ask(config, some_cells())
    read = ~batch.padding
    if top_k is None:  # alike tokens compete for the top places, so there all of them are read
        assert batch.tokens.shape[1] <= int(read.sum(1).max()) + 1
    torch.testing.assert_close(said.logits, plain.logits)
    torch.testing.assert_close(said.embedding, plain.embedding)
    width = batch.tokens.shape[1]
    scores = plain.gene_scores[:, 1:]
    torch.testing.assert_close(said.gene_scores[read], scores[:, :width][read])
    torch.testing.assert_close(said.gene_scores.sum(1), scores.sum(1))
    slots = plain.slot_scores.transpose(1, 2)[:, :width]
    torch.testing.assert_close(said.slot_scores.transpose(1, 2)[read], slots[read])


@pytest.mark.parametrize("config", EVERY_MODE)
def test_a_table_of_pairs_changes_nothing(config: CellMemoryConfig) -> None:
    cells = some_cells(400)
    batch, said = ask(config, cells)
    assert batch.pairs is not None
    assert len(batch.pairs.tokens) - 1 <= (~batch.padding).sum() / 4
    plain = real_pads(config, cells)
    torch.testing.assert_close(said.logits, plain.logits)
    torch.testing.assert_close(said.gene_scores, plain.gene_scores[:, 1:])
    torch.testing.assert_close(said.slot_scores, plain.slot_scores)


def test_a_table_follows_weights_and_section() -> None:
    asked = model()
    batches = [asked.tokenise(some_cells(count)).batch(np.arange(100)) for count in (150, 200)]
    first = [asked(batch).logits for batch in batches]
    torch.testing.assert_close(asked(batches[0]).logits, first[0])
    with torch.no_grad():
        asked.network.genes.weight.mul_(2)
    moved = asked.to(torch.device("cpu"))
    assert (moved(batches[0]).logits - first[0]).abs().max() > 1e-3


def test_published_padding_does_matter() -> None:
    published = replace(SMALL, compat="published")
    cells = some_cells()
    _, together = ask(published, cells)
    _, longer = ask(replace(published, pad_to=40), cells)
    assert (together.logits - longer.logits).abs().max() > 1e-3
    _, one = ask(published, cells, [4])  # the length is that of all cells, not of the batch
    torch.testing.assert_close(one.logits[0], together.logits[4])


@pytest.mark.parametrize("config", EVERY_MODE)
def test_cells_without_counts_get_finite_answers(config: CellMemoryConfig) -> None:
    counts = np.zeros((3, GENES), np.float32)
    counts[1, 4] = 7
    cells = Cells(sp.csr_matrix(counts), PANEL, np.array(["none", "one", "nothing"]))
    _, said = ask(config, cells)
    assert torch.isfinite(said.logits).all()
    torch.testing.assert_close(said.logits[0], said.logits[2])
    _, only_empty = ask(config, cells, [0])
    torch.testing.assert_close(only_empty.logits[0], said.logits[0])


def test_a_panel_of_one_gene() -> None:
    one = some_cells().restrict(GenePanel(("G7",)))
    for config in EVERY_MODE:
        _, said = ask(config, one)
        assert torch.isfinite(said.logits).all()


def test_duplicated_and_reordered_genes_change_nothing() -> None:
    cells = some_cells()
    columns = np.concatenate((np.arange(GENES)[::-1], [0, 3]))
    values = sp.csr_matrix(cells.values[:, columns])
    other = Cells(values, PANEL.take(columns), cells.ids)
    for config in EVERY_MODE:
        torch.testing.assert_close(ask(config, other)[1].logits, ask(config, cells)[1].logits)


def test_the_seed_of_an_annotation_draws_the_genes_of_long_cells() -> None:
    short = model(replace(SMALL, max_tokens=5))

    def answer(seed: int) -> np.ndarray:
        found = annotate(some_cells(), short, AnnotateConfig(seed=seed, device="cpu"))
        return found.annotation.probabilities

    np.testing.assert_array_equal(answer(1), answer(1))
    assert not np.allclose(answer(1), answer(2))


def test_configuration_is_checked() -> None:
    with pytest.raises(ArgumentError, match="no setting colour"):
        CellMemoryConfig.from_dict({"colour": 1})
    assert CellMemoryConfig.from_dict(SMALL.to_dict()) == SMALL
    for wrong in (
        {"mode": "fast"}, {"width": 30, "heads": 4}, {"width": 15, "heads": 3}, {"dropout": 1.0},
        {"top_k": 0}, {"layers": 0}, {"max_bin": 1}, {"max_bin": 40_000}, {"max_value": 0},
        {"resolution": 0.0},
        {"pad_to": -1}, {"compat": "maybe"}, {"encoding": "raw"},
    ):  # fmt: skip
        with pytest.raises(ArgumentError, match=str(next(iter(wrong)))):
            CellMemoryConfig(**wrong)


def test_foreign_weights_are_refused() -> None:
    published = to_published(model().network.state_dict(), SMALL)
    missing = {key: value for key, value in published.items() if key != "mlp_head.bias"}
    with pytest.raises(InputError, match=r"mlp_head\.bias is missing"):
        from_published(missing, SMALL, GENES, LABELS)
    with pytest.raises(InputError, match="extra is unknown"):
        from_published({**published, "extra": torch.zeros(1)}, SMALL, GENES, LABELS)
    with pytest.raises(InputError, match=r"mlp_head\.weight is \(4, 16\) and not \(5, 16\)"):
        from_published(published, SMALL, GENES, LABELS + 1)


@pytest.mark.parametrize("folder", ["cellmemory_fast", "cellmemory_full"])
def test_original_checkpoints(folder: str, shared: Path) -> None:
    """A checkpoint as the original tool leaves it gives the labels that tool gave."""
    case = shared / "parity" / "e2e" / folder
    settings = json.loads((case / "settings.json").read_text())
    expected = load_file(case / "expected" / "expected.safetensors")
    config = CellMemoryConfig(
        mode="expressed" if settings["mode"] == "fast" else "full",
        width=settings["h_dim"], ffn=settings["ffn_dim"], layers=settings["num_layers"],
        heads=settings["num_heads"], slots=settings["mem_slots"], max_bin=settings["max_bin"],
        pad_to=settings["padded_length"] or 0, compat="published",
    )  # fmt: skip
    project = case / settings["project"]
    # Files of older runs keep the accuracy as a numpy scalar.
    numpy_scalar = [np._core.multiarray.scalar, np.dtype, type(np.dtype(np.float64))]
    with torch.serialization.safe_globals(numpy_scalar):
        stored = torch.load(project / f"{settings['project']}_ckpt.pth", weights_only=True)
    genes = (project / f"{settings['project']}_ref_gene.txt").read_text().split()
    labels = (project / f"{settings['project']}_idx2celltype.txt").read_text().splitlines()
    network = CellMemoryNetwork(config, len(genes), len(labels))
    network.load_state_dict(from_published(stored["net"], config, len(genes), len(labels)))
    asked = CellMemory(network, GenePanel(tuple(genes)), LabelSet(tuple(labels)), Preprocessing())
    batch = asked.tokenise(read_query(case / "query.h5ad")).batch(np.arange(300))
    said = asked(batch, gene_scores=True, slot_scores=True)
    torch.testing.assert_close(said.logits, expected["logits"], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(said.embedding, expected["cls"], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(said.logits.softmax(1), expected["probabilities"], atol=2e-5, rtol=0)
    read = ~batch.padding  # merged pads carry the attention of all of them
    if "token_scores_raw" in expected:
        expected_scores = expected["token_scores_raw"][:, 1:]
    else:
        expected_scores = expected["gene_scores_upstream"]
    torch.testing.assert_close(said.gene_scores[read], expected_scores[read], atol=5e-6, rtol=0)
    slots = said.slot_scores[:40].transpose(1, 2)
    torch.testing.assert_close(slots, expected["slot_scores_first40"], atol=5e-6, rtol=0)


def read_query(path: Path) -> Cells:
    import anndata

    table = anndata.read_h5ad(path)
    names = GenePanel(tuple(table.var_names.astype(str)))
    ids = np.asarray(table.obs_names.astype(str), dtype=str)
    return Cells(sp.csr_matrix(table.X, dtype=np.float32), names, ids, normalised=True)
