"""Every real file opens, or is refused for the reason its data README gives."""

from dataclasses import dataclass

import numpy as np
import pytest
import spatialdata

from tagscope.core.panel import GenePanel
from tagscope.errors import InputError
from tagscope.io.preflight import check
from tagscope.io.readers import open_section, read_reference


@dataclass(frozen=True)
class Expected:
    """A section as its README describes it."""

    cells: int
    genes: int
    technology: str
    species: str
    um: float | None
    apart: float | None = None
    kind: str = "symbols"


SECTIONS = {
    "annotation/merfish_hypothalamus_3samples": Expected(6000, 135, "MERFISH", "mouse", 1.0),
    "annotation/starmap_by3_v1": Expected(1207, 1020, "STARmap", "mouse", None),
    "annotation/starmap_mpfc_bz5_bz14": Expected(2137, 166, "STARmap", "mouse", None),
    "annotation/seqfish_mouse_embryo2": Expected(5000, 351, "seqFISH", "mouse", None),
    "annotation/seqfishplus_cortex": Expected(523, 10000, "seqFISH+", "mouse", 0.103, 103 * 0.103),
    "annotation/osmfish": Expected(4839, 33, "osmFISH", "mouse", 0.065, 163 * 0.065),
    "annotation/cosmx_lung_nsclc": Expected(2814, 960, "CosMx", "human", 1.0, 8.6),
    "domains/visium_dlpfc_151673": Expected(3639, 5000, "Visium", "human", 1.0, 100, "Ensembl ids"),
    "domains/xenium_breast_idc": Expected(7353, 380, "Xenium", "human", 1.0, 7.8),
    "unlabelled/xenium_breast_pikachu": Expected(17136, 313, "Xenium", "human", None),
    "unlabelled/molcart_mouse_cortex_3sections": Expected(
        11775, 100, "Molecular Cartography", "mouse", 0.138
    ),
    "queries/omnicell_small_query": Expected(
        150, 51, "unknown", "human", None, None, "Ensembl ids"
    ),
}

OVERLAPPING = {
    "annotation/merfish_hypothalamus_3samples",
    "annotation/starmap_mpfc_bz5_bz14",
    "unlabelled/molcart_mouse_cortex_3sections",
}

DISSOCIATED = {
    "annotation/pbmc_3tech": ("cell_type", 1200, 9),
    "annotation/pseudobulk_breast_wu": ("cell_type", 13, 13),
    "annotation/scrna_breast_normal": ("cell_type", 260, 8),
    "annotation/scrna_mop": ("cell_type", 11444, 44),
}

NOT_COUNTS = {
    "domains/visium_dlpfc_151669_scaled": ("negative values", {"not-counts"}),
    "lognorm/pancreas_xin_lognorm": ("log-normalised", {"not-counts", "no-coordinates"}),
    "lognorm/pancreas_wang_lognorm": ("log-normalised", {"not-counts", "no-coordinates"}),
    "queries/cellmemory_fast_query": ("log-normalised", {"not-counts", "no-coordinates"}),
    "queries/cellmemory_full_query": ("log-normalised", {"not-counts", "no-coordinates"}),
    "queries/cellpatch_small_query_annotator": (
        "log-normalised",
        {"not-counts", "no-coordinates"},
    ),
}


def path_of(shared, name):
    return shared / "data" / f"{name}.h5ad"


def errors(preflight):
    return {f.code: f for f in preflight.findings if f.severity == "error"}


def test_every_file_is_expected_here(shared):
    there = {str(p.relative_to(shared / "data"))[:-5] for p in shared.glob("data/*/*.h5ad")}
    assert there == {*SECTIONS, *DISSOCIATED, *NOT_COUNTS, "queries/cellpatch_small_query"}


@pytest.mark.parametrize("name", SECTIONS)
def test_sections_open(shared, name):
    expected = SECTIONS[name]
    opened = open_section(path_of(shared, name))
    section = opened.section
    assert (len(section), len(section.panel)) == (expected.cells, expected.genes)
    assert opened.um_per_unit == expected.um
    assert section.unit == ("unknown" if expected.um is None else "µm")
    assert opened.source.technology == expected.technology
    told = {"unknown-unit"} if expected.um is None else set()
    told |= {"sections-overlap"} if name in OVERLAPPING else set()
    assert {f.code for f in opened.notes if f.severity != "info"} == told
    if expected.apart is not None:
        assert neighbour_distance(section.xy) == pytest.approx(expected.apart, rel=0.02)
    preflight = check(path_of(shared, name))
    assert preflight.ok
    assert preflight.summary["species"] == expected.species
    assert preflight.summary["gene_names"] == expected.kind
    assert preflight.summary["counts"] == "X"


