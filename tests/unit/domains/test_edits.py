"""Domains merged, renamed and recoloured by a person."""

from __future__ import annotations

import numpy as np
import pytest
from anndata import AnnData

from tagscope.core.labels import LabelSet
from tagscope.core.provenance import Provenance
from tagscope.core.results import DomainMap
from tagscope.domains.edits import (
    EDITS,
    coloured_like,
    merge_domains,
    recolour_domain,
    rename_domain,
)
from tagscope.errors import ArgumentError

CODES = np.repeat([0, 1, 2, 3], [5, 4, 3, 2])


def made(codes=CODES, colors=()):
    count = int(codes.max()) + 1
    names = tuple(f"Domain {number}" for number in range(1, count + 1))
    ids = np.array([f"c{i}" for i in range(len(codes))])
    labels = LabelSet(names, colors)
    return DomainMap("d", ids, labels, codes, Provenance("domains", {}, extra={"clusters": count}))


def test_merged_domains_are_one_with_the_largest_ones_name_and_colour():
    found = made()
    merged = merge_domains(found, ["Domain 4", "Domain 2", "Domain 3"])
    assert merged.domains.names == ("Domain 2", "Domain 1")  # the largest first
    assert merged.domains.colors == (found.domains.colors[1], found.domains.colors[0])
    assert merged.counts() == [("Domain 2", 9), ("Domain 1", 5)]
    np.testing.assert_array_equal(merged.names() == "Domain 2", CODES > 0)
    [edit] = merged.provenance.extra[EDITS]
    assert edit["merged"] == ["Domain 2", "Domain 3", "Domain 4"]
    assert edit["into"] == "Domain 2"
    assert edit["at"].startswith("20")


def test_edits_are_kept_in_order_beside_what_the_record_had():
    found = rename_domain(merge_domains(made(), ["Domain 1", "Domain 2"]), "Domain 1", " Rim ")
    assert found.domains.names == ("Rim", "Domain 3", "Domain 4")
    extra = found.provenance.extra
    assert [set(edit) - {"at"} for edit in extra[EDITS]] == [{"merged", "into"}, {"renamed", "to"}]
    assert extra["domains"] == ["Rim", "Domain 3", "Domain 4"]
    assert extra["clusters"] == 4


def test_edited_domains_are_written_and_read_again():
    found = recolour_domain(rename_domain(made(), "Domain 3", "Core"), "Core", "#123456")
    table = AnnData(np.zeros((len(CODES), 1), np.float32))
    table.obs_names = found.ids
    found.write_to(table)
    again = DomainMap.of_table(table, "d")
    assert again.domains == found.domains
    assert again.provenance.extra[EDITS] == found.provenance.extra[EDITS]


@pytest.mark.parametrize(
    "names", [["Domain 1"], ["Domain 1", "Domain 1"], ["Domain 1", "Domain 9"]]
)
def test_what_cannot_be_merged_is_refused(names):
    with pytest.raises(ArgumentError):
        merge_domains(made(), names)


@pytest.mark.parametrize("shown", ["", "NA", "Unassigned", "Domain 2"])
def test_names_that_cannot_be_are_refused(shown):
    with pytest.raises(ArgumentError):
        rename_domain(made(), "Domain 1", shown)


def test_domains_keep_the_colours_of_those_before_them():
    before = made(colors=("#000001", "#000002", "#000003", "#000004"))
    codes = np.array([0] * 5 + [2] * 4 + [1] * 3 + [3] + [4])
    found = coloured_like(made(codes), before)
    assert found.domains.colors[:4] == ("#000001", "#000003", "#000002", "#000004")
    assert len(set(found.domains.colors)) == 5
    fewer = coloured_like(made(np.minimum(CODES, 1)), before)
    assert fewer.domains.colors == ("#000001", "#000002")


def test_colours_that_few_domains_do_not_need_are_not_kept():
    before = made(np.repeat(np.arange(8), 2))
    after = made(np.repeat([0, 1], [10, 6]))
    recoloured = coloured_like(after, before).domains.colors
    assert set(recoloured) == set(after.domains.colors)
    chosen = recolour_domain(before, "Domain 8", "#123456")
    assert "#123456" in coloured_like(made(np.repeat([1, 0], [14, 2])), chosen).domains.colors
