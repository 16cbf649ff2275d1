"""Project folders of the original CellMemory: what is read from them, and what is refused."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import tagscope as ts
from tagscope.errors import ArgumentError, InputError, OutputError, TagscopeError
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.cellmemory.convert import to_published
from tagscope.models.cellmemory.network import CellMemoryNetwork
from tagscope.models.registry import load_model

GENES = ("Gad1", "Slc17a7", "Mbp", "Aqp4", "Cx3cr1")
LABELS = ("Astro, reactive", 'Micro "M1"', "Oligo")
SIZES = {"width": 16, "ffn": 24, "layers": 3, "heads": 2, "slots": 3, "max_bin": 8}
FAST = CellMemoryConfig(**SIZES)
FULL = CellMemoryConfig(mode="full", **SIZES)


def weights(config: CellMemoryConfig = FAST) -> dict[str, Tensor]:
    torch.manual_seed(1)
    state = CellMemoryNetwork(config, len(GENES), len(LABELS)).state_dict()
    return to_published(state, config)


def project(folder: Path, net: Any = None, **stored: Any) -> Path:
    """A project as the original's ``train`` leaves it; pandas quotes names with commas."""
    folder.mkdir(exist_ok=True)
    content = {"net": weights() if net is None else net, "acc": 0.75, "epoch": 4, **stored}
    torch.save(content, folder / "toy_ckpt.pth")
    (folder / "toy_ref_gene.txt").write_text("\n".join(GENES) + "\n")
    (folder / "toy_idx2celltype.txt").write_text('"Astro, reactive"\n"Micro ""M1"""\nOligo\n')
    (folder / "MaxBin.txt").write_text("8")
    return folder


def converted(folder: Path, **config: Any) -> ts.Bundle:
    out = folder.with_name("bundle")
    return ts.convert(folder, out=out, config=ts.ConvertConfig(layers=3, **config))


def refused(folder: Path, *said: str, error: type[TagscopeError] = InputError, **config: Any):
    """The message names what is wrong, in three sentences, and nothing is left behind."""
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(error) as caught:
        converted(folder, **config)
    assert all((caught.value.found, caught.value.needed, caught.value.fix))
    assert "weights_only" not in str(caught.value)
    for words in said:
        assert words in str(caught.value)
    assert sorted(folder.parent.rglob("*")) == before


@pytest.mark.parametrize("config", [FAST, FULL])
def test_everything_is_read(tmp_path: Path, config: CellMemoryConfig) -> None:
    bundle = converted(project(tmp_path / "toy", weights(config)), target_sum=500.0)
    published = {"compat": "published", "dropout": 0.1}
    assert CellMemoryConfig.from_dict(bundle.config | {"compat": "none"}) == config
    assert bundle.config.items() >= published.items()
    assert bundle.panel.symbols == GENES
    assert bundle.labels.names == LABELS
    assert bundle.preprocessing["target_sum"] == 500.0
    assert bundle.training["best_epoch"] == 5
    assert bundle.training["converted"]["epoch"] == 4
    assert "toy_ckpt.pth (epoch 5, accuracy 0.750" in bundle.to_text()
    assert f"mode {config.mode}, encoding bins, layers 3" in bundle.to_text()
    network = load_model(bundle, torch.device("cpu")).network
    torch.manual_seed(1)
    expected = CellMemoryNetwork(config, len(GENES), len(LABELS)).state_dict()
    assert all(torch.equal(network.state_dict()[key], expected[key]) for key in expected)


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16])
def test_numpy_scalars_and_data_parallel_are_read(tmp_path: Path, kind: Callable) -> None:
    parallel = {f"module.{key}": value for key, value in weights().items()}
    bundle = converted(project(tmp_path / "toy", parallel, acc=kind(0.5), epoch=np.int64(2)))
    assert bundle.training["accuracy"] == 0.5
    assert bundle.training["best_epoch"] == 3


def test_scalars_of_numpy_1_are_read(tmp_path: Path) -> None:
    """Older files name numpy's function as numpy 1 did."""
    folder = project(tmp_path / "toy", acc=np.float64(0.5))
    file = folder / "toy_ckpt.pth"
    torch.save(torch.load(file, weights_only=False), file, _use_new_zipfile_serialization=False)
    old = file.read_bytes().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    assert b"cnumpy.core.multiarray\n" in old
    file.write_bytes(old)
    assert converted(folder).training["accuracy"] == 0.5


