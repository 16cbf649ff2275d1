"""Cells as tokens: encodings, alignment, batches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells
from tagscope.errors import InputError
from tagscope.jobs import JobContext, Progress
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.cellmemory.tokenise import quantile_bins, tokenise
from tagscope.models.preprocessing import Preprocessing


def panel(count: int, start: int = 0) -> GenePanel:
    return GenePanel(tuple(f"Gene{i}" for i in range(start, start + count)))


def cells(counts: np.ndarray, genes: GenePanel | None = None, **more: bool) -> Cells:
    ids = np.array([f"cell{i}" for i in range(len(counts))])
    values = sp.csr_matrix(np.asarray(counts, np.float32))
    return Cells(values, genes or panel(counts.shape[1]), ids, **more)


def numpy_bins(values: sp.csr_matrix, max_bin: int) -> np.ndarray:
    """The definition, a cell at a time."""
    quantiles = np.linspace(0, 1, max_bin)
    rows = [values.data[a:b] for a, b in zip(values.indptr, values.indptr[1:], strict=False)]
    return np.concatenate([np.digitize(v, np.quantile(v, quantiles)) for v in rows if len(v)])


@pytest.mark.parametrize("max_bin", [2, 3, 10, 50, 101])
@pytest.mark.parametrize("most", [1, 2, 6, 1000])
def test_bins_are_those_of_numpy(max_bin: int, most: int) -> None:
    rng = np.random.default_rng(max_bin * most)
    counts = rng.integers(1, most + 1, (400, 120)) * (rng.random((400, 120)) < rng.random((400, 1)))
    for values in (counts, np.log1p(counts * rng.random((400, 1)) * 50)):
        matrix = sp.csr_matrix(values.astype(np.float32))
        expected = numpy_bins(matrix, max_bin)
        np.testing.assert_array_equal(quantile_bins(matrix, max_bin), expected)
        counted = sp.csr_matrix(counts.astype(np.float32)).data
        np.testing.assert_array_equal(quantile_bins(matrix, max_bin, counted), expected)


def test_bins_of_every_row_length() -> None:
    """Edges that fall exactly on a value are where floating point decides."""
    rows = [np.arange(1, n + 1) for n in range(1, 400)]
    matrix = sp.csr_matrix(
        (np.concatenate(rows).astype(np.float32),
         np.concatenate([np.arange(len(row)) for row in rows]),
         np.concatenate(([0], np.cumsum([len(row) for row in rows]))))
    )  # fmt: skip
    for max_bin in (7, 50):
        expected = numpy_bins(matrix, max_bin)
        np.testing.assert_array_equal(quantile_bins(matrix, max_bin), expected)
        np.testing.assert_array_equal(quantile_bins(matrix, max_bin, matrix.data), expected)


def test_documented_ties() -> None:
    assert quantile_bins(sp.csr_matrix(np.float32([[1, 1, 2]])), 50).tolist() == [25, 25, 50]
    assert quantile_bins(sp.csr_matrix(np.float32([[3, 3, 3]])), 50).tolist() == [50, 50, 50]
    assert quantile_bins(sp.csr_matrix((3, 4), dtype=np.float32), 50).tolist() == []


def test_dense_sparse_and_unsorted_input_agree() -> None:
    counts = np.random.default_rng(0).poisson(0.5, (20, 15)).astype(np.float32)
    sorted_cells = cells(counts)
    coo = sp.coo_matrix(counts)
    order = np.random.default_rng(1).permutation(coo.nnz)
    shuffled = sp.csr_matrix((coo.data[order], (coo.row[order], coo.col[order])), coo.shape)
    stored_zero = sp.csr_matrix(counts + 0)
    stored_zero.data[::2] = 0
    config = CellMemoryConfig()
    one = tokenise(sorted_cells, panel(15), config, Preprocessing())
    other = tokenise(replace(sorted_cells, values=shuffled), panel(15), config, Preprocessing())
    np.testing.assert_array_equal(one.tokens, other.tokens)
    np.testing.assert_array_equal(one.columns, other.columns)
    zeros = tokenise(replace(sorted_cells, values=stored_zero), panel(15), config, Preprocessing())
    assert zeros.lengths.sum() == (stored_zero.data != 0).sum()


def test_round_encoding_is_the_ceiling_of_log_values() -> None:
    values = cells(np.array([[0.2, 1.0, 1.01, 0.0, 99.0]]), normalised=True)
    config = CellMemoryConfig(encoding="round", max_bin=10)
    assert tokenise(values, panel(5), config, Preprocessing()).tokens.tolist() == [1, 1, 2, 10]
    finer = replace(config, resolution=5.0)
    assert tokenise(values, panel(5), finer, Preprocessing()).tokens.tolist() == [1, 5, 6, 10]


def test_counts_are_scaled_over_the_vocabulary_alone() -> None:
    counts = np.array([[2.0, 2.0, 500.0]])
    values = Preprocessing(4.0).apply(cells(counts).restrict(panel(2)))
    np.testing.assert_allclose(values.data, np.log1p([2.0, 2.0]), rtol=1e-6)


def test_genes_are_aligned_by_name() -> None:
    measured = GenePanel(("Gene2", "GENE0", "Other", "Gene2"))
    counts = cells(np.array([[5.0, 1.0, 9.0, 7.0]]), measured)
    batch = tokenise(counts, panel(4), CellMemoryConfig(), Preprocessing()).batch(np.array([0]))
    assert batch.genes.tolist() == [[0, 2]]
    assert batch.tokens.tolist() == [[1, 50]]  # the first column of Gene2 counts, as 5 > 1
    full = tokenise(counts, panel(4), CellMemoryConfig(mode="full"), Preprocessing())
    assert full.batch(np.array([0])).genes.tolist() == [[0, 2]]  # not measured is not zero


def test_batches_are_padded_to_their_longest_cell() -> None:
    counts = cells(np.array([[1, 2, 3, 4], [0, 0, 1, 0], [0, 0, 0, 0], [1, 0, 0, 1]]))
    tokens = tokenise(counts, panel(4), CellMemoryConfig(), Preprocessing())
    assert tokens.lengths.tolist() == [4, 1, 0, 2]
    batch = tokens.batch(np.array([3, 1]))
    assert batch.genes.tolist() == [[0, 3], [2, -1]]
    assert batch.padding.tolist() == [[False, False], [False, True]]
    assert tokens.batch(np.array([2])).tokens.shape == (1, 0)
    published = CellMemoryConfig(compat="published")
    assert tokenise(counts, panel(4), published, Preprocessing()).batch(
        np.array([1])
    ).tokens.shape == (1, 4)
    longer = replace(published, pad_to=6)
    assert tokenise(counts, panel(4), longer, Preprocessing()).batch(
        np.array([1])
    ).tokens.shape == (1, 6)


def test_full_mode_reads_every_measured_gene() -> None:
    tokens = tokenise(
        cells(np.array([[0, 2, 0], [0, 0, 0]])), panel(3), CellMemoryConfig(mode="full"),
        Preprocessing(),
    )  # fmt: skip
    batch = tokens.batch(np.array([1, 0]))
    assert batch.tokens.tolist() == [[0, 0, 0], [0, 50, 0]]
    assert not batch.padding.any()
    assert tokens.lengths.tolist() == [3, 3]


def test_long_cells_are_drawn_by_seed_and_cell() -> None:
    counts = np.ones((50, 40))
    counts[7, 5:] = 0
    config = CellMemoryConfig(max_tokens=10)
    many = cells(counts)
    tokens = tokenise(many, panel(40), config, Preprocessing())
    assert tokens.lengths.max() == 10
    assert tokens.lengths[7] == 5
    sets = {tuple(tokens.batch(np.array([i])).genes[0].tolist()) for i in range(50) if i != 7}
    assert len(sets) == 49  # every cell draws its own
    drawn = np.bincount(tokens.columns, minlength=40)
    assert drawn.min() >= 3
    assert drawn.max() <= 25
    alone = tokenise(many.take(np.array([3])), panel(40), config, Preprocessing())
    assert alone.batch(np.array([0])).genes.tolist() == tokens.batch(np.array([3])).genes.tolist()
    other = tokenise(many, panel(40), config, Preprocessing(), seed=1)
    assert not np.array_equal(other.columns, tokens.columns)


def test_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(InputError, match="share genes"):
        tokenise(cells(np.ones((2, 3))), panel(3, 90), CellMemoryConfig(), Preprocessing())
    for bad in (-1.0, np.nan, np.inf):
        with pytest.raises(InputError, match="negative or missing"):
            tokenise(cells(np.array([[bad]])), panel(1), CellMemoryConfig(), Preprocessing())


@pytest.mark.parametrize("mode", ["expressed", "full"])
@pytest.mark.parametrize("compat", ["none", "published"])
def test_cells_are_read_in_blocks_as_they_are_at_once(
    monkeypatch: pytest.MonkeyPatch, mode: str, compat: str
) -> None:
    counts = np.random.default_rng(3).poisson(0.7, (50, 30))
    asked = cells(counts), panel(28), CellMemoryConfig(mode=mode, compat=compat, max_tokens=9)
    whole = tokenise(*asked, Preprocessing())
    monkeypatch.setattr("tagscope.models.cellmemory.tokenise._CELLS", 12)
    heard: list[Progress] = []
    parts = tokenise(*asked, Preprocessing(), context=JobContext(heard.append))
    for name in ("tokens", "columns", "offsets", "measured"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))
    assert parts.pad_to == whole.pad_to
    assert [(said.stage, said.done) for said in heard] == [
        ("reading genes", done) for done in (0, 12, 24, 36, 48)
    ]
