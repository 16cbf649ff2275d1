"""Models on disk, and what is said of broken ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.errors import BundleError, OutputError
from tagscope.models.base import Capability
from tagscope.models.bundle import FORMAT_VERSION, Bundle, _digest, load_bundle, save_bundle
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.cellmemory.network import CellMemoryNetwork
from tagscope.models.registry import load_model

CONFIG = CellMemoryConfig(width=8, ffn=8, layers=2, heads=2, slots=2, max_bin=5)


def save(path: Path, **changes: object) -> Bundle:
    torch.manual_seed(1)
    parts = {
        "model": "cellmemory",
        "config": CONFIG.to_dict(),
        "panel": GenePanel(("Gad1", "Slc17a7"), ("ENSMUSG1", "")),
        "labels": LabelSet(("Excitatory", "Inhibitory")),
        "preprocessing": {"target_sum": 200.0, "transform": "log1p"},
        "capabilities": frozenset(Capability),
        "training": {"accuracy": 0.5, "note": "naïve"},
        "state": CellMemoryNetwork(CONFIG, 2, 2).state_dict(),
    }
    return save_bundle(path, **(parts | changes))


def test_there_and_back(tmp_path: Path) -> None:
    saved = save(tmp_path / "model")
    bundle = load_bundle(str(tmp_path / "model"))
    assert bundle == saved
    assert bundle.panel.ensembl == ("ENSMUSG1", "")
    assert bundle.labels.names == ("Excitatory", "Inhibitory")
    assert bundle.training["note"] == "naïve"
    assert bundle.capabilities == frozenset(Capability)
    names = {file.name for file in (tmp_path / "model").iterdir()}
    assert names == {"bundle.json", "card.md", "weights.safetensors", "panel.json", "labels.json"}
    model = load_model(bundle, torch.device("cpu"))
    torch.manual_seed(1)
    expected = CellMemoryNetwork(CONFIG, 2, 2).state_dict()
    found = model.network.state_dict()
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert model.vocabulary == bundle.panel
    assert model.labels == bundle.labels
    assert model.preprocessing.target_sum == 200.0


@pytest.mark.parametrize(
    "name", ["bundle.json", "weights.safetensors", "panel.json", "labels.json"]
)
def test_a_changed_byte_anywhere_is_noticed(tmp_path: Path, name: str) -> None:
    save(tmp_path / "model")
    file = tmp_path / "model" / name
    content = file.read_bytes()
    for at in np.linspace(0, len(content) - 1, 25).astype(int):
        changed = bytearray(content)
        changed[at] ^= 1
        file.write_bytes(changed)
        if name == "bundle.json" and _same_json(content, bytes(changed)):
            continue  # white space says nothing
        with pytest.raises(BundleError) as caught:
            load_bundle(tmp_path / "model")
        assert name in caught.value.found or "format version" in caught.value.found
        assert caught.value.needed
        assert caught.value.fix
    file.write_bytes(content)
    load_bundle(tmp_path / "model")


def _same_json(one: bytes, other: bytes) -> bool:
    try:
        return json.loads(one) == json.loads(other)
    except ValueError:
        return False


@pytest.mark.parametrize(
    "name", ["bundle.json", "weights.safetensors", "panel.json", "labels.json"]
)
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    save(tmp_path / "model")
    (tmp_path / "model" / name).unlink()
    with pytest.raises(BundleError, match=name):
        load_bundle(tmp_path / "model")


def test_what_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="There is no model at"):
        load_bundle(tmp_path / "nothing")
    (tmp_path / "file").write_text("x")
    with pytest.raises(BundleError, match="is a file"):
        load_bundle(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BundleError, match=r"has no bundle\.json"):
        load_bundle(tmp_path / "empty")
    (tmp_path / "empty" / "bundle.json").write_text("[1]")
    with pytest.raises(BundleError, match="no JSON object"):
        load_bundle(tmp_path / "empty")


def test_a_newer_format_is_refused_with_its_reason(tmp_path: Path) -> None:
    save(tmp_path / "model")
    file = tmp_path / "model" / "bundle.json"
    manifest = json.loads(file.read_text())
    manifest["format_version"] = FORMAT_VERSION + 1
    manifest["digest"] = _digest(manifest)
    file.write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="Update TAGscope"):
        load_bundle(tmp_path / "model")


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    first = save(tmp_path / "model")
    with pytest.raises(OutputError):
        save(tmp_path / "model", training={"accuracy": 0.9})
    assert load_bundle(tmp_path / "model") == first
    save(tmp_path / "model", training={"accuracy": 0.9}, overwrite=True)
    assert load_bundle(tmp_path / "model").training == {"accuracy": 0.9}


def test_models_that_cannot_run_here(tmp_path: Path) -> None:
    other = save(tmp_path / "other", model="oracle")
    with pytest.raises(BundleError, match="oracle"):
        load_model(other, torch.device("cpu"))
    wider = save(tmp_path / "wider", config=CONFIG.to_dict() | {"width": 16})
    with pytest.raises(BundleError, match="do not fit"):
        load_model(wider, torch.device("cpu"))
    future = save(tmp_path / "future", config=CONFIG.to_dict() | {"wings": 2})
    with pytest.raises(BundleError, match="no setting wings"):
        load_model(future, torch.device("cpu"))
