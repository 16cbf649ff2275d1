"""A model on disk: a folder of json and safetensors, hashed and versioned. No pickle.

``bundle.json`` holds what the model is, how it was trained, and the sha256 of the other files:
``weights.safetensors``, ``panel.json``, ``labels.json``. ``card.md`` says it to people.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from tagscope.core.hierarchy import LabelTree
from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.errors import ArgumentError, BundleError
from tagscope.io.atomic import written_whole
from tagscope.models.base import Capability
from tagscope.models.card import model_card, reference_of

FORMAT_VERSION = 2
MANIFEST, WEIGHTS, PANEL, LABELS = (
    "bundle.json", "weights.safetensors", "panel.json", "labels.json",
)  # fmt: skip
CARD = "card.md"
_RETRAIN = "Train or copy the model again."


@dataclass(frozen=True)
class Bundle:
    """A verified model on disk; the weights are read by :meth:`state`.

    ``config`` belongs to ``model``; ``preprocessing`` says how counts become its values;
    ``training`` is provenance and validation: accuracy, macro_f1, confusion, history;
    ``calibration`` what confidences are divided by (temperature) and what that did; ``tree`` the
    coarser levels of the labels, where it was trained on several.
    """

    path: Path
    model: str
    config: dict[str, Any]
    panel: GenePanel
    labels: LabelSet
    preprocessing: dict[str, Any]
    capabilities: frozenset[Capability]
    training: dict[str, Any]
    digest: str = ""
    calibration: dict[str, Any] = field(default_factory=dict)
    tree: LabelTree | None = None

    @property
    def reference(self) -> str:
        """The file it was trained on and the column of labels, "" where its record does not
        tell."""
        return reference_of(self.training)

    def require(self, model: str, needed: str, fix: str) -> None:
        """Refuse to be taken for another model, saying what is ``needed`` and the ``fix``.

        Raises
        ------
        ArgumentError
            If it holds another than ``model``.
        """
        if self.model != model:
            raise ArgumentError(
                f"{self.path} is a model of kind {self.model!r}.", needed, fix, {"bundle": None}
            )

    def state(self) -> dict[str, Tensor]:
        """The weights, on the CPU.

        Raises
        ------
        BundleError
            If the file cannot be read as safetensors.
        """
        try:
            weights: dict[str, Tensor] = load_file(self.path / WEIGHTS)
        except (SafetensorError, OSError) as error:
            raise BundleError(
                f"{self.path / WEIGHTS} cannot be read ({error}).",
                "A safetensors file is needed.",
                _RETRAIN,
            ) from error
        return weights

    def describe(self) -> dict[str, Any]:
        """What the bundle holds, JSON-ready, its loss curve and confusion matrix left out."""
        record = {k: v for k, v in self.training.items() if k not in ("history", "confusion")}
        return {
            "kind": "bundle",
            "path": str(self.path),
            "model": self.model,
            "genes": len(self.panel),
            "labels": list(self.labels.names),
            "levels": [] if self.tree is None else list(self.tree.columns),
            "capabilities": sorted(self.capabilities),
            "config": self.config,
            "preprocessing": self.preprocessing,
            "calibration": self.calibration,
            "training": record,
        }

    def to_text(self) -> str:
        """The model card in a few words: what it knows, and how it did on validation cells."""
        known = f"{self.model}: {len(self.labels)} labels, {len(self.panel)} genes"
        accuracy, macro_f1 = self.training.get("accuracy"), self.training.get("macro_f1")
        if "converted" in self.training:
            return f"{known}; {self._origin(accuracy)}"
        if self.training.get("validation_loss") is not None:
            return f"{self.model}: {len(self.panel)} genes; {self._pretraining()}"
        if accuracy is None or macro_f1 is None:
            return f"{known}; not validated"
        cells = self.training.get("cells", {}).get("validation", "unknown")
        text = (
            f"{known}; on {cells} cells held out accuracy {accuracy:.3f}, macro-F1 {macro_f1:.3f}"
        )
        baseline = self.training.get("baseline") or {}
        if baseline.get("accuracy") is not None:
            text += (
                f" ({baseline['method']} {baseline['accuracy']:.3f}, {baseline['macro_f1']:.3f})"
            )
        return text

    def _pretraining(self) -> str:
        """How a model without labels did on cells that it never learned from."""
        cells, loss = self.training["cells"], self.training["validation_loss"]
        return (
            f"pretrained on {cells['training']:,} cells ({', '.join(self.training['stages'])}); "
            f"held-out loss {loss:.3f} on {cells['validation']:,}"
        )

    def _origin(self, accuracy: float | None) -> str:
        """Where converted weights come from, what their file says of them, and how they are run."""
        said = [f"epoch {self.training['best_epoch']}"] if self.training.get("best_epoch") else []
        said += [] if accuracy is None else [f"accuracy {accuracy:.3f} on its own validation cells"]
        said += [
            f"{name} {self.config[name]}"
            for name in ("mode", "encoding", "layers")
            if name in self.config
        ]
        return f"converted from {self.training['converted']['from']} ({', '.join(said)})"


def save_bundle(
    path: Path,
    *,
    model: str,
    config: dict[str, Any],
    panel: GenePanel,
    labels: LabelSet,
    preprocessing: dict[str, Any],
    capabilities: frozenset[Capability],
    training: dict[str, Any],
    state: Mapping[str, Tensor],
    calibration: dict[str, Any] | None = None,
    tree: LabelTree | None = None,
    overwrite: bool = False,
) -> Bundle:
    """Write a bundle; it appears whole or not at all.

    Raises
    ------
    OutputError
        If ``path`` exists and ``overwrite`` is not set, or cannot be written.
    """
    with written_whole(Path(path), overwrite=overwrite) as folder:
        folder.mkdir()
        contiguous = {name: value.detach().cpu().contiguous() for name, value in state.items()}
        save_file(contiguous, folder / WEIGHTS)
        _write_json(folder / PANEL, panel.to_dict())
        levels = {} if tree is None else {"tree": tree.to_dict()}
        _write_json(folder / LABELS, {**labels.to_dict(), **levels})
        manifest = {
            "format_version": FORMAT_VERSION,
            "model": model,
            "config": config,
            "preprocessing": preprocessing,
            "capabilities": sorted(capabilities),
            "training": training,
            "calibration": calibration or {},
            "sha256": {name: _sha256(folder / name) for name in (WEIGHTS, PANEL, LABELS)},
        }
        manifest["digest"] = _digest(manifest)
        _write_json(folder / MANIFEST, manifest)
        card = model_card(model, panel, labels, training, calibration or {})
        (folder / CARD).write_text(card, encoding="utf-8")
    return load_bundle(path)


def load_bundle(path: Path | str) -> Bundle:
    """Read and verify a bundle: every file is there, unchanged, and of a version known here.

    Raises
    ------
    BundleError
        If any of that does not hold.
    """
    path = Path(path)
    manifest = _read_manifest(path)
    version = manifest.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise BundleError(
            f"The model {path} has format version {version}.",
            f"This TAGscope reads versions up to {FORMAT_VERSION}.",
            "Update TAGscope.",
        )
    if manifest.get("digest") != _digest(manifest):
        raise _changed(path / MANIFEST)
    hashes = manifest["sha256"]
    for name in (WEIGHTS, PANEL, LABELS):
        if not (path / name).is_file():
            raise BundleError(
                f"The model {path} lacks {name}.", f"Its {MANIFEST} lists it.", _RETRAIN
            )
        if _sha256(path / name) != hashes.get(name):
            raise _changed(path / name)
    named = json.loads((path / LABELS).read_text("utf-8"))
    return Bundle(
        path=path,
        model=manifest["model"],
        config=manifest["config"],
        panel=GenePanel.from_dict(json.loads((path / PANEL).read_text("utf-8"))),
        labels=LabelSet.from_dict(named),
        tree=LabelTree.from_dict(named["tree"]) if "tree" in named else None,
        preprocessing=manifest["preprocessing"],
        capabilities=frozenset(Capability(name) for name in manifest["capabilities"]),
        training=manifest["training"],
        calibration=manifest.get("calibration", {}),
        digest=manifest["digest"],
    )


def is_bundle(path: Path | str) -> bool:
    """Whether a path looks like a bundle, without verifying it."""
    return (Path(path) / MANIFEST).is_file()


def _read_manifest(path: Path) -> dict[str, Any]:
    needed = f"A model is a folder with {MANIFEST} and {WEIGHTS}, as training writes it."
    if not path.exists():
        raise BundleError(f"There is no model at {path}.", needed, "Check the path.")
    if not path.is_dir():
        raise BundleError(f"{path} is a file.", needed, "Name the folder.")
    if not is_bundle(path):
        raise BundleError(f"The folder {path} has no {MANIFEST}.", needed, "Check the path.")
    try:
        manifest = json.loads((path / MANIFEST).read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise BundleError(
            f"{path / MANIFEST} cannot be read ({error}).", "A JSON file is needed.", _RETRAIN
        ) from error
    if not isinstance(manifest, dict):
        raise BundleError(f"{path / MANIFEST} holds no JSON object.", needed, _RETRAIN)
    return manifest


def _changed(file: Path) -> BundleError:
    return BundleError(
        f"{file} was changed after the model was saved.",
        f"Its content must be what {MANIFEST} recorded.",
        _RETRAIN,
    )


def _write_json(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False), encoding="utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(manifest: dict[str, Any]) -> str:
    """sha256 of everything the manifest says but itself."""
    said = {key: value for key, value in manifest.items() if key != "digest"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
