"""The simulated tissue is what it claims to be."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import shapely

from tagscope.errors import ArgumentError
from tagscope.jobs import JobCancelled, JobContext
from tagscope.simulation import SimulateConfig, simulate_tissue
from tagscope.simulation.celltypes import (
    BACKGROUND,
    BEYOND_PANEL,
    DOMAINS,
    NOT_IN_REFERENCE,
    PROGRAMS,
    TYPE_NAMES,
    TYPES,
    ensembl_ids,
    panel_genes,
    reference_genes,
)

SMALL = SimulateConfig(cells=1500, seed=3, reference_cells=1500)


def type_means(counts, genes, wanted, types):
    """Mean share of every gene among a cell's counts, per type, (C, genes)."""
    columns = [genes.index(gene) for gene in wanted]
    values = counts.toarray()[:, columns]
    shares = values / np.maximum(values.sum(axis=1, keepdims=True), 1)
    empty = np.full(len(columns), np.nan)
    return np.array(
        [shares[types == t].mean(axis=0) if (types == t).any() else empty for t in range(15)]
    )


def arrays(tissue):
    """Every number of a tissue."""
    return {
        "ids": tissue.ids,
        "seeds": tissue.placement.seeds,
        "types": tissue.placement.types,
        "domains": tissue.placement.domains,
        "reactivity": tissue.placement.reactivity,
        "vertices": tissue.outlines.vertices,
        "counts": tissue.counts.seen.toarray(),
        "transcript xy": tissue.transcripts.xy,
        "transcript feature": tissue.transcripts.feature,
        "transcript cell": tissue.transcripts.cell,
        "transcript qv": tissue.transcripts.qv,
        "image": tissue.image,
        "reference": tissue.reference.counts.toarray(),
        "reference types": tissue.reference.types,
        "reference batches": tissue.reference.batches,
    }


def test_the_same_seed_makes_the_same_tissue_to_the_byte(tissue):
    first, second = arrays(tissue), arrays(simulate_tissue(SMALL))
    for name, values in first.items():
        assert values.dtype == second[name].dtype, name
        assert values.tobytes() == second[name].tobytes(), name


def test_another_seed_makes_another_tissue(tissue):
    other = arrays(simulate_tissue(replace(SMALL, seed=4)))
    for name, values in arrays(tissue).items():
        assert values.shape != other[name].shape or (values != other[name]).any(), name


def test_noise_can_be_changed_without_moving_a_cell(tissue):
    other = simulate_tissue(replace(SMALL, median_counts=40, spill=0.3, pixel_size=2.0))
    assert np.array_equal(other.outlines.vertices, tissue.outlines.vertices)
    assert np.array_equal(other.placement.types, tissue.placement.types)
    assert not np.array_equal(other.counts.seen.toarray(), tissue.counts.seen.toarray())


def test_panel_genes_are_named_once_and_keep_their_id_in_the_reference():
    planted = [gene for t in TYPES for gene in t.markers]
    shared = [gene for genes in PROGRAMS.values() for gene in genes]
    everything = [*planted, *shared, *BACKGROUND, *BEYOND_PANEL]
    assert len(everything) == len(set(everything))
    assert set(NOT_IN_REFERENCE) < set(panel_genes())
    assert not set(NOT_IN_REFERENCE) & set(reference_genes())
    in_section = dict(zip(panel_genes(), ensembl_ids(panel_genes()), strict=True))
    in_reference = dict(zip(reference_genes(), ensembl_ids(reference_genes()), strict=True))
    common = in_section.keys() & in_reference.keys()
    assert len(common) > 200
    assert all(in_section[gene] == in_reference[gene] for gene in common)
    assert len(set(in_section.values())) == len(in_section)


def test_outlines_are_valid_and_do_not_overlap(tissue):
    polygons = shapely.polygons(tissue.outlines.vertices)
    assert shapely.is_valid(polygons).all()
    first, second = shapely.STRtree(polygons).query(polygons, predicate="intersects")
    assert (first == second).all()
    assert tissue.outlines.areas == pytest.approx(shapely.area(polygons))
    centroids = shapely.get_coordinates(shapely.centroid(polygons))
    assert tissue.outlines.centroids == pytest.approx(centroids, abs=1e-6)
    assert shapely.contains_xy(polygons, tissue.outlines.centroids).mean() > 0.999
    assert 60 < np.median(tissue.outlines.areas) < 200


def test_layers_lie_in_order_below_the_surface(tissue):
    heights = tissue.placement.seeds[:, 1]
    middles = [np.median(heights[tissue.placement.domains == layer]) for layer in range(6)]
    assert middles == sorted(middles)
    order = ["L2/3 IT", "L4 IT", "L5 ET", "L6 CT", "Oligodendrocyte"]
    types = tissue.placement.types
    by_type = [np.median(heights[types == TYPE_NAMES.index(name)]) for name in order]
    assert by_type == sorted(by_type)
    assert all((tissue.placement.domains == d).sum() > 20 for d in range(len(DOMAINS)))


