"""The check whenever a section and a bundle meet."""

from __future__ import annotations

import anndata as ad
import pytest

from napari_tagscope.controllers.preflight import (
    CANCELLED,
    NO_BUNDLE,
    NO_SECTION,
    NOT_READY,
    PreflightController,
)
from tagscope.inference import estimate


@pytest.fixture
def preflight(state, runner, annotate, section):
    return PreflightController(state, runner, annotate, section.reopen)


def test_an_empty_panel_says_what_to_do(preflight, section, section_file):
    assert preflight.state.hint == NO_SECTION
    section.open(section_file)
    assert preflight.state.hint == NO_BUNDLE
    assert [f.code for f in preflight.state.findings] == ["unknown-unit"]


def test_a_section_and_its_bundle_are_ready_in_one_line(
    preflight, annotate, section, section_file, bundle
):
    section.open(section_file, um_per_unit=1.0)
    annotate.use(bundle)
    state = preflight.state
    assert state.ok
    assert state.verdict.startswith("✓ Ready: 6 of 6 genes shared · 30 cells · about 1 s, ")
    assert state.verdict.endswith(" GB free")
    assert all(finding.severity == "info" for finding in state.findings)


def test_a_fix_opens_again_and_keeps_the_other_choices(
    preflight, annotate, section, state, section_file, bundle
):
    table = ad.read_h5ad(section_file)
    table.var["probe"] = table.var_names
    table.var_names = [f"probe{i}x" for i in range(table.n_vars)]
    table.write_h5ad(section_file)
    annotate.use(bundle)
    section.open(section_file, where="age > 5")
    assert (preflight.state.ok, preflight.state.verdict) == (False, NOT_READY)
    assert preflight.state.findings[0].code == "no-shared-genes"
    preflight.apply(preflight.state.findings[0].offer)
    assert preflight.state.ok
    assert state.choices == {"where": "age > 5", "genes": "probe"}


def test_findings_come_before_cells_are_timed(
    preflight, annotate, section, section_file, bundle, runner
):
    section.open(section_file)
    runner.cancel_at = 1
    seen = []
    preflight.changed.connect(lambda state: seen.append([f.code for f in state.findings]))
    annotate.use(bundle)
    assert seen[-1] == ["unknown-unit", "shared-genes"]
    assert (preflight.state.verdict, preflight.state.hint) == ("", CANCELLED)


def test_too_little_memory_is_a_warning(
    preflight, annotate, section, section_file, bundle, monkeypatch
):
    class Small:
        available = 1_000_000

    monkeypatch.setattr(estimate.psutil, "virtual_memory", Small)
    section.open(section_file, um_per_unit=1.0)
    annotate.use(bundle)
    assert preflight.state.findings[0].code == "little-memory"
    assert preflight.state.verdict.startswith("Can be annotated: ")


def test_without_a_section_nothing_is_checked(preflight, annotate, section, section_file, bundle):
    section.open(section_file)
    annotate.use(bundle)
    section.close()
    assert (preflight.state.findings, preflight.state.hint) == ((), NO_SECTION)
