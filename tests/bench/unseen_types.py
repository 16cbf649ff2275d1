"""How well scores of unusualness tell cells of types that a reference lacks.

    OMP_NUM_THREADS=1 python tests/bench/unseen_types.py --cache FOLDER [--seed 0]

For every task one network of the default recipe is trained without some types, and each score is
asked to rank the query cells of those types above all others. What a network says of the cells is
kept in ``--cache`` (one ``.npz`` a task), so that scores can be compared again without training.
Beside them stands the softmax maximum of a logistic regression on the same cells. Data:
``shared/data``, found through TAGSCOPE_SHARED; label maps are those of the data's README.
Writes markdown tables to stdout, progress to stderr.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import torch
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from annotation_tasks import standardised
from tagscope.core.labels import LabelSet
from tagscope.core.reliability import expected_calibration_error, reliability_curve
from tagscope.core.section import Cells, Reference
from tagscope.io.readers import read_reference
from tagscope.models.base import CellModel
from tagscope.models.calibration import fit_temperature, softmax
from tagscope.models.novelty import NoveltyModel, neighbour_distance, unit_rows
from tagscope.models.registry import load_model
from tagscope.training.fit import TrainConfig, train
from tagscope.training.prepare import prepare
from tagscope.training.recipe import recipe_of
from tagscope.training.splits import splits

SHARED = Path(os.environ.get("TAGSCOPE_SHARED", Path(__file__).resolve().parents[3] / "shared"))
DATA = SHARED / "data" / "annotation"
BATCH = 128
MID_LEVEL_MOP = {
    "L2/3 IT": "eL2/3", "L5 IT": "eL5", "L5 ET": "eL5", "NP": "eL5", "L6 IT": "eL6",
    "L6 CT": "eL6", "Pvalb": "PVALB", "Sst": "SST", "Vip": "VIP", "Macrophage": "Micro",
}  # fmt: skip
CLASS_MOP = {
    **dict.fromkeys(("L2/3 IT", "L5 IT", "L5 ET", "NP", "L6 IT", "L6 CT"), "Excitatory"),
    **dict.fromkeys(("Pvalb", "Sst", "Vip", "Lamp5"), "Inhibitory"), "Astro": "Astrocyte",
    **dict.fromkeys(("Oligo", "OPC"), "Oligodendrocyte"),
    "Endo": "Vascular", "Macrophage": "Immune",
}  # fmt: skip


@dataclass(frozen=True)
class Task:
    """A reference without some types, and a query that has them.

    ``truth`` (N,) names of the query's cells; ``section`` whether the reference is thinned to it.
    """

    name: str
    reference: Reference
    query: Cells
    truth: np.ndarray
    section: bool


@dataclass(frozen=True)
class Said:
    """What a network said of the cells of one task.

    ``embedding_*`` (N, D), ``logits_*`` (N, C) of training, validation and query cells, ``codes_*``
    (N,) of the first two; ``unseen`` and ``right`` (N,) bool of the query.
    """

    embedding_train: np.ndarray
    logits_train: np.ndarray
    codes_train: np.ndarray
    embedding_held: np.ndarray
    logits_held: np.ndarray
    codes_held: np.ndarray
    embedding_query: np.ndarray
    logits_query: np.ndarray
    unseen: np.ndarray
    right: np.ndarray


def _renamed(reference: Reference, names: Callable[[str], str]) -> Reference:
    given = np.array([names(name) for name in reference.labels.names])[reference.codes]
    labels = LabelSet.from_values(given)
    codes = pd.Index(labels.names).get_indexer(pd.Index(given)).astype(np.int64)
    return Reference(reference.cells, labels, codes)


def _without(reference: Reference, gone: np.ndarray) -> Reference:
    rows = np.flatnonzero(~gone)
    return Reference(reference.cells.take(rows), reference.labels, reference.codes[rows])


def _names(reference: Reference) -> np.ndarray:
    return np.array(reference.labels.names)[reference.codes]


def hypothalamus(gone: tuple[str, ...]) -> Task:
    path = DATA / "merfish_hypothalamus_3samples.h5ad"
    reference = read_reference(path, "cell_type", where='animal == "7"')
    query = read_reference(path, "cell_type", where='animal == "1"')
    kept = _without(reference, np.isin(_names(reference), gone))
    name = f"hypothalamus 7 → 1 without {', '.join(gone)}"
    return Task(name, kept, query.cells, _names(query), section=False)


def motor_cortex(gone: tuple[str, ...]) -> Task:
    path = DATA / "scrna_mop.h5ad"
    obs = ad.read_h5ad(path, backed="r").obs
    reference = read_reference(path, "cell_type")
    subclass = obs.loc[list(reference.cells.ids), "subclass"].astype(str).to_numpy()
    library = obs.loc[list(reference.cells.ids), "library"].astype(int).to_numpy()
    early = _without(reference, (library > 10) | np.isin(subclass, gone))
    late = _without(reference, library <= 10)
    name = f"MOp libraries 1–10 → 11–16 without {', '.join(gone)}"
    return Task(name, early, late.cells, _names(late), section=False)


def starmap() -> Task:
    mop = _renamed(
        read_reference(DATA / "scrna_mop.h5ad", "subclass"), lambda n: MID_LEVEL_MOP.get(n, n)
    )

    def mid_level(name: str) -> str:
        if name.startswith(("eL5", "L5-1")):
            return "eL5"
        return next((p for p in ("eL6", "Astro") if name.startswith(p + "-")), name)

    query = _renamed(read_reference(DATA / "starmap_by3_v1.h5ad", "cell_type"), mid_level)
    return Task("scRNA MOp → STARmap BY3, mid-level", mop, query.cells, _names(query), section=True)


def osmfish() -> Task:
    mop = _renamed(read_reference(DATA / "scrna_mop.h5ad", "subclass"), CLASS_MOP.__getitem__)
    query = read_reference(DATA / "osmfish.h5ad", "cell_class")
    return Task("scRNA MOp → osmFISH, class", mop, query.cells, _names(query), section=True)


TASKS: dict[str, Callable[[], Task]] = {
    "hypothalamus_a": lambda: hypothalamus(("Microglia", "Ependymal", "Pericytes")),
    "hypothalamus_b": lambda: hypothalamus(("Astrocyte", "Endothelial 3")),
    "hypothalamus_c": lambda: hypothalamus(("Excitatory", "OD Mature 2")),
    "mop_a": lambda: motor_cortex(("L5 ET", "Vip", "Macrophage")),
    "mop_b": lambda: motor_cortex(("NP", "Lamp5", "OPC")),
    "osmfish": osmfish,
    "starmap": starmap,
}


def ask(model: CellModel, cells: Cells) -> tuple[np.ndarray, np.ndarray]:
    """Embedding (N, D) and logits (N, C) of every cell."""
    tokens = model.tokenise(cells)
    order = np.argsort(-tokens.lengths, kind="stable")
    embedding: np.ndarray | None = None
    logits = np.empty((len(cells), len(model.labels)), np.float32)
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        said = model(tokens.batch(rows))
        if embedding is None:
            embedding = np.empty((len(cells), said.embedding.shape[1]), np.float32)
        embedding[rows] = said.embedding.numpy()
        logits[rows] = said.logits.numpy()
    return embedding, logits


def trained(task: Task, seed: int) -> Said:
    """Train on the task's reference and ask the network about all of its cells."""
    config = TrainConfig(folds=1, seed=seed, device="cpu")
    panel, section = (task.query.panel, task.query) if task.section else (None, None)
    with tempfile.TemporaryDirectory() as folder:
        bundle = train(task.reference, Path(folder) / "model", config, panel=panel, section=section)
        model = load_model(replace(bundle, calibration={}), torch.device("cpu"))
    prepared = prepare(task.reference, panel, recipe_of(config), section)
    cells, codes = prepared.reference.cells, prepared.reference.codes
    if prepared.measured:
        cells = prepared.measured.of(cells, np.random.default_rng([seed, 3]))
    (part,) = splits(codes, recipe_of(config), config.validation, seed)
    rows, held = part.training, part.validation
    embedding, logits = ask(model, cells)
    asked, said = ask(model, task.query)
    names = np.array(model.labels.names)
    return Said(
        embedding[rows], logits[rows], codes[rows], embedding[held], logits[held], codes[held],
        asked, said, ~np.isin(task.truth, names), names[said.argmax(1)] == task.truth,
    )  # fmt: skip


