"""Training: it learns, stops, resumes, cancels, and says what it did."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells, Reference
from tagscope.errors import ArgumentError, InputError, OutputError
from tagscope.jobs import JobCancelled, JobContext, Progress
from tagscope.models.bundle import Bundle, load_bundle
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.registry import load_model
from tagscope.training.checkpoint import checkpoint_path
from tagscope.training.fit import EpochRecord, TrainConfig, train

MODEL = CellMemoryConfig(width=16, ffn=32, layers=2, heads=2, slots=4, max_bin=10)
QUICK = TrainConfig(folds=1, epochs=3, batch_size=16, learning_rate=3e-3, seed=5)


def reference(
    per_label: tuple[int, ...] = (40, 30, 20), genes: int = 24, seed: int = 0
) -> Reference:
    """Cells of a few types, each with its own four genes high."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(len(per_label)), per_label)
    means = np.full((len(per_label), genes), 0.4)
    for label in range(len(per_label)):
        means[label, 4 * label : 4 * label + 4] = 5.0
    counts = rng.poisson(means[codes]).astype(np.float32)
    counts[counts.sum(1) == 0, 0] = 1
    shuffled = rng.permutation(len(codes))
    cells = Cells(
        sp.csr_matrix(counts[shuffled]),
        GenePanel(tuple(f"G{i}" for i in range(genes))),
        np.array([f"c{i}" for i in range(len(codes))]),
    )
    names = tuple(f"type {i}" for i in range(len(per_label)))
    return Reference(cells, LabelSet(names), codes[shuffled])


def weights(bundle: Bundle) -> dict[str, torch.Tensor]:
    return bundle.state()


def same(one: Bundle, other: Bundle) -> bool:
    ours, theirs = one.state(), other.state()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def numbers(bundle: Bundle) -> list[dict[str, float]]:
    return bundle.training["history"]


@pytest.mark.parametrize("mode", ["expressed", "full"])
@pytest.mark.parametrize("encoding", ["bins", "round", "both"])
def test_it_learns_cells_apart(tmp_path: Path, mode: str, encoding: str) -> None:
    config = replace(QUICK, epochs=14, learning_rate=5e-3)
    model = replace(MODEL, mode=mode, encoding=encoding)
    heard: list[Progress] = []
    bundle = train(
        reference((150, 120, 90)), tmp_path / "model", config, model_config=model,
        context=JobContext(heard.append),
    )  # fmt: skip
    assert bundle == load_bundle(tmp_path / "model")
    assert bundle.training["accuracy"] > 0.9
    assert bundle.training["macro_f1"] > 0.9
    confusion = np.array(bundle.training["confusion"])
    assert confusion.sum() == bundle.training["cells"]["validation"] == 72
    assert np.trace(confusion) / confusion.sum() == pytest.approx(bundle.training["accuracy"])
    assert bundle.training["label_counts"] == {"type 0": 150, "type 1": 120, "type 2": 90}
    records = [p.partial for p in heard if isinstance(p.partial, EpochRecord)]
    assert [record.epoch for record in records] == list(range(1, len(numbers(bundle)) + 1))
    assert records[-1].train_loss < records[0].train_loss
    best = min(records, key=lambda record: record.validation_loss)
    assert bundle.training["folds"][0]["best_epoch"] == best.epoch
    assert best.accuracy == pytest.approx(bundle.training["accuracy"])
    assert not checkpoint_path(tmp_path / "model").exists()
    fresh = reference(seed=9)
    asked = load_model(bundle, torch.device("cpu"))
    said = asked(asked.tokenise(fresh.cells).batch(np.arange(90)))
    assert (said.logits.argmax(1).numpy() == fresh.codes).mean() > 0.9
    baseline = bundle.training["baseline"]
    assert baseline["accuracy"] > 0.9
    assert f"logistic regression {baseline['accuracy']:.3f}" in bundle.to_text()
    card = (tmp_path / "model" / "card.md").read_text("utf-8")
    assert f"| logistic regression | {baseline['accuracy']:.3f}" in card
    assert "| type 1 | 120 | 24 |" in card