def test_the_lesion_fades_out_at_its_border(tissue):
    domains, reactivity = tissue.placement.domains, tissue.placement.reactivity
    core = reactivity[domains == DOMAINS.index("Lesion core")]
    border = reactivity[domains == DOMAINS.index("Lesion border")]
    layers = reactivity[domains < 6]
    assert core.min() > 0.9
    assert np.median(layers) < 0.05 < border.min() < 0.7
    assert core.mean() > border.mean() > layers.mean()


def test_vessel_cells_are_in_vessels_and_unseen_cells_near_the_lesion(tissue):
    types, domains = tissue.placement.types, tissue.placement.domains
    vessel = domains == DOMAINS.index("Vessel")
    endothelial = types == TYPE_NAMES.index("Endothelial")
    assert endothelial[vessel].mean() > 0.3 > 0.05 > endothelial[~vessel].mean()
    unseen = types == TYPE_NAMES.index("T cell")
    assert unseen.sum() > 15
    assert tissue.placement.reactivity[unseen].min() > 1e-3
    assert np.median(tissue.placement.reactivity[unseen]) > 0.5


def test_counts_are_low_and_the_reference_is_deeper(tissue):
    totals = np.asarray(tissue.counts.seen.sum(axis=1)).ravel()
    assert 80 <= np.median(totals) <= 110
    assert tissue.counts.seen.dtype == np.float32
    on_panel = np.isin(tissue.reference.genes, tissue.genes)
    deep = np.asarray(tissue.reference.counts[:, on_panel].sum(axis=1)).ravel()
    assert 1200 <= np.median(deep) <= 1800


def test_every_marker_is_highest_in_its_own_type(tissue):
    section = type_means(tissue.counts.seen, tissue.genes, tissue.genes, tissue.placement.types)
    reference = type_means(
        tissue.reference.counts, tissue.reference.genes, tissue.reference.genes,
        tissue.reference.types,
    )  # fmt: skip
    right = wrong = 0
    for own, cell_type in enumerate(TYPES):
        for gene in cell_type.markers:
            right += np.argmax(section[:, tissue.genes.index(gene)]) == own
            wrong += np.argmax(section[:, tissue.genes.index(gene)]) != own
            if gene in tissue.reference.genes and cell_type.name != "T cell":
                assert np.nanargmax(reference[:, tissue.reference.genes.index(gene)]) == own, gene
    assert right / (right + wrong) > 0.95


def test_spilled_transcripts_are_moved_and_not_made(tissue):
    spill, own = tissue.counts.spill, tissue.counts.own
    assert tissue.counts.seen.sum() == own.sum() + len(spill.gene)
    assert len(spill.gene) / tissue.counts.seen.sum() == pytest.approx(0.15, abs=0.03)
    seeds = tissue.placement.seeds
    apart = np.hypot(*(seeds[spill.receiver] - seeds[spill.donor]).T)
    assert (spill.receiver != spill.donor).all()
    assert np.median(apart) < 20
    clean = simulate_tissue(replace(SMALL, spill=0.0))
    assert len(clean.counts.spill.gene) == 0


def test_neighbours_of_a_type_carry_its_markers(tissue):
    """Spill-over is seen where it should be: next to a neuron, glia hold more neuronal genes."""
    clean = simulate_tissue(replace(SMALL, spill=0.0))
    columns = [tissue.genes.index(gene) for gene in PROGRAMS["excitatory"]]
    glia = np.isin(tissue.placement.types, [TYPE_NAMES.index("Microglia")])
    grey = tissue.placement.domains == DOMAINS.index("L2/3")
    share = [
        t.counts.seen[glia & grey][:, columns].sum() / t.counts.seen[glia & grey].sum()
        for t in (clean, tissue)
    ]
    assert share[1] > 1.3 * share[0]


def test_the_reference_lacks_the_unseen_type_and_some_genes(tissue):
    cells = np.bincount(tissue.reference.types, minlength=len(TYPES))
    unseen = TYPE_NAMES.index("T cell")
    assert cells[unseen] == 0
    assert np.delete(cells, unseen).min() >= 60
    assert cells.max() > 1.8 * np.delete(cells, unseen).min()
    assert cells.sum() == 1500
    assert set(tissue.genes) - set(tissue.reference.genes) == set(NOT_IN_REFERENCE)
    assert set(BEYOND_PANEL) <= set(tissue.reference.genes)