def cached(name: str, folder: Path, seed: int) -> Said:
    """What the network of a task said, trained now or before."""
    path = folder / f"{name}_{seed}.npz"
    if not path.is_file():
        started = time.process_time()
        said = trained(TASKS[name](), seed)
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, **vars(said))
        print(f"{name}: {time.process_time() - started:.0f} core-s", file=sys.stderr)
    return Said(**np.load(path))


def baseline(name: str, folder: Path) -> np.ndarray:
    """1 − the softmax maximum of logistic regression on the query's cells, (N,)."""
    path = folder / f"{name}_logistic_regression.npy"
    if not path.is_file():
        task = TASKS[name]()
        shared = prepare(task.reference, task.query.panel, recipe_of(TrainConfig())).reference
        known, asked = standardised(shared.cells, task.query.restrict(shared.cells.panel))
        model = LogisticRegression(C=0.1, max_iter=500).fit(known, shared.codes)
        folder.mkdir(parents=True, exist_ok=True)
        np.save(path, 1 - model.predict_proba(asked).max(axis=1))
    return np.load(path)


def softmax_score(logits: np.ndarray) -> np.ndarray:
    """1 − the largest softmax probability (Hendrycks and Gimpel 2017)."""
    return 1 - softmax(logits).max(axis=1)