def test_networks_that_hold_out_other_cells(tmp_path: Path) -> None:
    config = replace(QUICK, folds=5, epochs=4, learning_rate=5e-3)
    heard: list[Progress] = []
    bundle = train(reference(), tmp_path / "m", config, model_config=MODEL,
                   context=JobContext(heard.append))  # fmt: skip
    folds = bundle.training["folds"]
    assert len(folds) == bundle.config["networks"] == 5
    assert sum(fold["validation"] for fold in folds) == 90  # a whole cross-validation
    assert np.sum(bundle.training["confusion"]) == 90
    assert {record["fold"] for record in numbers(bundle)} == {1, 2, 3, 4, 5}
    done = [p.done for p in heard if p.stage == "training"]
    assert done == list(range(21))
    asked = load_model(bundle, torch.device("cpu"))
    batch = asked.tokenise(reference(seed=9).cells).batch(np.arange(90))
    said = asked(batch, gene_scores=True, slot_scores=True)
    alone = [replace(asked, network=one, others=())(batch, gene_scores=True, slot_scores=True)
             for one in asked.networks]  # fmt: skip
    mean = torch.stack([one.logits.softmax(1) for one in alone]).mean(0)
    torch.testing.assert_close(said.logits.softmax(1), mean)
    torch.testing.assert_close(
        said.gene_scores, torch.stack([one.gene_scores for one in alone]).mean(0)
    )
    torch.testing.assert_close(said.embedding, torch.cat([one.embedding for one in alone], dim=1))
    torch.testing.assert_close(said.slot_scores, alone[0].slot_scores)
    assert not torch.allclose(alone[0].logits, alone[1].logits)


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    torch.manual_seed(1)
    one = train(reference(), tmp_path / "one", QUICK, model_config=MODEL)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    other = train(reference(), tmp_path / "other", QUICK, model_config=MODEL)
    third = train(reference(), tmp_path / "3", replace(QUICK, seed=6), model_config=MODEL)
    assert same(one, other)
    assert not same(one, third)
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)  # the caller's generator did not move


class CancelAt(JobContext):
    """Cancels once an epoch has been reported, or in the middle of the next one."""

    def __init__(self, epoch: int, *, inside: bool = False) -> None:
        self.stage, self.cancelled_at = (f"epoch {epoch + 1}" if inside else "training"), 0.0
        self.epoch = epoch
        super().__init__(self.listen)

    def listen(self, progress: Progress) -> None:
        reached = self.stage != "training" or progress.done == self.epoch
        if progress.stage == self.stage and reached:
            self.cancel()


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(("recipe", "folds"), [("default", 1), ("published", 1), ("default", 2)])
def test_resumed_is_as_uninterrupted(tmp_path: Path, inside: bool, recipe: str, folds: int) -> None:
    config = replace(QUICK, epochs=5, recipe=recipe, folds=folds)
    whole = train(reference(), tmp_path / "whole", config, model_config=MODEL)
    out = tmp_path / "broken"
    with pytest.raises(JobCancelled):
        train(reference(), out, config, model_config=MODEL, context=CancelAt(2, inside=inside))
    cancelled = load_bundle(out)
    assert cancelled.training["stopped"] == "cancelled"
    assert numbers(cancelled) == numbers(whole)[:2]
    resumed = train(reference(), out, config, model_config=MODEL, resume=True)
    assert numbers(resumed) == numbers(whole)
    assert resumed.training["confusion"] == whole.training["confusion"]
    assert resumed.training["stopped"] == whole.training["stopped"]
    assert same(resumed, whole)
    assert not checkpoint_path(out).exists()


def test_a_cancel_in_a_later_network_keeps_the_earlier_ones(tmp_path: Path) -> None:
    config = replace(QUICK, folds=3)
    whole = train(reference(), tmp_path / "whole", config, model_config=MODEL)
    out = tmp_path / "broken"
    with pytest.raises(JobCancelled):
        train(reference(), out, config, model_config=MODEL, context=CancelAt(5))
    cancelled = load_bundle(out)
    assert cancelled.config["networks"] == 2
    assert [fold["epochs"] for fold in cancelled.training["folds"]] == [3, 2]
    assert cancelled.training["baseline"] is None
    assert same(train(reference(), out, config, model_config=MODEL, resume=True), whole)


