"""Odd references and sections through train, annotate and tags: an answer, or why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData, read_h5ad

import tagscope as ts
from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells, Reference, Section
from tagscope.errors import ArgumentError, InputError
from tagscope.io.h5ad import quietly

GENES = 30
QUICK = ts.TrainConfig(epochs=1, batch_size=16, device="cpu")
SMALL = ts.CellMemoryConfig(width=16, ffn=32, layers=2)
EVERYTHING = ts.AnnotateConfig(attention=True, slots=True, device="cpu")
MODES = pytest.mark.parametrize(
    "network", [SMALL, replace(SMALL, mode="full")], ids=lambda n: n.mode
)


def cells_of(
    cells: int = 60, genes: int = GENES, classes: int = 3, names: list[str] | None = None
) -> AnnData:
    """Poisson counts of cells of some classes, on a line."""
    codes = np.arange(cells) % classes
    rates = np.exp(np.random.default_rng(9).normal(0, 1, (classes, genes)))
    counts = np.random.default_rng(1).poisson(rates[codes]).astype(np.float32)
    obs = pd.DataFrame({"cell_type": [f"T{c}" for c in codes]}, [f"c{i}" for i in range(cells)])
    with quietly():
        var = pd.DataFrame(index=names or [f"Gene{i}" for i in range(genes)])
        table = AnnData(sp.csr_matrix(counts), obs=obs, var=var)
    table.obsm["spatial"] = np.column_stack((np.arange(cells) * 10.0, np.zeros(cells)))
    return table


def changed(table: AnnData, change: Callable[[np.ndarray], Any]) -> AnnData:
    """The table with its counts, dense, changed in place."""
    counts = table.X.toarray()
    change(counts)
    table.X = sp.csr_matrix(counts)
    return table


def copied(columns: slice) -> Callable[[np.ndarray], Any]:
    """A change that makes some columns those of ``cells_of()``."""
    return lambda values: values[:, columns].__setitem__(slice(None), cells_of().X.toarray())


@dataclass
class Bench:
    """A folder, and the verbs on tables written there."""

    folder: Path
    written: int = 0

    def write(self, table: AnnData) -> Path:
        self.written += 1
        path = self.folder / f"{self.written}.h5ad"
        with quietly():
            table.write_h5ad(path)
        return path

    def train(self, table: AnnData, network: ts.CellMemoryConfig = SMALL, **more: Any) -> ts.Bundle:
        config = more.pop("config", QUICK)
        path = self.write(table)
        out = self.folder / f"bundle{self.written}"
        return ts.train(path, "cell_type", out=out, config=config, model_config=network, **more)

    def annotate(self, table: AnnData, bundle: ts.Bundle, **more: Any) -> ts.AnnotationResult:
        """Annotate, and list TAGs by gene and by slot: every cell has a label, all is finite."""
        path = self.write(table)
        out = path.with_name(f"annotated{self.written}.h5ad")
        result = ts.annotate(path, bundle, EVERYTHING, out=out, **more)
        annotation = result.annotation
        assert annotation.probabilities.shape == (table.n_obs, len(bundle.labels))
        np.testing.assert_allclose(annotation.probabilities.sum(axis=1), 1, atol=1e-5)
        assert np.isfinite(annotation.embedding).all()
        for found in (ts.tags(out), ts.tags(out, slots=True)):
            assert set(found.frame["gene"]) <= set(table.var_names)
            assert set(found.frame["group"]) <= set(annotation.names())
        return result

    def attention(self) -> np.ndarray:
        """The attention layer that was written last, (cells, genes of the table)."""
        table = ts.read_table(self.folder / f"annotated{self.written}.h5ad")
        return table.layers["cellmemory_attention"].toarray()

    def both(
        self, reference: AnnData, section: AnnData, network: ts.CellMemoryConfig = SMALL
    ) -> ts.AnnotationResult:
        return self.annotate(section, self.train(reference, network))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def same_answers(one: ts.AnnotationResult, other: ts.AnnotationResult) -> None:
    np.testing.assert_array_equal(one.annotation.probabilities, other.annotation.probabilities)
    np.testing.assert_array_equal(one.gene_scores.scores.data, other.gene_scores.scores.data)


@MODES
def test_cells_without_counts(bench: Bench, network: ts.CellMemoryConfig) -> None:
    def emptied(values: np.ndarray) -> None:
        values[::3] = 0  # all cells of the first class

    bundle = bench.train(changed(cells_of(), emptied), network)
    assert bundle.labels.names == ("T1", "T2")
    assert "20 cells without counts left out" in bundle.training["notes"]
    found = bench.annotate(changed(cells_of(), emptied), bundle).annotation
    assert np.ptp(found.probabilities[::3], axis=0).max() == 0


def test_nothing_but_cells_without_counts(bench: Bench) -> None:
    empty = changed(cells_of(), lambda values: values.fill(0))
    with pytest.raises(InputError, match="all zero"):
        bench.train(empty)
    with pytest.raises(InputError, match="all zero"):
        bench.annotate(empty, bench.train(cells_of()))


@MODES
def test_no_counts_in_the_genes_that_model_and_section_share(
    bench: Bench, network: ts.CellMemoryConfig
) -> None:
    section = changed(cells_of(), lambda values: values[:, :5].fill(0))
    found = bench.annotate(section, bench.train(cells_of(genes=5), network)).annotation
    assert len(set(found.names())) == 1


@MODES
def test_one_gene(bench: Bench, network: ts.CellMemoryConfig) -> None:
    bench.both(cells_of(genes=1), cells_of(genes=1), network)
    bundle = bench.train(cells_of(), network, panel=bench.write(cells_of(genes=1)))
    assert bundle.panel.symbols == ("Gene0",)
    bench.annotate(cells_of(genes=1), bundle)


@MODES
def test_one_class(bench: Bench, network: ts.CellMemoryConfig) -> None:
    result = bench.both(cells_of(classes=1), cells_of(), network)
    assert set(result.annotation.names()) == {"T0"}
    assert (result.annotation.confidence == 1).all()


@MODES
def test_150_classes(bench: Bench, network: ts.CellMemoryConfig) -> None:
    bundle = bench.train(cells_of(cells=450, classes=150), network)
    assert len(set(bundle.labels.colors)) == 150
    assert bundle.training["cells"] == {"reference": 450, "validation": 300}
    bench.annotate(cells_of(), bundle)


@MODES
def test_a_panel_of_five_in_a_hundred_genes(bench: Bench, network: ts.CellMemoryConfig) -> None:
    bundle = bench.train(cells_of(genes=100), network)
    section = cells_of(names=[f"Gene{i}" for i in range(5)] + [f"Other{i}" for i in range(25)])
    result = bench.annotate(section, bundle)
    assert result.provenance.extra["genes_shared"] == 5
    check = ts.check(bench.write(section), bundle)
    assert check.ok
    assert "few-shared-genes" in {finding.code for finding in check.findings}
    with pytest.raises(InputError, match="share 0 genes"):
        bench.annotate(section[:, 5:].copy(), bundle)


@MODES
def test_genes_that_occur_twice(bench: Bench, network: ts.CellMemoryConfig) -> None:
    """Of each the first column is read, and gets the attention."""
    plain = bench.both(cells_of(), cells_of(), network)
    names = [f"Gene{i}" for i in range(GENES)] + ["Gene3", "Gene4", "Gene3"]
    twice = changed(cells_of(genes=GENES + 3, names=names), copied(slice(GENES)))
    bundle = bench.train(twice, network)
    assert bundle.panel == bench.train(cells_of(), network).panel
    same_answers(bench.annotate(cells_of(), bundle), plain)
    same_answers(bench.annotate(twice, bundle), plain)
    attention = bench.attention()
    assert (attention[:, 3] > 0).any()
    assert not attention[:, GENES:].any()


def test_the_exact_name_wins_over_another_case(bench: Bench) -> None:
    names = ["GENE3", *(f"Gene{i}" for i in range(GENES))]
    section = changed(cells_of(genes=GENES + 1, names=names), copied(slice(1, None)))
    bundle = bench.train(cells_of())
    same_answers(bench.annotate(cells_of(), bundle), bench.annotate(section, bundle))
    attention = bench.attention()
    assert not attention[:, 0].any()
    assert (attention[:, 4] > 0).any()


@MODES
def test_genes_in_another_case(bench: Bench, network: ts.CellMemoryConfig) -> None:
    bundle = bench.train(cells_of(), network)
    shouted = cells_of(names=[f"GENE{i}" for i in range(GENES)])
    same_answers(bench.annotate(shouted, bundle), bench.annotate(cells_of(), bundle))


@pytest.mark.parametrize(
    ("value", "said"), [(np.nan, "NaN"), (np.inf, "NaN or infinite"), (-1.0, "negative values")]
)
@pytest.mark.parametrize("normalised", [False, True])
def test_missing_and_negative_values_in_files(
    bench: Bench, value: float, said: str, normalised: bool
) -> None:
    odd = changed(cells_of(), lambda values: values.__setitem__((7, 3), value))
    bundle = bench.train(cells_of())
    before = sorted(bench.folder.iterdir())
    fix = "Remove the cells" if value != -1.0 else "Give"
    for refused in (
        lambda: bench.annotate(odd, bundle, normalised=normalised),
        lambda: bench.train(odd, normalised=normalised),
    ):
        with pytest.raises(InputError, match=said) as caught:
            refused()
        assert caught.value.fix.startswith(fix)
    with pytest.raises(InputError, match=said):
        bench.train(cells_of(), panel=bench.write(odd))
    left = {path.suffix for path in set(bench.folder.iterdir()) - set(before)}
    assert left == {".h5ad"}  # what was refused, and nothing made of it


@pytest.mark.parametrize("value", [np.nan, -1.0])
@pytest.mark.parametrize("normalised", [False, True])
def test_missing_and_negative_values_in_memory(
    tmp_path: Path, value: float, normalised: bool
) -> None:
    good = in_memory(cells_of())
    odd = in_memory(changed(cells_of(), lambda values: values.__setitem__((7, 3), value)))
    odd = replace(odd, normalised=normalised)
    bundle = ts.train(reference_of(good), out=tmp_path / "good", config=QUICK, model_config=SMALL)
    with pytest.raises(InputError, match="negative or missing"):
        ts.annotate(section_of(odd), bundle, EVERYTHING)
    said = "NaN" if np.isnan(value) else "negative values"
    with pytest.raises(InputError, match=f"reference holds .*{said}"):
        ts.train(reference_of(odd), out=tmp_path / "odd", config=QUICK, model_config=SMALL)
    if not normalised:
        with pytest.raises(InputError, match=f"section holds .*{said}"):
            ts.train(
                reference_of(good), out=tmp_path / "odd", config=QUICK, model_config=SMALL,
                panel=section_of(odd),
            )  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["good"]


@MODES
def test_classes_of_a_single_cell(bench: Bench, network: ts.CellMemoryConfig) -> None:
    reference = cells_of()
    reference.obs["cell_type"] = ["Rare", *reference.obs["cell_type"][1:]]
    bundle = bench.train(reference, network)
    assert bundle.training["label_counts"]["Rare"] == 1
    assert np.array(bundle.training["confusion"])[0].sum() == 0  # it trains, and validates nothing
    bench.annotate(cells_of(), bundle)
    alone = bench.train(cells_of(cells=3), network)
    assert alone.to_text().endswith("not validated")
    bench.annotate(cells_of(), alone)
    published = replace(QUICK, recipe="published")
    bench.annotate(cells_of(), bench.train(cells_of(cells=3), network, config=published))


def test_no_cell_left_to_train_on(bench: Bench) -> None:
    config = replace(QUICK, recipe="published", validation=0.99)
    with pytest.raises(ArgumentError, match="none is left to train on"):
        bench.train(cells_of(cells=20), config=config)


def test_cells_labelled_unassigned_have_no_label(bench: Bench) -> None:
    reference = cells_of()
    reference.obs["cell_type"] = reference.obs["cell_type"].replace("T2", "Unassigned")
    bundle = bench.train(reference)
    assert bundle.labels.names == ("T0", "T1")
    strict = ts.AnnotateConfig(min_confidence=1.0)
    out = bench.folder / "strict.h5ad"
    ts.annotate(bench.write(cells_of()), bundle, strict, out=out)
    assert set(read_h5ad(out).obs["cellmemory"]) == {"Unassigned"}


@MODES
def test_a_section_of_one_cell_and_of_none(bench: Bench, network: ts.CellMemoryConfig) -> None:
    bundle = bench.train(cells_of(), network)
    bench.annotate(cells_of(cells=1), bundle)
    bench.annotate(changed(cells_of(cells=2), lambda values: values[0].fill(0)), bundle)
    bench.annotate(
        cells_of(cells=1), bench.train(cells_of(), network, panel=bench.write(cells_of(cells=1)))
    )
    with pytest.raises(InputError, match="0 cells × 30 genes"):
        bench.annotate(cells_of()[:0].copy(), bundle)
    nobody = ts.annotate(section_of(in_memory(cells_of()[:0])), bundle, EVERYTHING)
    assert nobody.annotation.names().shape == (0,)


@MODES
def test_converted_models_meet_odd_sections(bench: Bench, network: ts.CellMemoryConfig) -> None:
    bundle = bench.train(cells_of(genes=40), replace(network, compat="published"))
    bench.annotate(changed(cells_of(), lambda values: values[:5].fill(0)), bundle)
    bench.annotate(changed(cells_of(cells=1, genes=1), lambda values: values.fill(2)), bundle)
    empty = changed(cells_of(), lambda values: values.fill(0))
    nothing = ts.annotate(section_of(in_memory(empty)), bundle, EVERYTHING)
    assert np.isfinite(nothing.annotation.probabilities).all()


def disordered(table: AnnData) -> AnnData:
    """The same counts, every one split over two entries, entries in any order."""
    counts = table.X.tocoo()
    half = np.floor(counts.data / 2)
    data = np.concatenate((half, counts.data - half))
    rows, columns = np.tile(counts.row, 2), np.tile(counts.col, 2)
    order = np.lexsort((np.random.default_rng(2).random(len(rows)), rows))
    starts = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=table.n_obs))))
    table.X = sp.csr_matrix((data[order], columns[order], starts), table.shape)
    assert not table.X.has_canonical_format
    return table


def with_values(change: Callable[[sp.csr_matrix], Any]) -> Callable[[AnnData], AnnData]:
    def apply(table: AnnData) -> AnnData:
        table.X = change(table.X)
        return table

    return apply


SAME_COUNTS: dict[str, Callable[[AnnData], AnnData]] = {
    "unsorted, duplicate entries": disordered,
    "dense": with_values(lambda x: x.toarray()),
    "dense, by column": with_values(lambda x: np.asfortranarray(x.toarray())),
    "dense int32": with_values(lambda x: x.toarray().astype(np.int32)),
    "by column": with_values(sp.csc_matrix),
    "int64": with_values(lambda x: x.astype(np.int64)),
    "uint16": with_values(lambda x: x.astype(np.uint16)),
    "float64": with_values(lambda x: x.astype(np.float64)),
}


@pytest.mark.parametrize("form", SAME_COUNTS)
def test_the_same_counts_in_another_form(bench: Bench, form: str) -> None:
    change = SAME_COUNTS[form]
    plain = bench.both(cells_of(), cells_of())
    same_answers(bench.both(change(cells_of()), change(cells_of())), plain)


@pytest.mark.parametrize("form", ["unsorted, duplicate entries", "int64", "uint16", "float64"])
def test_the_same_counts_in_memory(tmp_path: Path, form: str) -> None:
    def answer(table: AnnData, name: str) -> ts.AnnotationResult:
        cells = in_memory(table)
        bundle = ts.train(
            reference_of(cells), out=tmp_path / name, config=QUICK, model_config=SMALL,
            panel=section_of(cells),
        )  # fmt: skip
        return ts.annotate(section_of(cells), bundle, EVERYTHING)

    same_answers(answer(SAME_COUNTS[form](cells_of()), "other"), answer(cells_of(), "plain"))


def in_memory(table: AnnData) -> Cells:
    """The table's cells, its matrix as it is."""
    panel = GenePanel(tuple(table.var_names))
    return Cells(table.X, panel, table.obs_names.to_numpy(dtype=np.str_))


def section_of(cells: Cells) -> Section:
    return Section(cells, np.zeros((len(cells), 2)))


def reference_of(cells: Cells) -> Reference:
    return Reference(cells, LabelSet(("T0", "T1", "T2")), np.arange(len(cells)) % 3)
