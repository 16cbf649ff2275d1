"""How cells are cut into batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tagscope.models.batches import Batches, out_of_memory

CPU = torch.device("cpu")
TOKEN = 5120  # bytes, so that a batch holds 8,192 of them, the first one half as many


def _take_all(lengths, batch_size=None, *, seconds=0.0, width=None):
    batches = Batches(lengths, None, batch_size, CPU, TOKEN)
    taken = []
    for rows in batches:
        taken.append(rows)
        batches.accept(rows, int(lengths[rows].max()) if width is None else width, seconds)
    return taken


def test_a_batch_holds_a_bounded_number_of_tokens():
    lengths = np.random.default_rng(0).integers(0, 500, 5000)
    taken = _take_all(lengths)
    assert sorted(np.concatenate(taken)) == list(range(5000))
    padded = [len(rows) * (lengths[rows].max() + 1) for rows in taken]
    assert max(padded) <= 1 << 13
    assert np.mean(padded[:-1]) > 1 << 12


def test_one_cell_longer_than_a_batch_goes_alone():
    taken = _take_all(np.array([60_000, 3, 3]))
    assert [list(rows) for rows in taken] == [[0], [1, 2]]


def test_a_model_that_pads_further_gets_smaller_batches():
    lengths = np.arange(2000) % 100
    taken = _take_all(lengths, width=500)
    assert {len(rows) for rows in taken[1:-1]} == {(1 << 13) // 501}


def test_slow_batches_shrink_so_that_a_cancel_is_answered():
    lengths = np.full(3000, 99)
    sizes = [len(rows) for rows in _take_all(lengths, seconds=2.0)]
    assert sizes[:4] == [40, 20, 10, 5]


def test_batches_grow_again_once_the_machine_is_free():
    lengths = np.full(3000, 99)
    batches, sizes = Batches(lengths, None, None, CPU, TOKEN), []
    for index, rows in enumerate(batches):
        sizes.append(len(rows))
        batches.accept(rows, 99, 2.0 if index < 3 else 0.05)
    assert sizes[:7] == [40, 20, 10, 5, 10, 20, 40]
    assert max(sizes) == 81


def test_a_batch_size_that_was_asked_for_is_kept_whatever_the_time():
    sizes = {len(r) for r in _take_all(np.full(100, 9), 25, seconds=5.0)}
    assert sizes == {25}


def test_a_halved_batch_starts_at_the_same_cells():
    batches = Batches(np.full(40, 9), None, 32, CPU, TOKEN)
    rows = iter(batches)
    big = next(rows)
    batches.halve(big)
    small = next(rows)
    assert list(small) == list(big[:16])


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
        (RuntimeError("shape mismatch"), False),
    ],
)
def test_which_errors_mean_a_full_memory(error, full):
    assert out_of_memory(error) is full


def test_a_narrow_model_gets_more_tokens_a_batch():
    lengths = np.full(20_000, 99)
    wide, narrow = (
        len(next(iter(Batches(lengths, None, None, CPU, size)))) for size in (8192, 2048)
    )
    assert (wide, narrow) == (25, 102)
