"""A model card: what a bundle knows, how well it did, and what it adds, for people to read."""

from __future__ import annotations

from typing import Any

import numpy as np

from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel

_MOST_CONFUSIONS = 8
_MOST_GENES = 12


def model_card(
    model: str,
    panel: GenePanel,
    labels: LabelSet,
    training: dict[str, Any],
    calibration: dict[str, Any],
) -> str:
    """The card as markdown; what the training record does not hold is left out."""
    parts = [
        f"# {model}: {f'{len(labels)} labels, ' if len(labels) else ''}{len(panel)} genes",
        _scores(training),
        _hidden_genes(training),
        _calibration(calibration),
        _labels(labels, training),
        _confusions(labels, training),
        f"## Genes\n\n{', '.join(panel.symbols[:_MOST_GENES])}"
        + (f" and {len(panel) - _MOST_GENES} more" if len(panel) > _MOST_GENES else ""),
        _origin(training),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def reference_of(training: dict[str, Any]) -> str:
    """The file trained on and its column of labels, "" where a record does not tell."""
    inputs = (training.get("provenance") or {}).get("inputs") or {}
    if "reference" not in inputs:
        return ""
    chosen = [f"{name} {inputs[name]}" for name in ("table", "layer", "where") if name in inputs]
    return ", ".join([inputs["reference"], f"labels in {inputs['label']}", *chosen])


def _scores(training: dict[str, Any]) -> str:
    if training.get("accuracy") is None or training.get("macro_f1") is None:
        return ""
    rows = ["| on cells held out | accuracy | macro-F1 |", "|---|---|---|"]
    networks = len(training.get("folds", [])) or 1
    name = "this model" if networks == 1 else "its networks, each on cells that it had not seen"
    rows.append(f"| {name} | {_number(training['accuracy'])} | {_number(training['macro_f1'])} |")
    if baseline := training.get("baseline"):
        scores = f"{_number(baseline['accuracy'])} | {_number(baseline['macro_f1'])}"
        rows.append(f"| {baseline['method']} | {scores} |")
    cells = training.get("cells", {})
    text = f"{cells.get('validation', '?')} of {cells.get('reference', '?')} cells were held out."
    if networks > 1:
        text += f" {networks} networks are averaged, which does better than one on new cells."
    return "## How well it does\n\n" + "\n".join(rows) + f"\n\n{text}"


def _hidden_genes(training: dict[str, Any]) -> str:
    """How a model that was pretrained does."""
    if training.get("validation_loss") is None:
        return ""
    cells = training["cells"]
    return (
        "## How well it does\n\n"
        f"The soft ranks (0 to 5) of genes that are hidden are told with a mean Huber loss of "
        f"{_number(training['validation_loss'])} in {cells['validation']} cells that it never "
        f"learned from; it learned from {cells['training']}."
    )


def _calibration(calibration: dict[str, Any]) -> str:
    if calibration.get("error_after") is None:
        return ""
    return (
        "## Confidence\n\n"
        f"Temperature {_number(calibration['temperature'])} "
        f"(fitted {_number(calibration['fitted'])}). Expected calibration error of the held-out "
        f"cells {_number(calibration['error_before'])}, with the fitted temperature "
        f"{_number(calibration['error_after'])}. Cells of another technology are calibrated worse."
    )


def _labels(labels: LabelSet, training: dict[str, Any]) -> str:
    counts = training.get("label_counts")
    if not len(labels):
        return ""
    if not counts:
        return "## Labels\n\n" + ", ".join(labels.names)
    confusion = np.array(training.get("confusion", []))
    rows = ["| label | cells | held out | recall |", "|---|---|---|---|"]
    for index, name in enumerate(labels.names):
        held_out = int(confusion[index].sum()) if confusion.size else 0
        recall = _number(confusion[index, index] / held_out) if held_out else "–"
        rows.append(f"| {name} | {counts.get(name, 0):,} | {held_out:,} | {recall} |")
    return "## Labels\n\n" + "\n".join(rows)


def _confusions(labels: LabelSet, training: dict[str, Any]) -> str:
    """The commonest confusions."""
    wrong = np.array(training.get("confusion", []))
    if not wrong.size:
        return ""
    wrong = wrong - np.diag(np.diag(wrong))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_CONFUSIONS]
    pairs = [divmod(int(place), len(labels)) for place in order if wrong.flat[place]]
    lines = [f"- {labels.names[t]} taken for {labels.names[p]}: {wrong[t, p]}" for t, p in pairs]
    return "## Commonest confusions\n\n" + "\n".join(lines) if lines else ""


def _origin(training: dict[str, Any]) -> str:
    provenance = training.get("provenance")
    if not provenance:
        return ""
    recipe = training.get("recipe", {}).get("name")
    lines = [f"- recipe: {recipe}"] if recipe else []
    lines += [f"- reference: {reference}"] if (reference := reference_of(training)) else []
    lines += [f"- {note}" for note in training.get("notes", [])]
    lines += [f"- seed {provenance['seed']}, {provenance['seconds']} s on {provenance['device']}, "
              f"{provenance['finished']}"]  # fmt: skip
    versions = provenance.get("versions", {})
    lines.append("- " + ", ".join(f"{name} {version}" for name, version in versions.items()))
    return "## How it came to be\n\n" + "\n".join(lines)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
