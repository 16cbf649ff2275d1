"""Enrichment against direct counting, Fisher's exact test and the step-up procedure."""

from __future__ import annotations

from math import comb

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact

from tagscope.errors import ArgumentError, InputError
from tagscope.interpret.enrichment import (
    EnrichConfig,
    background_of,
    enrich_tags,
    read_tags,
    upper_tail,
)
from tagscope.io.gene_sets import GeneSet, Orthologues, read_gmt, read_orthologues

GENES = tuple(f"G{i}" for i in range(40))
SMALL = EnrichConfig(min_size=1)


def tags(**groups):
    """A TAG table of the given genes, in rank order."""
    frames = [
        pd.DataFrame({"group": g, "rank": range(1, len(genes) + 1), "gene": list(genes)})
        for g, genes in groups.items()
    ]
    return pd.concat(frames, ignore_index=True)


@pytest.fixture
def sets():
    random = np.random.default_rng(0)
    sizes = random.integers(1, 20, 30)
    return [
        GeneSet(f"set{i}", tuple(random.choice(GENES, size, replace=False)))
        for i, size in enumerate(sizes)
    ]


def chance(overlap, size, drawn, background):
    """The upper tail by counting hands."""
    ways = sum(
        comb(size, k) * comb(background - size, drawn - k) for k in range(overlap, drawn + 1)
    )
    return ways / comb(background, drawn)


def step_up(p):
    """Benjamini and Hochberg (1995), by their definition."""
    order = np.argsort(p)
    adjusted = np.empty(len(p))
    for place, index in enumerate(order):
        later = [p[order[j]] * len(p) / (j + 1) for j in range(place, len(p))]
        adjusted[index] = min(1, *later)
    return adjusted


def test_every_number_is_what_it_says(sets):
    table = tags(glia=GENES[:10], neuron=GENES[5:25])
    found = enrich_tags(table, GENES, sets, config=SMALL).frame
    for group, own in table.groupby("group")["gene"]:
        own = set(own)
        overlaps = [len(own & set(s.genes)) for s in sets]
        p = [chance(k, len(s.genes), len(own), 40) for k, s in zip(overlaps, sets, strict=True)]
        fdr = step_up(np.array(p))
        rows = found[found["group"] == group].set_index("set")
        assert set(rows.index) == {s.name for s, k in zip(sets, overlaps, strict=True) if k}
        assert rows["p_value"].is_monotonic_increasing
        for i, gene_set in enumerate(sets):
            if not overlaps[i]:
                continue
            row = rows.loc[gene_set.name]
            assert (row["overlap"], row["set_size"]) == (overlaps[i], len(gene_set.genes))
            assert (row["tags"], row["background"]) == (len(own), 40)
            assert row["expected"] == pytest.approx(len(own) * len(gene_set.genes) / 40)
            assert row["fold"] == pytest.approx(row["overlap"] / row["expected"])
            assert row["p_value"] == pytest.approx(p[i])
            assert row["fdr"] == pytest.approx(fdr[i])
            assert set(row["genes"].split(";")) == own & set(gene_set.genes)
            k, size = overlaps[i], len(gene_set.genes)
            square = [[k, len(own) - k], [size - k, 40 - size - len(own) + k]]
            assert row["p_value"] == pytest.approx(fisher_exact(square, "greater").pvalue)


def test_the_tail_is_exact_where_it_is_tiny_and_where_it_is_certain():
    overlaps, sizes = np.array([50, 0, 1]), np.array([60, 60, 100])
    found = upper_tail(overlaps, sizes, 50, 5000)
    assert found[0] == pytest.approx(chance(50, 60, 50, 5000), rel=1e-6)
    assert found[1] == 1
    assert upper_tail(np.array([30]), np.array([30]), 40, 40)[0] == 1


def test_sets_are_cut_to_the_background(sets):
    wide = [GeneSet("wide", (*GENES[:4], *(f"elsewhere{i}" for i in range(900))))]
    row = enrich_tags(tags(a=GENES[:4]), GENES, wide).frame.iloc[0]
    assert (row["overlap"], row["set_size"]) == (4, 4)


def test_limits_of_size_hold_for_the_cut_sets():
    named = [GeneSet(f"{n}", GENES[:n]) for n in (2, 3, 10, 11)]
    config = EnrichConfig(min_size=3, max_size=10)
    found = enrich_tags(tags(a=GENES[:2]), GENES, named, config=config)
    assert set(found.frame["set"]) == {"3", "10"}
    assert (found.sets_tested, found.sets_given) == (2, 4)


def test_slots_and_groups_are_tested_apart():
    table = tags(a=GENES[:6])
    both = pd.concat([table.assign(slot=0), tags(a=GENES[6:12]).assign(slot=1)])
    found = enrich_tags(both, GENES, [GeneSet("low", GENES[:6])]).frame
    assert found[["slot", "group"]].to_numpy().tolist() == [[0, "a"]]
    programs = both.drop(columns="group")
    assert list(enrich_tags(programs, GENES, [GeneSet("low", GENES[:6])]).frame["slot"]) == [0]


