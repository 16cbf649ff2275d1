"""The check before a model meets a section."""

import json

import numpy as np
import pytest
from spatialdata import SpatialData

from tagscope.core.panel import GenePanel
from tagscope.errors import ArgumentError
from tagscope.io.choices import alternatives
from tagscope.io.h5ad import quietly
from tagscope.io.preflight import check, check_opened
from tagscope.io.readers import open_section


def findings(preflight):
    return {finding.code: finding for finding in preflight.findings}


@pytest.fixture
def section(tiny, tmp_path):
    tiny.table().write_h5ad(tmp_path / "merfish.h5ad")
    return tmp_path / "merfish.h5ad"


def test_a_good_section(section, tiny):
    preflight = check(section, bundle_panel=GenePanel(tiny.symbols))
    assert preflight.ok
    assert [f.code for f in preflight.findings] == ["shared-genes"]
    summary = preflight.summary
    assert (summary["cells"], summary["genes"], summary["species"]) == (12, 5, "human")
    assert (summary["technology"], summary["unit"], summary["counts"]) == ("MERFISH", "µm", "X")
    assert (summary["shared_genes"], summary["bundle_genes"]) == (5, 5)
    assert summary["outlines"] is False
    assert summary["median_counts"] > 0


def test_it_is_json_and_text(section, tiny):
    preflight = check(section, bundle_panel=GenePanel(("Sst", "Gad1")))
    as_json = json.loads(json.dumps(preflight.to_dict()))
    assert as_json["ok"] is False
    assert as_json["findings"][0]["code"] == "no-shared-genes"
    text = preflight.to_text()
    assert "12 (centroids, µm)" in text
    assert "error: 0 of the model's 2 genes are in the section" in text
    assert text.endswith("Not ready: mend the errors first.")


@pytest.mark.parametrize(
    ("genes", "severity", "code"),
    [
        (("ACTB", "CD3E"), "info", "shared-genes"),
        (("ACTB", "SST", "GAD1"), "warning", "few-shared-genes"),
        (("SST", "GAD1"), "error", "no-shared-genes"),
    ],
)
def test_panel_overlap(section, genes, severity, code):
    assert findings(check(section, bundle_panel=GenePanel(genes)))[code].severity == severity


def test_a_model_of_another_species_is_named(section):
    mouse = GenePanel(("Sst", "Gad1"), ("ENSMUSG00000004366", "ENSMUSG00000070880"))
    finding = findings(check(section, bundle_panel=mouse))["no-shared-genes"]
    assert finding.fix.startswith("The section is human, the model mouse")


def test_nameless_genes_are_one_error_not_two(tiny, tmp_path):
    table = tiny.table()
    table.var_names = [str(i) for i in range(5)]
    table.write_h5ad(tmp_path / "x.h5ad")
    preflight = check(tmp_path / "x.h5ad", bundle_panel=GenePanel(("0", "ACTB")))
    assert [f.code for f in preflight.findings] == ["gene-names-missing"]
    assert preflight.summary["shared_genes"] == 0
    assert not preflight.ok


def test_a_wrong_choice_is_an_argument_error(section):
    with pytest.raises(ArgumentError, match="no layer 'spliced'"):
        check(section, layer="spliced")


def test_an_open_section_is_judged_as_its_file_is(section, tiny):
    panel = GenePanel(("ACTB", "SST", "GAD1"))
    opened = check_opened(open_section(section), panel)
    read = check(section, bundle_panel=panel)
    assert opened.findings == read.findings
    assert opened.summary.items() <= read.summary.items()
    np.testing.assert_array_equal(opened.cells.values.toarray(), read.cells.values.toarray())


def test_what_prevents_annotating_leaves_no_cells(section):
    assert check(section, bundle_panel=GenePanel(("SST",))).cells is None


def test_columns_that_name_more_genes_are_offered(tiny, tmp_path):
    table = tiny.table()
    table.var["probe"] = list(tiny.symbols)
    table.var["colour"] = ["red", "red", "red", "red", "blue"]
    table.var_names = [f"probe{i}x" for i in range(5)]
    path = tmp_path / "probes.h5ad"
    table.write_h5ad(path)
    panel = GenePanel(tiny.symbols)
    finding = findings(check(path, bundle_panel=panel))["no-shared-genes"]
    assert (finding.offer, finding.among) == ({"genes": "probe"}, ("probe",))
    mended = check(path, bundle_panel=panel, **finding.offer)
    assert mended.ok
    assert mended.summary["shared_genes"] == 5


def test_numbers_for_names_offer_the_columns_that_have_some(tiny, tmp_path):
    table = tiny.table()
    table.var["probe"] = list(tiny.symbols)
    table.var_names = [str(i) for i in range(5)]
    table.write_h5ad(tmp_path / "numbers.h5ad")
    finding = findings(check(tmp_path / "numbers.h5ad"))["gene-names-missing"]
    assert finding.offer == {"genes": "probe"}
    with pytest.raises(ArgumentError, match="no column 'spliced'"):
        check(tmp_path / "numbers.h5ad", genes="spliced")


def test_orthologues_map_a_section_onto_a_model_of_the_other_species(section, tmp_path):
    mouse = GenePanel(("Actb", "Cd3e", "Zfp1"), ("ENSMUSG01", "ENSMUSG02", "ENSMUSG03"))
    asked = findings(check(section, bundle_panel=mouse))["other-species"]
    assert (asked.severity, asked.ask) == ("warning", "orthologues")
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("human_symbol,mouse_symbol\nACTB,Zfp1\nCD3E,Cd3e\n")
    found = check(section, bundle_panel=mouse, orthologues=pairs)
    assert "other-species" not in findings(found)
    assert "2 of 5 human genes have one mouse orthologue" in findings(found)["orthologues"].found
    panel = open_section(section, orthologues=pairs).section.panel
    assert panel.symbols[panel.position("Zfp1")] == "ACTB"
    named = mouse.named_as(panel)
    assert named.symbols == ("Actb", "CD3E", "ACTB")


def test_a_choice_that_must_be_made_is_a_finding(tiny, tmp_path):
    path = tmp_path / "two.zarr"
    tables = {"first": tiny.table(), "second": tiny.table()}
    with quietly():
        SpatialData(tables=tables).write(path)
    (finding,) = check(path).findings
    assert (finding.code, finding.among) == ("choose-table", ("first", "second"))
    assert finding.offer == {"table": "first"}
    opened = open_section(path, **finding.offer)
    assert alternatives(opened) == {"table": ("first", "second")}
