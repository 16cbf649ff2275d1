"""How to train: what a user chooses, and what a recipe makes of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from tagscope.errors import ArgumentError
from tagscope.models.device import Precision

RecipeName = Literal["default", "published", "paper"]
Trained = Literal["cellmemory", "cellpatch", "omnicell"]
Balance = Literal["weights", "sampling", "none"]
Schedule = Literal["rise and fall", "200 epochs", "constant"]
Penalty = Literal["decay", "loss"]


@dataclass(frozen=True)
class TrainConfig:
    """How to train on a labelled reference. What is None is the recipe's own choice."""

    recipe: RecipeName = "default"
    """``default`` suits references of a few thousand cells; ``published`` is that of the original
    code, and of CellPatch there is ``paper``, which says otherwise."""

    epochs: int | None = None
    """Most passes over the training cells; by default as many as make enough updates."""

    folds: int | None = None
    """Networks to train, each with other cells held out; their answers are averaged. 5 is a
    five-fold cross-validation."""

    patience: int | None = None
    """Epochs without a lower validation loss after which training stops."""

    validation: float = 0.2
    """Share of the cells that a network does not train on, for validation."""

    balance: Balance | None = None
    """Rare labels weigh more in the loss, are drawn more often, or neither."""

    batch_size: int | None = None
    """Cells per update."""

    learning_rate: float | None = None
    """Largest learning rate."""

    seed: int = 0
    """Seed of the split, the first weights, the order of cells and dropout."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""

    precision: Precision = "auto"
    """Number format of matrix products; auto is fp32."""

    def __post_init__(self) -> None:
        if self.recipe not in get_args(RecipeName):
            _refuse("recipe", self.recipe, "default, published or paper")
        if self.balance not in (None, *get_args(Balance)):
            _refuse("balance", self.balance, "weights, sampling or none")
        for name in ("epochs", "folds", "patience", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                _refuse(name, value, "at least 1")
        if not 0.0 < self.validation < 1.0:
            _refuse("validation", self.validation, "above 0 and below 1")
        if self.learning_rate is not None and self.learning_rate <= 0:
            _refuse("learning_rate", self.learning_rate, "above 0")
        if self.seed < 0:
            _refuse("seed", self.seed, "0 or more")


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of the network of one ``fold`` (from 1).

    ``train_loss`` as optimised, the rest on the fold's validation cells. Without such cells
    ``validation_loss`` is the training loss, accuracy and macro-F1 are NaN.
    """

    epoch: int
    train_loss: float
    validation_loss: float
    accuracy: float
    macro_f1: float
    learning_rate: float
    fold: int = 1


@dataclass(frozen=True)
class Recipe:
    """Every number of the training loop."""

    name: RecipeName
    model: Trained
    folds: int
    """Networks, each with other cells held out."""
    epochs: int
    """Most passes over the training cells."""
    updates: int | None
    """Updates that set the number of epochs where none was asked for; None takes ``epochs``."""
    updates_per_label: int
    """So many for each label, where that is more: many labels take longer to tell apart."""
    patience: int
    """Epochs without a lower validation loss after which a network stops; 0 trains on."""
    batch_size: int
    learning_rate: float
    weight_decay: float
    warm_up: float
    """Share of all updates over which the learning rate rises from 0."""
    label_smoothing: float
    gene_dropout: float
    """Largest share of genes hidden from a cell (one batch in full mode)."""
    thinning: float
    """Smallest share of a cell's counts that training may leave it; 1 leaves cells as they are."""
    rare_power: float
    """Power of the inverse cell count by which a label gains weight; 0 counts cells alike."""
    balance: Balance
    """Whether that weight is one in the loss or the chance to be drawn."""
    components: bool
    """Whether gene embeddings start as principal components of reference and section."""
    clip_norm: float
    target_sum: float | None
    """Total counts are scaled to; None takes the reference's median."""
    schedule: Schedule = "rise and fall"
    """How the learning rate goes: a rise and half a cosine to nothing, CellMemory's half a cosine
    over 200 epochs, or one rate."""
    penalty: Penalty = "decay"
    """Weights of matrices decay (AdamW), or all weights count in the loss (Adam)."""

    @property
    def published(self) -> bool:
        """Whether split, schedule and validation loss are those of the published CellMemory."""
        return self.name == "published" and self.model == "cellmemory"

    def for_cells(self, cells: int, labels: int) -> Recipe:
        """With the number of epochs that makes enough updates on so many training cells."""
        if self.updates is None:
            return self
        per_epoch = max(1, math.ceil(cells / self.batch_size))
        wanted = math.ceil(max(self.updates, self.updates_per_label * labels) / per_epoch)
        epochs = min(max(wanted, _LEAST_EPOCHS), _MOST_EPOCHS)
        return replace(self, epochs=epochs)

    def rate(self, update: int, updates_per_epoch: int) -> float:
        """Learning rate of an update (from 0).

        Half a cosine over 200 epochs is constant within an epoch, and never falls below half.
        """
        if self.schedule == "constant":
            return self.learning_rate
        if self.schedule == "200 epochs":
            epoch = update // updates_per_epoch
            return self.learning_rate * (1 + math.cos(math.pi * epoch / 200)) / 2
        total = self.epochs * updates_per_epoch
        rising = max(1, round(self.warm_up * total))
        if update < rising:
            return self.learning_rate * (update + 1) / rising
        done = (update - rising) / max(1, total - rising)
        return self.learning_rate * (1 + math.cos(math.pi * done)) / 2


