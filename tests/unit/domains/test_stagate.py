"""STAGATE's features of a section, and the domains that they fall into."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from tagscope.core.normalise import log_median
from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells, Section, SideBySide
from tagscope.domains.config import DomainConfig
from tagscope.domains.delineate import domains_of, expression_features
from tagscope.domains.stagate import stagate_features, variable_cells
from tagscope.errors import InputError
from tagscope.evaluation.annotation import evaluate_labels
from tagscope.jobs import JobContext
from tagscope.training.stagate import StagateConfig

QUICK = StagateConfig(hidden=64, width=12, epochs=200, learning_rate=1e-2, device="cpu")


@pytest.fixture(scope="module")
def features(section):
    return stagate_features(section, QUICK)


def test_planted_layers_are_found(section, features, truth):
    def ari(found) -> float:
        return evaluate_labels(found.names(), truth.astype(str)).ari

    config = DomainConfig(n_domains=7, starts=3)
    assert ari(domains_of(section, features, config)) > 0.4
    alone = replace(config, neighbors=0)
    unsmoothed = ari(domains_of(section, features, alone))
    plain = ari(domains_of(section, expression_features(section, alone), alone))
    assert unsmoothed > plain + 0.1, "surroundings are in the embedding itself"


def test_the_record_says_how_it_came_to_be(section, features):
    record = features.provenance
    assert features.values.shape == (len(section), 12)
    assert features.values.dtype == np.float32
    assert record.verb == "domain_features"
    assert record.parameters["model"] == "stagate"
    assert record.parameters["epochs"] == 200
    assert (record.seed, record.device) == (0, "cpu")
    told = record.extra
    assert told["genes"] == sorted(section.panel.symbols)
    assert (told["cells"], told["updates"], told["epochs"]) == (len(section), 200, 200)
    assert told["cells_per_update"] == len(section)
    assert told["neighbours"] == 6
    assert told["last_loss"] < told["first_loss"]


def test_stages_are_told(section):
    stages = []
    context = JobContext(lambda progress: stages.append((progress.stage, progress.done)))
    stagate_features(section, replace(QUICK, epochs=2), context=context)
    assert stages == [
        ("reading expression", 0), ("reading expression", 1), ("reading expression", 3),
        ("learning", 0), ("learning", 1), ("learning", 2), ("embedding", 0),
        ("embedding", len(section)),
    ]  # fmt: skip


def test_sections_do_not_see_each_other(section):
    """Cells of one section are embedded as before when those of the other are changed."""
    codes = (np.arange(len(section)) % 2).astype(np.int64)
    pieces = SideBySide(("a", "b"), codes, np.zeros((2, 2)))
    both = replace(section, pieces=pieces)
    one = replace(QUICK, epochs=1, learning_rate=1e-30, weight_decay=0.0)  # as it was drawn
    before = stagate_features(both, one).values
    # measured twice: as normalised values, so that a change of one cell changes no other's
    values = log_median(section.cells).copy()
    rows = np.repeat(codes, np.diff(values.indptr))
    values.data[rows == 1] = 1.0
    cells = replace(section.cells, values=log_median(section.cells), normalised=True)
    plain = stagate_features(replace(both, cells=cells), one).values
    np.testing.assert_array_equal(plain, before)
    changed = replace(both, cells=replace(cells, values=values))
    after = stagate_features(changed, one).values
    np.testing.assert_allclose(after[codes == 0], before[codes == 0], atol=1e-5)
    assert np.abs(after[codes == 1] - before[codes == 1]).max() > 0.01
    mixed = stagate_features(replace(changed, pieces=None), one).values
    assert np.abs(mixed[codes == 0] - before[codes == 0]).max() > 0.01


def test_genes_that_vary_most_are_read(section):
    counts = section.cells.values.toarray()
    counts[:, 1::2] = 1.0
    cells = replace(section.cells, values=sp.csr_matrix(counts))
    read = variable_cells(cells, 10)
    varying = set(section.panel.symbols[::2])
    assert len(read.panel) == 10
    assert set(read.panel.symbols) <= varying
    logged = replace(cells, values=log_median(cells), normalised=True)
    spread = logged.values.toarray().var(axis=0)
    wanted = np.array(section.panel.symbols)[np.argsort(-spread)[:10]]
    again = variable_cells(logged, 10)
    assert again.panel.symbols == tuple(sorted(wanted))
    column = section.panel.symbols.index(again.panel.symbols[3])
    np.testing.assert_array_equal(
        again.values[:, [3]].toarray(), logged.values[:, [column]].toarray()
    )
    assert len(variable_cells(cells, 10_000).panel) == len(section.panel)


def test_sections_without_anything_to_learn_are_refused():
    empty = Cells(sp.csr_matrix((5, 3), dtype=np.float32), GenePanel(("A", "B", "C")),
                  np.arange(5).astype(str))  # fmt: skip
    with pytest.raises(InputError, match="5 cells with 0 values that are not 0"):
        stagate_features(Section(empty, np.zeros((5, 2))), QUICK)


def test_cells_without_counts_or_place_are_embedded(section):
    few = section.cells.take(np.arange(40))
    counts = few.values.toarray()
    counts[3] = 0.0
    xy = section.xy[:40].copy()
    xy[[7, 8]] = np.nan
    odd = Section(replace(few, values=sp.csr_matrix(counts)), xy)
    for config in (QUICK, replace(QUICK, batch_size=16)):
        assert np.isfinite(stagate_features(odd, config).values).all()