def test_the_best_epoch_is_kept_when_cancelled(tmp_path: Path) -> None:
    config = replace(QUICK, epochs=6, learning_rate=0.5)  # far too high: the loss jumps about
    out = tmp_path / "model"
    with pytest.raises(JobCancelled):
        train(reference(), out, config, model_config=MODEL, context=CancelAt(4))
    bundle = load_bundle(out)
    losses = [record["validation_loss"] for record in numbers(bundle)]
    assert bundle.training["folds"][0]["best_epoch"] == int(np.argmin(losses)) + 1
    asked = load_model(bundle, torch.device("cpu"))
    assert torch.isfinite(asked(asked.tokenise(reference().cells).batch(np.arange(5))).logits).all()


def test_a_cancel_before_the_first_epoch_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(JobCancelled):
        train(reference(), tmp_path / "m", QUICK, model_config=MODEL, context=CancelAt(0))
    assert list(tmp_path.iterdir()) == []


def test_a_cancel_is_answered_within_a_second(tmp_path: Path) -> None:
    """With the largest published network on a panel of 300 genes, all of them read."""
    heard: list[float] = []

    def listen(_: Progress) -> None:
        heard.append(time.thread_time())  # what other processes take is not ours
        if len(heard) == 6:
            context.cancel()

    context = JobContext(listen)
    many = reference((60, 60), genes=300)
    with pytest.raises(JobCancelled):
        train(
            many, tmp_path / "m", TrainConfig(recipe="published", epochs=1),
            model_config=CellMemoryConfig(mode="full"), context=context,
        )  # fmt: skip
    assert np.median(np.diff(heard)) < 1.0


def test_training_stops_when_validation_no_longer_improves(tmp_path: Path) -> None:
    config = replace(QUICK, epochs=60, patience=2, learning_rate=0.1)
    bundle = train(reference(), tmp_path / "m", config, model_config=MODEL)
    epochs = len(numbers(bundle))
    assert epochs < 60
    assert epochs == bundle.training["folds"][0]["best_epoch"] + 2
    assert bundle.training["stopped"] == "patience"


def test_rates_follow_the_recipes(tmp_path: Path) -> None:
    ours = train(reference(), tmp_path / "a", replace(QUICK, epochs=10, patience=10),
                 model_config=MODEL)  # fmt: skip
    rates = [record["learning_rate"] for record in numbers(ours)]
    assert max(rates) <= 3e-3
    assert rates[-1] < 0.01 * max(rates)
    published = train(
        reference(), tmp_path / "b", TrainConfig(recipe="published", epochs=4, patience=4),
        model_config=MODEL,
    )  # fmt: skip
    expected = [3e-4 * (1 + math.cos(math.pi * epoch / 200)) / 2 for epoch in range(4)]
    assert [record["learning_rate"] for record in numbers(published)] == pytest.approx(expected)
    assert published.preprocessing["target_sum"] == 1e4
    assert published.training["recipe"]["batch_size"] == 140


@pytest.mark.parametrize("recipe", ["default", "published"])
@pytest.mark.parametrize("per_label", [(9,), (1,), (30, 1), (1, 1, 1), (20, 2)])
def test_few_cells_and_few_labels(tmp_path: Path, per_label: tuple[int, ...], recipe: str) -> None:
    config = replace(QUICK, epochs=2, recipe=recipe)
    bundle = train(reference(per_label), tmp_path / "m", config, model_config=MODEL)
    assert len(bundle.labels) == len(per_label)
    fold = bundle.training["folds"][0]
    assert fold["training"] + fold["validation"] == sum(per_label)
    if not fold["validation"]:
        assert bundle.training["accuracy"] is None


def test_cells_and_labels_that_cannot_train_are_left_out(tmp_path: Path) -> None:
    whole = reference()
    values = whole.cells.values.toarray()
    values[whole.codes == 2] = 0
    values[:3] = 0
    cells = replace(whole.cells, values=sp.csr_matrix(values))
    emptied = replace(whole, cells=cells)
    bundle = train(emptied, tmp_path / "m", QUICK, model_config=MODEL)
    assert bundle.labels.names == ("type 0", "type 1")
    assert bundle.labels.colors == whole.labels.colors[:2]
    left = int(((values.sum(1) > 0) & (whole.codes < 2)).sum())
    assert sum(bundle.training["label_counts"].values()) == left
    assert f"{90 - left} cells without counts left out" in bundle.training["notes"]
    assert "1 labels without cells left out" in bundle.training["notes"]