_LEAST_EPOCHS, _MOST_EPOCHS = 6, 80
_PUBLISHED: dict[str, Any] = {
    "folds": 1, "epochs": 100, "updates": None, "updates_per_label": 0, "patience": 5,
    "batch_size": 140,
    "learning_rate": 3e-4, "weight_decay": 0.0, "warm_up": 0.0, "label_smoothing": 0.0,
    "gene_dropout": 0.0, "thinning": 1.0, "rare_power": 0.0, "balance": "none",
    "components": False, "clip_norm": math.inf, "target_sum": 1e4, "schedule": "200 epochs",
}  # fmt: skip
_DEFAULT: dict[str, Any] = {
    "folds": 3, "epochs": _MOST_EPOCHS, "updates": 2000, "updates_per_label": 80, "patience": 0,
    "batch_size": 32,
    "learning_rate": 2e-3, "weight_decay": 0.02, "warm_up": 0.05, "label_smoothing": 0.05,
    "gene_dropout": 0.15, "thinning": 0.05, "rare_power": 0.3, "balance": "weights",
    "components": True, "clip_norm": 1.0, "target_sum": None,
}  # fmt: skip

# Heads read embeddings: there are no genes to hide or to start from. The paper states AdamW, its
# rate and 20 epochs; the weight decay is torch's own, batches are ours.
_HEAD: dict[str, Any] = {"gene_dropout": 0.0, "components": False, "target_sum": None}
_PUBLISHED_HEAD: dict[str, Any] = {
    **_PUBLISHED, **_HEAD, "epochs": 20, "patience": 0, "batch_size": 32,
    "learning_rate": 1e-4, "weight_decay": 0.01, "schedule": "constant",
}  # fmt: skip
_DEFAULT_HEAD: dict[str, Any] = {**_DEFAULT, **_HEAD}

# CellPatch's published script caps values and clips no gradients; the paper clips them.
_PUBLISHED_PATCH: dict[str, Any] = {
    **_PUBLISHED, "epochs": 100, "patience": 0, "batch_size": 256, "learning_rate": 1e-3,
    "weight_decay": 5e-4, "schedule": "constant", "penalty": "loss",
}  # fmt: skip
_PAPER_PATCH: dict[str, Any] = {**_PUBLISHED_PATCH, "epochs": 50, "clip_norm": 5.0}
_DEFAULT_PATCH: dict[str, Any] = {**_DEFAULT, "learning_rate": 1e-3}
_RECIPES: dict[tuple[Trained, RecipeName], dict[str, Any]] = {
    ("cellmemory", "default"): _DEFAULT, ("cellmemory", "published"): _PUBLISHED,
    ("cellpatch", "default"): _DEFAULT_PATCH, ("cellpatch", "published"): _PUBLISHED_PATCH,
    ("cellpatch", "paper"): _PAPER_PATCH,
    ("omnicell", "default"): _DEFAULT_HEAD, ("omnicell", "published"): _PUBLISHED_HEAD,
}  # fmt: skip


def recipe_of(config: TrainConfig, model: Trained = "cellmemory") -> Recipe:
    """The recipe a request names, with what the request says otherwise."""
    if (model, config.recipe) not in _RECIPES:
        raise ArgumentError(
            f"There is no recipe {config.recipe!r} of {model}.",
            "CellPatch alone has one of its paper beside that of its code.",
            "Choose published or default.",
            {"recipe": "published"},
        )
    numbers = dict(_RECIPES[model, config.recipe])
    for name in ("folds", "epochs", "patience", "batch_size", "learning_rate", "balance"):
        if getattr(config, name) is not None:
            numbers[name] = getattr(config, name)
    if config.epochs is not None:
        numbers["updates"] = None
    if config.balance is not None and not numbers["rare_power"]:
        numbers["rare_power"] = 0.5
    return Recipe(name=config.recipe, model=model, **numbers)


def _refuse(name: str, value: Any, needed: str) -> None:
    option = "--" + name.replace("_", "-")
    raise ArgumentError(
        f"Training cannot have {name} = {value!r}.", f"Needed: {needed}.", f"Change {option}."
    )