def neighbour_distance(xy):
    from scipy.spatial import cKDTree

    return float(np.median(cKDTree(xy).query(xy, k=2)[0][:, 1]))


@pytest.mark.parametrize("name", DISSOCIATED)
def test_dissociated_cells_are_references_and_no_sections(shared, name):
    label, cells, types = DISSOCIATED[name]
    with pytest.raises(InputError, match=r"no coordinates.*to train on"):
        open_section(path_of(shared, name))
    reference = read_reference(path_of(shared, name), label)
    assert (len(reference), len(reference.labels)) == (cells, types)


@pytest.mark.parametrize("name", NOT_COUNTS)
def test_values_that_are_not_counts_are_refused(shared, name):
    said, codes = NOT_COUNTS[name]
    found = errors(check(path_of(shared, name)))
    assert set(found) == codes
    assert said in found["not-counts"].found


def test_a_reference_of_log_values_is_refused(shared):
    with pytest.raises(
        InputError, match=r"log-normalised\? largest 18\.5.*say that they are log-normalised"
    ):
        read_reference(path_of(shared, "lognorm/pancreas_xin_lognorm"), "cell_type")


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("annotation/merfish_hypothalamus_3samples", "log2norm"),
        ("annotation/seqfish_mouse_embryo2", "log2norm"),
    ],
)
def test_from_a_log_layer_it_points_back_to_the_counts(shared, name, layer):
    found = errors(check(path_of(shared, name), layer=layer))
    assert found["not-counts"].offer == {"layer": "X"}


def test_one_animal_of_three_samples(shared):
    path = path_of(shared, "annotation/merfish_hypothalamus_3samples")
    assert len(read_reference(path, "cell_type", where='animal == "7"')) == 3920
    assert len(open_section(path, where='animal == "1"').section) == 2080


@pytest.mark.parametrize(
    ("query", "reference", "shared_genes"),
    [
        ("annotation/starmap_mpfc_bz5_bz14", "annotation/starmap_by3_v1", 157),
        ("annotation/osmfish", "annotation/seqfishplus_cortex", 21),
        ("annotation/cosmx_lung_nsclc", "annotation/pbmc_3tech", 207),
        ("unlabelled/xenium_breast_pikachu", "annotation/scrna_breast_normal", 313),
        ("annotation/merfish_hypothalamus_3samples", "annotation/pbmc_3tech", None),
    ],
)
def test_shared_genes_are_those_of_the_readme(shared, query, reference, shared_genes):
    panel = read_reference(path_of(shared, reference), "cell_type").cells.panel
    summary = check(path_of(shared, query), bundle_panel=panel).summary
    if shared_genes is not None:
        assert summary["shared_genes"] == shared_genes
    else:
        assert summary["shared_genes"] < 0.1 * summary["bundle_genes"]


def test_ensembl_ids_meet_symbols(shared):
    panel = open_section(path_of(shared, "domains/visium_dlpfc_151673")).section.panel
    assert panel.ensembl[0] == "ENSG00000122585"
    assert panel.symbols[0] == "NPY"
    path = path_of(shared, "domains/visium_dlpfc_151669_scaled")
    summary = check(path, bundle_panel=panel).summary
    assert summary["shared_genes"] == 120


def test_a_genuine_xenium_store_without_gene_names(shared):
    path = shared / "data" / "vendor" / "xenium_mouse_5k_23cells.zarr"
    opened = open_section(path)
    section = opened.section
    assert (len(section), len(section.panel)) == (23, 5006)
    assert section.cells.values.sum() == 433
    assert (opened.source.technology, opened.source.region) == ("Xenium", "cell_circles")
    assert (section.unit, opened.um_per_unit) == ("µm", pytest.approx(0.2125))
    circles = opened.sdata["cell_circles"].geometry
    np.testing.assert_allclose(section.xy, np.column_stack([circles.x, circles.y]))
    assert (np.diff(section.outlines.offsets) > 3).all()
    for cell in range(23):
        ring = section.outlines.ring(cell)
        assert (ring.min(axis=0) < section.xy[cell]).all()
        assert (ring.max(axis=0) > section.xy[cell]).all()
    with pytest.raises(InputError, match=r"Gene names are missing.*transcripts.*feature_name"):
        opened.refuse_errors()


def test_its_check_says_gene_names_are_missing(shared):
    path = shared / "data" / "vendor" / "xenium_mouse_5k_23cells.zarr"
    preflight = check(path, bundle_panel=GenePanel(("Defa5", "0")))
    assert set(errors(preflight)) == {"gene-names-missing"}
    assert preflight.summary["shared_genes"] == 0
    with pytest.warns(UserWarning, match="not stored in the most current format"):
        names = spatialdata.read_zarr(path, selection=("points",))["transcripts"].feature_name
    assert "Defa5" in set(names.compute().astype(str)), "which is where check points to"