def test_only_shared_genes_are_used_and_once(tmp_path: Path) -> None:
    whole = reference()
    doubled = np.concatenate((np.arange(24), [0]))
    cells = Cells(
        sp.csr_matrix(whole.cells.values[:, doubled]), whole.cells.panel.take(doubled),
        whole.cells.ids,
    )  # fmt: skip
    panel = GenePanel((*(f"g{i}" for i in range(23, -1, -1)), "Other"))
    bundle = train(
        replace(whole, cells=cells), tmp_path / "m", QUICK, model_config=MODEL, panel=panel
    )
    assert bundle.panel.symbols == tuple(f"G{i}" for i in range(24))
    assert "24 of the reference's 25 genes used" in bundle.training["notes"]
    assert bundle.preprocessing["target_sum"] == np.median(whole.cells.totals)


def test_normalised_references_tell_their_scale(tmp_path: Path) -> None:
    whole = reference()
    counts = whole.cells.values.toarray()
    values = np.log1p(counts / counts.sum(1, keepdims=True) * 500)
    cells = replace(whole.cells, values=sp.csr_matrix(values.astype(np.float32)), normalised=True)
    bundle = train(replace(whole, cells=cells), tmp_path / "m", QUICK, model_config=MODEL)
    assert bundle.preprocessing["target_sum"] == pytest.approx(500, rel=1e-4)
    model = load_model(bundle, torch.device("cpu"))
    as_counts, as_values = model.tokenise(whole.cells), model.tokenise(cells)
    np.testing.assert_array_equal(as_counts.columns, as_values.columns)
    assert np.mean(as_counts.tokens == as_values.tokens) > 0.999


def test_rounded_values_size_the_token_table(tmp_path: Path) -> None:
    model = replace(MODEL, encoding="round", max_bin=200, resolution=3.0)
    bundle = train(reference(), tmp_path / "m", QUICK, model_config=model)
    assert 3 < bundle.config["max_bin"] < 20
    assert bundle.state()["tokens.weight"].shape[0] == bundle.config["max_bin"] + 1


def test_rounded_values_beside_bins_are_sized_too(tmp_path: Path) -> None:
    model = replace(MODEL, encoding="both", resolution=3.0)
    bundle = train(reference(), tmp_path / "m", QUICK, model_config=model)
    assert 3 < bundle.config["max_value"] < 20
    assert bundle.config["max_bin"] == MODEL.max_bin
    assert bundle.state()["values.weight"].shape[0] == bundle.config["max_value"] + 1


def test_what_is_refused_leaves_everything_as_it_was(tmp_path: Path) -> None:
    out = tmp_path / "m"
    with pytest.raises(ArgumentError, match="no unfinished training"):
        train(reference(), out, QUICK, model_config=MODEL, resume=True)
    first = train(reference(), out, QUICK, model_config=MODEL)
    with pytest.raises(OutputError, match="exists"):
        train(reference(), out, QUICK, model_config=MODEL)
    assert load_bundle(out) == first
    with pytest.raises(InputError, match="share none"):
        train(reference(), tmp_path / "n", QUICK, panel=GenePanel(("Actb",)))
    empty = reference()
    empty = replace(
        empty, cells=replace(empty.cells, values=sp.csr_matrix((90, 24), dtype=np.float32))
    )
    with pytest.raises(InputError, match="both a label and counts"):
        train(empty, tmp_path / "n", QUICK)
    broken = tmp_path / "broken"
    with pytest.raises(JobCancelled):
        train(reference(), broken, QUICK, model_config=MODEL, context=CancelAt(1))
    with pytest.raises(ArgumentError, match="other cells or settings"):
        train(reference(), broken, replace(QUICK, seed=6), model_config=MODEL, resume=True)
    checkpoint_path(broken).write_bytes(b"PK\x03\x04 not a checkpoint")
    with pytest.raises(InputError, match="cannot be read"):
        train(reference(), broken, QUICK, model_config=MODEL, resume=True)
    assert not (tmp_path / "n").exists()


def test_settings_are_checked() -> None:
    for wrong in (
        {"recipe": "mine"}, {"epochs": 0}, {"patience": 0}, {"validation": 0.0},
        {"validation": 1.0}, {"batch_size": 0}, {"learning_rate": 0.0}, {"seed": -1},
    ):  # fmt: skip
        with pytest.raises(ArgumentError, match=next(iter(wrong))):
            TrainConfig(**wrong)