def energy_score(logits: np.ndarray) -> np.ndarray:
    """−log Σ exp(logits), the free energy at temperature 1 (Liu et al. 2020, eq. 4)."""
    return -logsumexp(logits.astype(np.float64), axis=1)


def whitening(centred: np.ndarray) -> np.ndarray:
    """W with W Wᵀ the inverse of the rows' covariance, shrunk as Ledoit and Wolf (2004) do."""
    values, vectors = np.linalg.eigh(LedoitWolf(assume_centered=True).fit(centred).covariance_)
    return vectors / np.sqrt(values)


class TypeGaussians:
    """A Gaussian per type with one shared covariance, and one of all cells."""

    def __init__(self, embedding: np.ndarray, codes: np.ndarray) -> None:
        present, of_cell = np.unique(codes, return_inverse=True)
        self.means = np.stack([embedding[codes == code].mean(axis=0) for code in present])
        self.within = whitening(embedding - self.means[of_cell])
        self.centre = embedding.mean(axis=0)
        self.overall = whitening(embedding - self.centre)

    def mahalanobis(self, embedding: np.ndarray) -> np.ndarray:
        """Squared Mahalanobis distance to the nearest type (Lee et al. 2018, eq. 2)."""
        pairs = cdist(embedding @ self.within, self.means @ self.within, "sqeuclidean")
        return pairs.min(axis=1)

    def relative(self, embedding: np.ndarray) -> np.ndarray:
        """The same less the distance to all cells together (Ren et al. 2021, eq. 3)."""
        background = np.square((embedding - self.centre) @ self.overall).sum(axis=1)
        return self.mahalanobis(embedding) - background