def test_what_is_not_a_number_is_not_told(tmp_path: Path) -> None:
    bundle = converted(project(tmp_path / "toy", acc=float("nan"), epoch="last"))
    assert bundle.training["accuracy"] is None
    assert bundle.to_text().endswith(
        "converted from toy_ckpt.pth (mode expressed, encoding bins, layers 3)"
    )


def test_rounded_values_are_capped_where_training_capped_them(tmp_path: Path) -> None:
    folder = project(tmp_path / "toy")
    (folder / "MaxBin.txt").write_text("5")
    bundle = converted(folder)
    assert (bundle.config["encoding"], bundle.config["max_bin"]) == ("round", 5)
    assert load_model(bundle, torch.device("cpu")).network.tokens.weight.shape == (6, 16)
    refused(folder, "MaxBin.txt says 5", "round", error=ArgumentError, encoding="bins")
    (folder / "MaxBin.txt").write_text("9")
    refused(folder, "MaxBin.txt says 9", "up to 8")


def test_ensembl_ids_are_known_as_such(tmp_path: Path) -> None:
    folder = project(tmp_path / "toy")
    ids = [f"ENSMUSG0000000000{i}" for i in range(len(GENES))]
    (folder / "toy_ref_gene.txt").write_text("\n".join(ids))
    assert converted(folder).panel.ensembl == tuple(ids)


def test_the_checkpoint_itself_may_be_named(tmp_path: Path) -> None:
    folder = project(tmp_path / "toy")
    bundle = ts.convert(folder / "toy_ckpt.pth", out=tmp_path / "bundle")
    assert bundle.labels.names == LABELS
    with pytest.raises(OutputError, match="exists already"):
        ts.convert(folder, out=tmp_path / "bundle")
    ts.convert(folder, out=tmp_path / "bundle", overwrite=True)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "There is no project at")
    folder = project(tmp_path / "toy")
    (folder / "MaxBin.txt").unlink()
    (folder / "toy_ref_gene.txt").unlink()
    refused(folder, "lacks toy_ref_gene.txt, MaxBin.txt")
    refused(folder / "toy_idx2celltype.txt", "is no PROJECT_ckpt.pth")
    (folder / "toy_ckpt.pth").unlink()
    refused(folder, "has none")


def test_several_projects_in_one_folder(tmp_path: Path) -> None:
    folder = project(tmp_path / "toy")
    (folder / "other_ckpt.pth").write_bytes((folder / "toy_ckpt.pth").read_bytes())
    refused(folder, "other_ckpt.pth, toy_ckpt.pth")
    refused(folder / "toy_ckpt.pth", "several projects")