@pytest.mark.parametrize(("shift", "low", "high"), [(0.5, 0.55, 0.95), (0.0, 0.0, 0.3)])
def test_the_reference_sees_genes_otherwise_than_the_section(shift, low, high):
    made = simulate_tissue(replace(SMALL, technical_shift=shift, spill=0.0))
    genes = [g for g in made.genes if g in made.reference.genes]
    sums = []
    for counts, names, types in (
        (made.counts.seen, made.genes, made.placement.types),
        (made.reference.counts, made.reference.genes, made.reference.types),
    ):
        sums.append(type_means(counts, names, genes, types)[TYPE_NAMES.index("L2/3 IT")])
    enough = (sums[0] > 0.003) & (sums[1] > 0.003)
    ratio = np.log(sums[0][enough] / sums[1][enough])
    assert low <= ratio.std() <= high


def test_transcripts_are_the_table_taken_apart(tissue):
    spots, genes = tissue.transcripts, len(tissue.genes)
    held = (spots.cell >= 0) & (spots.feature < genes)
    counted = np.zeros(tissue.counts.seen.shape, np.int64)
    np.add.at(counted, (spots.cell[held], spots.feature[held]), 1)
    assert np.array_equal(counted, tissue.counts.seen.toarray())


def test_transcripts_lie_in_their_cell_and_loose_ones_in_none(tissue):
    spots = tissue.transcripts
    polygons = shapely.polygons(tissue.outlines.vertices)
    held = spots.cell >= 0
    grown = shapely.buffer(polygons, 0.25)  # places and qualities are rounded
    assert shapely.contains_xy(grown[spots.cell[held]], spots.xy[held]).all()
    loose = spots.xy[~held].astype(float)
    shrunk = shapely.buffer(polygons, -0.1)
    hits, _ = shapely.STRtree(shrunk).query(shapely.points(loose), predicate="within")
    assert len(hits) == 0
    assert 0.01 < (~held).mean() < 0.1
    assert spots.qv.min() >= 20


def test_nuclei_are_bright_where_the_cells_are(tissue):
    pixels = np.floor(tissue.placement.seeds / tissue.config.pixel_size).astype(int)
    dapi, membrane = tissue.image[:, pixels[:, 1], pixels[:, 0]].astype(float)
    assert np.median(dapi) > 2 * tissue.image[0][tissue.image[0] > 0].mean()
    rim = tissue.outlines.vertices[:, 0] / tissue.config.pixel_size
    at_rim = tissue.image[:, rim[:, 1].astype(int), rim[:, 0].astype(int)].astype(float)
    assert np.median(at_rim[1]) > 2 * np.median(membrane)
    assert np.median(at_rim[0]) < 0.3 * np.median(dapi)


def test_the_truth_is_complete_and_json_ready(tissue):
    truth = json.loads(json.dumps(tissue.truth()))
    ids = set(tissue.ids.tolist())
    assert len(ids) == len(tissue) == 1500
    assert set(truth["types"]) == set(truth["domains"]) == ids
    assert set(truth["types"].values()) == set(truth["type_names"]) == set(truth["markers"])
    assert set(truth["domains"].values()) <= set(truth["domain_names"])
    assert all(len(genes) == 8 for genes in truth["markers"].values())
    assert truth["unseen_types"] == ["T cell"]
    assert truth["unseen_cells"] == [i for i in tissue.ids if truth["types"][i] == "T cell"]
    assert SimulateConfig(**truth["parameters"]) == SMALL
    assert set(truth["reactivity"]) < ids


def test_another_type_can_be_the_unseen_one():
    made = simulate_tissue(replace(SMALL, unseen="Vip"))
    assert not (made.reference.types == TYPE_NAMES.index("Vip")).any()
    assert (made.reference.types == TYPE_NAMES.index("T cell")).sum() >= 60
    assert made.truth()["unseen_types"] == ["Vip"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("cells", 10), ("seed", -1), ("reference_cells", 3), ("spill", 0.9), ("pixel_size", 0.0),
     ("median_counts", 0.0), ("reference_counts", 0.0), ("technical_shift", -1.0),
     ("unseen", "Neuron")],
)  # fmt: skip
def test_impossible_requests_are_refused_with_a_remedy(field, value):
    with pytest.raises(ArgumentError) as caught:
        SimulateConfig(**{field: value})
    assert str(value) in caught.value.found
    assert caught.value.needed
    assert caught.value.fix


def test_cancelling_stops_between_two_steps():
    stages = []

    def listen(progress):
        stages.append(progress.stage)
        if progress.stage == "measuring cells":
            context.cancel()

    context = JobContext(listen)
    with pytest.raises(JobCancelled):
        simulate_tissue(SMALL, context=context)
    assert stages[0] == "placing cells"
    assert "placing transcripts" not in stages
