"""Genes that tell a domain from all others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scanpy
from anndata import AnnData

from tagscope.core.labels import LabelSet
from tagscope.core.normalise import log_median
from tagscope.core.provenance import Provenance
from tagscope.core.results import DomainMap
from tagscope.domains import markers
from tagscope.domains.markers import domain_markers
from tagscope.errors import ArgumentError, TagscopeError
from tagscope.jobs import JobCancelled, JobContext


@pytest.fixture(scope="module")
def found(section, truth):
    names = LabelSet(tuple(f"Domain {n + 1}" for n in range(int(truth.max()) + 1)))
    return DomainMap("d", section.ids, names, truth, Provenance("domains", {}))


def test_the_order_is_that_of_scanpys_wilcoxon(section, found, monkeypatch):
    monkeypatch.setattr(markers, "_AT_ONCE", 40 * len(section))  # several blocks
    ours = domain_markers(section, found).frame
    obs = pd.DataFrame({"domain": pd.Categorical(found.names())}, index=section.ids)
    table = AnnData(log_median(section.cells), obs, pd.DataFrame(index=section.panel.symbols))
    scanpy.tl.rank_genes_groups(table, "domain", method="wilcoxon")
    theirs = scanpy.get.rank_genes_groups_df(table, None)
    scores = theirs.set_index(["group", "names"])["scores"]
    own = ours.set_index(["domain", "gene"])["auc"]
    for name, size in found.counts():
        rest = len(section) - size
        spread = np.sqrt(size * rest * (len(section) + 1) / 12) / (size * rest)
        expected = 0.5 + scores[name] * spread
        np.testing.assert_allclose(own[name], expected.reindex(own[name].index), atol=1e-6)
    first = ours[ours["rank"] == 1]
    assert (first["auc"] > 0.6).all()
    assert first["domain"].tolist() == list(found.domains.names)


def test_means_shares_and_changes_are_those_of_the_cells(section, found):
    row = domain_markers(section, found).of("Domain 2", 1).iloc[0]
    values = log_median(section.cells)[:, section.panel.position(row["gene"])].toarray().ravel()
    inside = found.codes == 1
    means = values[inside].mean(), values[~inside].mean()
    np.testing.assert_allclose((row["mean_inside"], row["mean_outside"]), means, rtol=1e-5)
    np.testing.assert_allclose(row["log2_fold_change"], (means[0] - means[1]) / np.log(2), 1e-4)
    assert row["share_inside"] == pytest.approx((values[inside] > 0).mean())


def test_a_cancel_is_answered_between_two_blocks(section, found, monkeypatch):
    monkeypatch.setattr(markers, "_AT_ONCE", len(section))
    context = JobContext()
    steps = []

    def report(progress):
        steps.append(progress)
        context.cancel()

    context.on_progress = report
    with pytest.raises(JobCancelled):
        domain_markers(section, found, context=context)
    assert len(steps) < 3


def test_one_domain_has_no_markers(section):
    one = DomainMap(
        "d", section.ids, LabelSet(("all",)), np.zeros(len(section), np.int64), Provenance("d", {})
    )
    with pytest.raises(ArgumentError):
        domain_markers(section, one)


def test_it_is_written_whole(section, found, tmp_path):
    result = domain_markers(section, found)
    read = pd.read_csv(result.write_csv(tmp_path / "markers.csv"))
    assert list(read.columns) == list(result.frame.columns)
    with pytest.raises(TagscopeError):
        result.write_csv(tmp_path / "markers.csv")
    assert result.to_text(2).splitlines()[0].count(",") == 1