def scores(said: Said) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Every candidate's score of held-out and of query cells."""
    bank, held, query = said.embedding_train, said.embedding_held, said.embedding_query
    raw, unit = (TypeGaussians(x, said.codes_train) for x in (bank, unit_rows(bank)))
    found = {
        "softmax maximum": (softmax_score(said.logits_held), softmax_score(said.logits_query)),
        "energy": (energy_score(said.logits_held), energy_score(said.logits_query)),
        "Mahalanobis": (raw.mahalanobis(held), raw.mahalanobis(query)),
        "relative Mahalanobis": (raw.relative(held), raw.relative(query)),
        "Mahalanobis, unit": tuple(unit.mahalanobis(unit_rows(x)) for x in (held, query)),
    }
    for k in (1, 3, 10, 50):
        found[f"{k}-th neighbour"] = tuple(neighbour_distance(x, bank, k) for x in (held, query))
    log = {
        name: [np.log(x + 1e-4) for x in found[name]]
        for name in ("softmax maximum", "3-th neighbour")
    }
    found["softmax maximum + 3-th neighbour"] = tuple(
        sum((x[part] - x[0].mean()) / x[0].std() for x in log.values()) for part in (0, 1)
    )
    for most in (10_000, 1_000):
        model = NoveltyModel.fit(bank, said.codes_train, held, most_cells=most)
        found[f"NoveltyModel, {most:,} cells"] = (model.score(held), model.score(query))
    return found


def row_of(name: str, said: Said, logistic: np.ndarray) -> dict[str, str]:
    """AUROC of every score on one task."""
    accuracy = said.right[~said.unseen].mean()
    row = {
        "task": name,
        "unseen of query": f"{said.unseen.sum()} of {len(said.unseen):,}",
        "accuracy on the others": f"{accuracy:.3f}",
        "logistic regression, softmax maximum": f"{roc_auc_score(said.unseen, logistic):.3f}",
    }
    for score, (_, query) in scores(said).items():
        row[score] = f"{roc_auc_score(said.unseen, query):.3f}"
    return row


def alarms_of(name: str, said: Said) -> dict[str, str]:
    """Share of seen / unseen query cells above the 95 % quantile of held-out reference cells."""
    row = {"task": name}
    for score, (held, query) in scores(said).items():
        above = query > np.quantile(held, 0.95)
        row[score] = f"{above[~said.unseen].mean():.2f} / {above[said.unseen].mean():.2f}"
    return row


def calibration_of(name: str, said: Said) -> dict[str, str]:
    """The temperature of held-out cells, and the query's calibration error without and with it."""
    temperature = fit_temperature(said.logits_held, said.codes_held)
    seen = ~said.unseen
    errors = []
    for used in (1.0, temperature):
        confidence = softmax(said.logits_query[seen], used).max(axis=1)
        curve = reliability_curve(confidence, said.right[seen])
        errors.append(f"{expected_calibration_error(curve):.3f}")
    return {"task": name, "temperature": f"{temperature:.2f}", "error": " → ".join(errors)}


def markdown(rows: list[dict[str, str]]) -> str:
    """Rows as a table, a column per row: there are more scores than tasks."""
    frame = pd.DataFrame(rows).set_index("task").T
    lines = [f"| | {' | '.join(frame.columns)} |", "|---" * (len(frame.columns) + 1) + "|"]
    lines += [f"| {index} | {' | '.join(values)} |" for index, *values in frame.itertuples()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--task", action="append", choices=tuple(TASKS))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    said = {name: cached(name, chosen.cache, chosen.seed) for name in chosen.task or TASKS}
    rows = [row_of(name, found, baseline(name, chosen.cache)) for name, found in said.items()]
    print(f"AUROC of unseen types, seed {chosen.seed}\n\n{markdown(rows)}")
    print("\nShare of cells above the 95 % quantile of held-out reference cells, seen / unseen\n")
    print(markdown([alarms_of(name, found) for name, found in said.items()]))
    print("\nCalibration error of query cells of seen types, without and with the temperature\n")
    print(markdown([calibration_of(name, found) for name, found in said.items()]))


if __name__ == "__main__":
    main()
