"""The check before a model meets a section."""

import json

import pytest

from tagscope.core.panel import GenePanel
from tagscope.errors import ArgumentError
from tagscope.io.preflight import check, estimate


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


def test_the_estimate_grows_with_what_is_read():
    small, large = estimate(1000, 3 * 10**5), estimate(100_000, 3 * 10**7)
    assert large["seconds"] == pytest.approx(100 * small["seconds"])
    assert large["memory_bytes"] > small["memory_bytes"]
    assert estimate(1000, 3 * 10**5, 0.5)["seconds"] == small["seconds"] / 2