class Malicious:
    """Runs a program when it is unpickled the ordinary way."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_no_program_in_a_checkpoint_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    folder = project(tmp_path / "toy", extra=Malicious(mark))
    refused(folder, "more than weights", "posix.mkdir")
    (folder / "toy_ckpt.pth").write_bytes(pickle.dumps(Malicious(mark)))
    refused(folder, "toy_ckpt.pth")
    assert not mark.exists()


@pytest.mark.parametrize("kept", [0, 1, 100, 5000, -1])
def test_checkpoints_cut_short(tmp_path: Path, kept: int) -> None:
    folder = project(tmp_path / "toy")
    file = folder / "toy_ckpt.pth"
    file.write_bytes(file.read_bytes()[:kept])
    refused(folder, "toy_ckpt.pth", "Copy it again")


def test_checkpoints_of_something_else(tmp_path: Path) -> None:
    folder = project(tmp_path / "toy")
    for content in (weights(), [1.0], {"net": {}}, {"net": weights()["cls_token"]}):
        torch.save(content, folder / "toy_ckpt.pth")
        refused(folder, "holds no weights under 'net'")


def without(key: str) -> dict[str, Tensor]:
    return {name: value for name, value in weights().items() if name != key}


QUERY = "transformer.enc.self_attn.relational_memory.query_proj.weight"
TOKENS, GENE_IDS = "embedding.token_embedding.weight", "embedding.gene_ids_embedding.weight"
WRONG_WEIGHTS: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "a tensor is missing": (lambda: without("mlp_head.bias"), "mlp_head.bias is missing"),
    "a size is missing": (lambda: without(QUERY), "query_proj.weight is missing"),
    "no gene table": (lambda: without(GENE_IDS), "neither"),
    "both gene tables": (
        lambda: weights() | {"embedding.position_embedding.weight": torch.zeros(6, 16)}, "both",
    ),
    "unknown": (lambda: weights() | {"lora.weight": torch.zeros(1)}, "lora.weight is unknown"),
    "other shape": (
        lambda: weights() | {"transformer.enc.fc2.bias": torch.zeros(3)},
        "fc2.bias is (3,) and not (16,)",
    ),
    "flat": (lambda: weights() | {"cls_token": torch.zeros(16)}, "cls_token has 1 dimensions"),
    "heads": (lambda: weights() | {QUERY: torch.zeros(40, 16)}, "40 query rows"),
    "width": (lambda: weights() | {QUERY: torch.zeros(96, 16)}, "width of 16"),
    "tokens": (lambda: weights() | {TOKENS: torch.zeros(2, 16)}, "max_bin would be 1"),
    "not finite": (
        lambda: weights() | {"mlp_head.bias": torch.full((3,), torch.nan)}, "mlp_head.bias",
    ),
    "whole numbers": (lambda: weights() | {"cls_token": torch.ones(1, 1, 16).int()}, "cls_token"),
    "not tensors": (lambda: weights() | {"cls_token": 1.0}, "cls_token"),
    "half a prefix": (lambda: weights() | {"module.cls_token": torch.zeros(1)}, "is unknown"),
    "padding": (lambda: weights() | {TOKENS: torch.ones(9, 16)}, "for padding is not zero"),
    "positions": (
        lambda: weights(FULL) | {"transformer.pe.pe": torch.zeros(1, 6, 16)}, "sinusoid",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_WEIGHTS)
def test_weights_that_do_not_fit(tmp_path: Path, case: str) -> None:
    net, said = WRONG_WEIGHTS[case]
    refused(project(tmp_path / "toy", net()), said)


def test_lists_that_do_not_fit(tmp_path: Path) -> None:
    folder = project(tmp_path / "toy")
    genes, labels = folder / "toy_ref_gene.txt", folder / "toy_idx2celltype.txt"
    for file, content, said in (
        (genes, "\n".join(GENES[:4]), "4 genes, the weights 5"),
        (genes, "\n".join(map(str, range(5))), "are numbers"),
        (genes, "\n".join([*GENES[:4], "Gad1"]), "cannot be used: Gad1"),
        (labels, "a\nb\n", "2 cell types, the weights 3"),
        (labels, "a\nb\na\n", "cannot be used: a"),
        (labels, "a\nb\nUnassigned\n", "cannot be used: Unassigned"),
    ):  # fmt: skip
        before = file.read_text()
        file.write_text(content)
        refused(folder, said)
        file.write_text(before)
    labels.write_bytes(b"\xff\xfe\x00a")
    refused(folder, "toy_idx2celltype.txt cannot be read")


@pytest.mark.parametrize("content", ["", "fifty", "nan", "inf", "8.5", "0", "-8"])
def test_odd_max_bins(tmp_path: Path, content: str) -> None:
    folder = project(tmp_path / "toy")
    (folder / "MaxBin.txt").write_text(content)
    refused(folder, "MaxBin.txt cannot be used")


def test_what_was_asked_for_must_agree(tmp_path: Path) -> None:
    folder = project(tmp_path / "toy")
    refused(folder, "name 'expressed'", error=ArgumentError, mode="full")
    for wrong in ({"layers": 0}, {"pad_to": -1}, {"mode": "fast"}, {"target_sum": 0.0}):
        with pytest.raises(ArgumentError, match=str(next(iter(wrong.values())))):
            ts.ConvertConfig(**wrong)
    with pytest.raises(ArgumentError, match="'scbert'"):
        ts.convert(folder, "scbert", out=tmp_path / "bundle")
