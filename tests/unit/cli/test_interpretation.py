"""tags, slots, enrich and faithfulness as a person runs them, one after the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anndata as ad
import pandas as pd
import pytest

from tagscope import api
from tagscope.errors import ArgumentError

CELLS = 60


@pytest.fixture(scope="module")
def annotated(bundle: Path, sample_data: Path, tmp_path_factory) -> Path:
    """Sixty cells of the sample with attention and slots."""
    folder = tmp_path_factory.mktemp("annotated")
    opened = api.open_section(sample_data / "section.zarr")
    table = opened.table[:CELLS].copy()
    table.obsm["spatial"] = opened.section.xy[:CELLS]
    table.write_h5ad(folder / "section.h5ad")
    api.annotate(
        folder / "section.h5ad",
        bundle,
        api.AnnotateConfig(attention=True, slots=True, device="cpu"),
        out=folder / "annotated.h5ad",
    )
    return folder / "annotated.h5ad"


def gmt(path: Path, **sets: object) -> Path:
    path.write_text("".join(f"{n}\t\t" + "\t".join(map(str, g)) + "\n" for n, g in sets.items()))
    return path


def test_selected_cells_are_set_against_the_rest(tagscope, annotated, tmp_path):
    ids = ad.read_h5ad(annotated).obs_names[5:25]
    (tmp_path / "lasso.txt").write_text("\n".join(ids))
    out = tmp_path / "tags.csv"
    ran = tagscope(
        "tags", annotated, "--cells", tmp_path / "lasso.txt", "--out", out,
        "--heatmap", tmp_path / "tags.svg",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert set(pd.read_csv(out)["group"]) == {"selected", "rest"}
    assert pd.read_csv(tmp_path / "tags.groups.csv")["cells"].tolist() == [20, 40]
    assert ">selected<" in (tmp_path / "tags.svg").read_text()
    again = api.tags(annotated, selection=list(ids))
    pd.testing.assert_frame_equal(pd.read_csv(out), again.frame, rtol=1e-5, check_dtype=False)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--cells", "lasso.txt", "--by", "cell_type"], 2, "not allowed with"),
        (["--heatmap", "tags.jpeg"], 2, "does not end in .png"),
        (["--cells", "lasso.txt"], 1, "lasso.txt cannot be read"),
    ],
)
def test_wrong_words_leave_nothing(tagscope, annotated, tmp_path, words, code, said):
    ran = tagscope("tags", annotated, *words, "--out", tmp_path / "tags.csv")
    assert ran.code == code
    assert said in ran.err
    assert not list(tmp_path.iterdir())


def test_enrichment_needs_and_finds_its_background(tagscope, annotated, tmp_path):
    tags = tmp_path / "tags.csv"
    assert tagscope("tags", annotated, "--top", 10, "--out", tags).code == 0
    first = pd.read_csv(tags).query("rank <= 4")
    group = first["group"].iloc[0]
    mine = first[first["group"] == group]["gene"].str.upper()
    sets = gmt(tmp_path / "sets.gmt", mine=mine, others=["Nobody1", "Nobody2", "Nobody3"])
    words = ("enrich", tags, "--gene-sets", sets, "--out", tmp_path / "enriched.csv")
    ran = tagscope(*words)
    assert ran.code == 0, ran.err
    found = pd.read_csv(tmp_path / "enriched.csv")
    best = found[found["group"] == group].iloc[0]
    assert (best["set"], best["overlap"], best["set_size"]) == ("mine", 4, 4)
    names = (tmp_path / "tags.background.txt").read_text().split()
    assert best["background"] == len(names)
    assert set(names) == set(api.tags(annotated).background)

    (tmp_path / "tags.background.txt").unlink()
    ran = tagscope(*words, "--overwrite")
    assert ran.code == 2
    assert "--background" in ran.err
    assert tagscope(*words, "--overwrite", "--background", annotated).code == 0
    again = pd.read_csv(tmp_path / "enriched.csv")
    pd.testing.assert_frame_equal(again, found)
    short = tmp_path / "short.txt"
    short.write_text("\n".join(names[:3]))
    ran = tagscope(*words, "--overwrite", "--background", short)
    assert ran.code == 1
    assert "not in the background" in ran.err
    memory = api.enrich(api.tags(annotated, top=10), sets)
    pd.testing.assert_frame_equal(memory.frame, found, rtol=1e-5, check_dtype=False)


def test_slots_are_summarised_and_enriched(tagscope, annotated, tmp_path):
    ran = tagscope("slots", annotated, "--out", tmp_path / "slots")
    assert ran.code == 0, ran.err
    assert len([line for line in ran.out.splitlines() if line.startswith("slot ")]) == 3
    shares = pd.read_csv(tmp_path / "slots" / "slot_by_group.csv")
    assert shares.groupby("group")["share"].sum().to_numpy() == pytest.approx(1, abs=1e-4)
    programs = pd.read_csv(tmp_path / "slots" / "slot_programs.csv")
    sets = gmt(tmp_path / "sets.gmt", mine=programs.query("slot == 1")["gene"].head(5))
    ran = tagscope(
        "enrich", tmp_path / "slots" / "slot_programs.csv", "--gene-sets", sets,
        "--top", 5, "--out", tmp_path / "enriched.csv",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    found = pd.read_csv(tmp_path / "enriched.csv").set_index("slot")
    assert found.loc[1, "overlap"] == 5
    assert found["p_value"].idxmin() == 1


def test_faithfulness(tagscope, annotated, bundle, tmp_path):
    out = tmp_path / "report.csv"
    ran = tagscope(
        "faithfulness", annotated, "--bundle", bundle, "--out", out, "--percent", "10,50",
        "--cells-per-type", 4, "--draws", 2, "--device", "cpu",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "higher is more faithful" in ran.out
    report = pd.read_csv(out)
    assert sorted(set(report["percent"])) == [0, 10, 50, 100]
    whole = report[(report["test"] == "deletion") & (report["percent"] == 0)]
    assert (whole["label_kept"] == 1).all()
    assert (tmp_path / "report.png").stat().st_size > 10_000
    assert len(pd.read_csv(tmp_path / "report.areas.csv")) == 6 * report["type"].nunique()


def test_faithfulness_is_of_the_model_that_annotated(tagscope, annotated, sample_data, tmp_path):
    other = tmp_path / "other"
    reference = api.read_reference(sample_data / "reference.h5ad", "cell_type")
    small = api.CellMemoryConfig(width=8, ffn=8, layers=1, heads=1, slots=2)
    api.train(reference, out=other, config=api.TrainConfig(epochs=1), model_config=small)
    ran = tagscope("faithfulness", annotated, "--bundle", other, "--out", tmp_path / "r.csv")
    assert ran.code == 2
    assert "another model" in ran.err


@pytest.mark.parametrize("words", [("--percent", "5,2"), ("--percent", "x"), ("--draws", "0")])
def test_wrong_settings_of_faithfulness(tagscope, annotated, bundle, tmp_path, words):
    ran = tagscope(
        "faithfulness", annotated, "--bundle", bundle, "--out", tmp_path / "r.csv", *words
    )
    assert ran.code == 2
    assert not list(tmp_path.iterdir())


def test_nothing_can_be_hidden_from_a_published_full_model(annotated, bundle):
    loaded = api.load_bundle(bundle)
    published = replace(loaded, config={**loaded.config, "mode": "full", "compat": "published"})
    with pytest.raises(ArgumentError, match="knows no padding"):
        api.faithfulness(annotated, published)
