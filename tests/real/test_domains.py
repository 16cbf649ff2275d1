"""Domains of real sections, beside the numbers of the data's README (section 4)."""

from __future__ import annotations

import numpy as np
import pytest
import scanpy as sc

from tagscope import api

OSMFISH, DLPFC = "annotation/osmfish", "domains/visium_dlpfc_151673"
MPFC = "annotation/starmap_mpfc_bz5_bz14"


def opened(shared, file, **choices):
    return api.open_section(shared / "data" / f"{file}.h5ad", **choices)


def score(section: api.OpenedSection, neighbors: int, cluster: str, **more) -> tuple[float, float]:
    """ARI and NMI with as many domains as there are regions; NA is left out."""
    regions = section.table.obs["region"].astype(str).to_numpy()
    known = regions != "NA"
    config = api.DomainConfig(
        cluster=cluster, n_domains=len(set(regions[known])), neighbors=neighbors, starts=5, **more
    )
    found = api.delineate_domains(section, config=config).names()
    report = api.evaluate_labels(found[known], regions[known])
    return report.ari, report.nmi


@pytest.mark.parametrize(
    ("file", "neighbors", "ari", "nmi"),
    [(OSMFISH, 20, 0.514, 0.655), (DLPFC, 18, 0.511, 0.671)],
)
def test_kmeans_gives_the_readmes_numbers(shared, file, neighbors, ari, nmi):
    found = score(opened(shared, file), neighbors, "kmeans")
    assert found == pytest.approx((ari, nmi), abs=0.025)


@pytest.mark.parametrize(("file", "neighbors", "least"), [(OSMFISH, 20, 0.52), (DLPFC, 18, 0.54)])
def test_one_shared_covariance_does_better(shared, file, neighbors, least):
    ari, nmi = score(opened(shared, file), neighbors, "mixture")
    assert ari > least
    assert nmi > 0.68


def test_two_sections_that_lie_upon_each_other(shared):
    both = opened(shared, MPFC, sections="section")
    ari, nmi = score(both, 20, "mixture")
    assert ari > 0.8
    assert nmi > 0.77
    found = api.delineate_domains(both, config=api.DomainConfig(n_domains=4, starts=3))
    outlines = api.domain_outlines(both.section, found)
    assert len(outlines) == 8, "four domains in either section"


def test_a_stagate_does_better_than_smoothing(shared):
    """0.53 and 0.70 without a model; a tenth of the updates that are usual."""
    section = opened(shared, OSMFISH)
    regions = section.table.obs["region"].astype(str).to_numpy()
    known = regions != "NA"
    config = api.DomainConfig(n_domains=len(set(regions[known])), starts=5)
    learning = api.StagateConfig(epochs=100, device="cpu")
    found = api.delineate_domains(section, "stagate", config=config, stagate=learning).names()
    report = api.evaluate_labels(found[known], regions[known])
    assert report.ari > 0.55
    assert report.nmi > 0.70


def test_the_boundary_of_white_matter(shared):
    section = opened(shared, DLPFC)
    config = api.DomainConfig(n_domains=7, neighbors=18, starts=5)
    found = api.delineate_domains(section, config=config)
    regions = section.table.obs["region"].astype(str).to_numpy()

    def domain(region: str) -> str:
        names, counts = np.unique(found.names()[regions == region], return_counts=True)
        return str(names[counts.argmax()])

    change = api.boundary_between(
        section.section, found, domain("Layer6"), domain("WM"), api.BoundaryConfig(500, 1)
    )
    myelin = change.frame.set_index("gene").loc["MBP"]
    assert myelin["auc"] > 0.8
    assert myelin["log2_fold_change"] > 0


def test_patches_and_a_stagate_tell_regions(shared):
    """A fifth of the usual updates; 0.59 and 0.72 without a model."""
    section = opened(shared, OSMFISH)
    regions = section.table.obs["region"].astype(str).to_numpy()
    known = regions != "NA"
    config = api.DomainConfig(n_domains=len(set(regions[known])), starts=5)
    union = api.UnionConfig(epochs=60, device="cpu")
    found = api.delineate_domains(
        section, "cellpatch-stagate", config=config, union=union, drawn=True
    )
    report = api.evaluate_labels(found.names()[known], regions[known])
    assert report.ari > 0.5
    assert report.nmi > 0.65
    table = section.table.copy()
    found.write_to(table)
    slot = "cellpatch-stagate_domain"
    sc.tl.paga(table, groups=slot, neighbors_key=slot)
    strengths = table.uns["paga"]["connectivities"].toarray()
    assert (strengths.max(axis=1) > 0.1).all(), "every domain passes into another"