def test_only_the_first_ranks_are_tested():
    found = enrich_tags(
        tags(a=GENES[:20]), GENES, [GeneSet("s", GENES[:9])], config=EnrichConfig(top=5)
    )
    assert found.frame.iloc[0][["overlap", "tags"]].tolist() == [5, 5]


def test_letter_case_is_ignored_and_told():
    mouse = ("Gad1", "Slc17a6", "Aqp4", "Cd24a")
    human = [GeneSet("s", ("GAD1", "AQP4", "SLC17A6"))]
    found = enrich_tags(tags(a=["Gad1"]), mouse, human)
    assert found.frame.iloc[0]["genes"] == "Gad1"
    assert "spelling alone" in found.notes[0]
    assert "spelling alone" in found.to_text()
    same = enrich_tags(tags(a=["GAD1"]), tuple(g.upper() for g in mouse), human)
    assert same.notes == ("3 of 4 background genes are in at least one set.",)


def test_orthologues_have_other_names():
    pairs = Orthologues(("CD24", "GAD1", "HLA-A", "HLA-A"), ("Cd24a", "Gad1", "H2-D1", "H2-K1"))
    mouse = ("Cd24a", "Gad1", "H2-D1", "H2-K1", "Gm1")
    human = [GeneSet("s", ("CD24", "HLA-A"))]
    found = enrich_tags(tags(a=["Cd24a"]), mouse, human, config=SMALL, orthologues=pairs)
    row = found.frame.iloc[0]
    assert row[["overlap", "set_size", "background"]].tolist() == [1, 3, 5]
    assert "4 of 5 mouse genes" in found.notes[0]


def test_tags_outside_the_background_are_refused():
    with pytest.raises(InputError, match=r"1 TAGs are not in the background .*'Other'"):
        enrich_tags(tags(a=["G1", "Other"]), GENES, [GeneSet("s", GENES[:5])])


def test_sets_of_other_names_are_refused():
    with pytest.raises(InputError, match="None of the 1 sets has 3 to 500 genes"):
        enrich_tags(tags(a=["G1"]), GENES, [GeneSet("s", ("ENSG1", "ENSG2", "ENSG3"))])


def test_a_table_of_something_else_is_refused():
    with pytest.raises(InputError, match="no column 'rank'"):
        enrich_tags(pd.DataFrame({"gene": ["G1"]}), GENES, [GeneSet("s", GENES[:5])])
    with pytest.raises(InputError, match="no column 'group'"):
        enrich_tags(pd.DataFrame({"gene": ["G1"], "rank": 1}), GENES, [GeneSet("s", GENES[:5])])


def test_the_background_is_not_guessed(tmp_path):
    with pytest.raises(ArgumentError, match=r"no .*tags\.background\.txt.*the background"):
        background_of(tmp_path / "tags.csv")
    (tmp_path / "tags.background.txt").write_text("A\nB\n")
    assert background_of(tmp_path / "tags.csv") == ("A", "B")


def test_a_gene_or_group_called_na_stays(tmp_path):
    path = tmp_path / "tags.csv"
    path.write_text("group,rank,gene,auc\nNA,1,NA,\n")
    found = read_tags(path)
    assert found.loc[0, ["group", "gene"]].tolist() == ["NA", "NA"]
    path.write_text("")
    with pytest.raises(InputError, match="no CSV"):
        read_tags(path)


@pytest.mark.parametrize("wrong", [{"top": 0}, {"min_size": 0}, {"min_size": 9, "max_size": 8}])
def test_limits_are_checked(wrong):
    with pytest.raises(ArgumentError):
        EnrichConfig(**wrong)


def test_real_sets_agree_with_fisher(shared):
    """Planted TAGs: the mouse orthologues of one hallmark are found first, with Fisher's p."""
    genes = shared / "data" / "genes"
    sets = read_gmt(genes / "hallmark_v7.0.gmt")
    pairs = read_orthologues(genes / "human_mouse_orthologues.csv")
    background = tuple(dict.fromkeys(pairs.mouse))[:6000]
    human_of = {m: h for h, m in zip(pairs.human, pairs.mouse, strict=True)}
    planted = {s.name: set(s.genes) for s in sets}["HALLMARK_OXIDATIVE_PHOSPHORYLATION"]
    own = [m for m in background if human_of[m] in planted][:30] + list(background[-20:])
    found = enrich_tags(tags(a=dict.fromkeys(own)), background, sets, orthologues=pairs).frame
    assert found["set"].iloc[0] == "HALLMARK_OXIDATIVE_PHOSPHORYLATION"
    assert found["fdr"].iloc[0] < 1e-20
    for row in found.itertuples():
        k, size, drawn = row.overlap, row.set_size, row.tags
        square = [[k, drawn - k], [size - k, row.background - size - drawn + k]]
        assert row.p_value == pytest.approx(fisher_exact(square, "greater").pvalue, rel=1e-6)
