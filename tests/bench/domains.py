"""Domains on the shared data's tasks: methods × clusterings, against regions that people drew.

    python tests/bench/domains.py run --out rows.jsonl --task osmfish --seed 0 ...
    python tests/bench/domains.py table rows.jsonl

``run`` scores every task, method, clustering and seed that OUT does not hold yet and adds a line
each; ``table`` prints means over seeds as markdown, ± their standard deviation. Tasks are those of
the data's README (section 4): each is asked for its true number of domains, and spots without a
region are left out of the scores. Three sections without regions are delineated together: ARI and
NMI are then those of the domains of a section within all, and of the section by itself, and
``apart`` is how far the sections differ in the domains' shares (total variation, mean over pairs).

The small OmniCell is pretrained on the task's cells, once a seed, on cells alone and then with
their neighbours, and kept in the folder ``$TAGSCOPE_BUNDLES``; its embedding is taken beside the
components of expression, or alone. It reads each cell alone, other than where it is "read with
neighbours"; "without neighbours" is the model after its first stage. "As published" is the
embedding's mean over a cell and the neighbours that are read with it, not averaged over more.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Literal, get_args

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core a process

import numpy as np

import tagscope as ts
from tagscope.core.section import Section
from tagscope.domains.config import Cluster
from tagscope.domains.delineate import domains_of, expression_features
from tagscope.models.omnicell.model import neighbours_of

SHARED = Path(os.environ.get("TAGSCOPE_SHARED", Path(__file__).resolve().parents[3] / "shared"))
CLUSTERINGS = get_args(Cluster)
SEEDS = 5
BUNDLES = Path(os.environ.get("TAGSCOPE_BUNDLES", Path(tempfile.gettempdir()) / "bundles"))


@dataclass(frozen=True)
class Task:
    """``neighbors`` as the data's README takes them: 20, and two rings of Visium's lattice."""

    name: str
    file: str
    neighbors: int = 20
    where: str | None = None
    sections: str | None = None
    n_domains: int | None = None

    def opened(self) -> ts.OpenedSection:
        path = SHARED / "data" / f"{self.file}.h5ad"
        return ts.open_section(path, where=self.where, sections=self.sections)


MPFC, MOLCART = "annotation/starmap_mpfc_bz5_bz14", "unlabelled/molcart_mouse_cortex_3sections"
TASKS = {
    "osmfish": Task("osmFISH cortex", "annotation/osmfish"),
    "by3": Task("STARmap BY3", "annotation/starmap_by3_v1"),
    "bz5": Task("mPFC BZ5", MPFC, where='section == "BZ5"'),
    "bz14": Task("mPFC BZ14", MPFC, where='section == "BZ14"'),
    "mpfc": Task("mPFC BZ5 + BZ14 jointly", MPFC, sections="section"),
    "dlpfc": Task("DLPFC 151673", "domains/visium_dlpfc_151673", neighbors=18),
    "idc": Task("Xenium IDC", "domains/xenium_breast_idc"),
    "molcart": Task("molcart, 3 sections jointly", MOLCART, sections="section", n_domains=8),
}


def expression(_: str, section: Section, seed: int) -> ts.Embedding:
    return expression_features(section, ts.DomainConfig(seed=seed))


@dataclass(frozen=True)
class Small:
    """A small OmniCell pretrained on the task's cells to the end of a stage, and what it gives of a
    cell: as ``tagscope domains`` reads it, or ``beside`` the neighbours that it learned with."""

    stage: Literal["spatial", "cells"]
    expression: bool = True
    beside: bool = False
    blocks: Literal["centre", "mean"] = "centre"

    def __call__(self, task: str, section: Section, seed: int) -> ts.Embedding:
        bundle = small_bundle(task, self.stage, seed)
        read = neighbours_of(bundle.preprocessing) if self.beside else None
        reading = ts.EmbedConfig(blocks=self.blocks, neighbors=read)
        config = ts.DomainConfig(expression=self.expression, seed=seed)
        return ts.domain_features(section, "omnicell", bundle, config, reading=reading)


def stagate(_: str, section: Section, seed: int) -> ts.Embedding:
    config = ts.StagateConfig(seed=seed, device="cpu")
    return ts.domain_features(section, "stagate", config=ts.DomainConfig(seed=seed), stagate=config)


@dataclass(frozen=True)
class Union:
    """CellPatch and STAGATE joined, which learn from the task's cells by a recipe; by those of the
    published code and paper without dropout, with which a processor takes days."""

    recipe: ts.UnionRecipe = "default"

    def __call__(self, _: str, section: Section, seed: int) -> ts.Embedding:
        config = replace(ts.UnionConfig.of(self.recipe), dropout=0.0, seed=seed, device="cpu")
        domains = ts.DomainConfig(seed=seed)
        return ts.domain_features(section, "cellpatch-stagate", config=domains, union=config)


@cache
def small_bundle(task: str, stage: Literal["spatial", "cells"], seed: int) -> ts.Bundle:
    path = BUNDLES / f"{task}-{stage}-{seed}"
    if path.exists():
        return ts.load_bundle(path)
    # The preset reads cells alone first; that stage is shared with the rows "without neighbours".
    first = None if stage == "cells" else small_bundle(task, "cells", seed)
    config = ts.PretrainConfig(stage=stage, seed=seed)
    return ts.pretrain(opened(task).section, out=path, config=config, init=first)


Features = Callable[[str, Section, int], ts.Embedding]


@dataclass(frozen=True)
class Method:
    """Features of the cells of a task's section, by seed, and what is done with them."""

    features: Features
    averaged: bool = True
    refine: bool = False


METHODS = {
    "expression alone": Method(expression, averaged=False),
    "smoothed": Method(expression),
    "smoothed, refined": Method(expression, refine=True),
    "small OmniCell": Method(Small("spatial")),
    "small OmniCell, refined": Method(Small("spatial"), refine=True),
    "small OmniCell, embedding alone": Method(Small("spatial", expression=False)),
    "small OmniCell, read with neighbours": Method(Small("spatial", beside=True)),
    "small OmniCell, read with neighbours, embedding alone": Method(
        Small("spatial", expression=False, beside=True)
    ),
    "small OmniCell, as published": Method(
        Small("spatial", expression=False, beside=True, blocks="mean"), averaged=False
    ),
    "small OmniCell, without neighbours": Method(Small("cells")),
    "small OmniCell, without neighbours, embedding alone": Method(Small("cells", expression=False)),
    "small OmniCell, without neighbours, not averaged": Method(
        Small("cells", expression=False), averaged=False
    ),
    "STAGATE": Method(stagate),
    "STAGATE, not averaged": Method(stagate, averaged=False),
    "CellPatch + STAGATE": Method(Union()),
    "CellPatch + STAGATE, not averaged": Method(Union(), averaged=False),
    "CellPatch + STAGATE, paper": Method(Union("paper")),
    "CellPatch + STAGATE, paper, not averaged": Method(Union("paper"), averaged=False),
    "CellPatch + STAGATE, published": Method(Union("published")),
    "CellPatch + STAGATE, published, not averaged": Method(Union("published"), averaged=False),
}


@dataclass(frozen=True)
class Row:
    """One delineation, scored; ``found`` domains of ``asked``."""

    task: str
    method: str
    clustering: str
    seed: int
    asked: int
    found: int
    ari: float
    nmi: float
    seconds: float
    apart: float | None = None


@cache
def opened(task: str) -> ts.OpenedSection:
    return TASKS[task].opened()


@cache
def section_of(task: str, piece: str | None) -> Section:
    """All cells of a task, or those of one of its sections by itself."""
    if piece is None:
        return opened(task).section
    where = f'{TASKS[task].sections} == "{piece}"'
    return ts.open_section(opened(task).source.path, where=where).section


@cache
def features_of(task: str, piece: str | None, features: Features, seed: int) -> ts.Embedding:
    """What the clusterings of a method have in common."""
    return features(task, section_of(task, piece), seed)


def scored(task: str, method: str, clustering: str, seed: int) -> Row:
    """Delineate, and compare with the regions or with each section by itself."""
    started = time.monotonic()
    regions = regions_of(task)
    asked = TASKS[task].n_domains or len(set(regions[regions != "NA"]))
    found = delineated(task, None, method, clustering, seed, asked)
    seconds = round(time.monotonic() - started, 2)
    apart = None
    if TASKS[task].n_domains is None:
        report = ts.evaluate_labels(found[regions != "NA"], regions[regions != "NA"])
        ari, nmi = report.ari, report.nmi
    else:
        ari, nmi, apart = agreement(task, method, clustering, seed, found)
    count = len(set(found))
    return Row(task, method, clustering, seed, asked, count, ari, nmi, seconds, apart)


def regions_of(task: str) -> np.ndarray:
    obs = opened(task).table.obs
    return obs["region"].astype(str).to_numpy() if "region" in obs else np.full(len(obs), "NA")


def delineated(
    task: str, piece: str | None, method: str, clustering: str, seed: int, asked: int
) -> np.ndarray:
    way = METHODS[method]
    config = ts.DomainConfig(
        cluster=clustering,
        n_domains=asked,
        neighbors=TASKS[task].neighbors if way.averaged else 0,
        refine=way.refine,
        seed=seed,
    )
    embedding = features_of(task, piece, way.features, seed)
    return domains_of(section_of(task, piece), embedding, config).names()


def agreement(
    task: str, method: str, clustering: str, seed: int, together: np.ndarray
) -> tuple[float, float, float]:
    """ARI and NMI, means over sections, and how far shares of domains are apart."""
    pieces = opened(task).section.pieces
    assert pieces is not None
    reports, shares = [], []
    for code, name in enumerate(pieces.names):
        within = together[pieces.codes == code]
        single = delineated(task, name, method, clustering, seed, len(set(within)))
        reports.append(ts.evaluate_labels(single, within))
        shares.append([np.mean(within == domain) for domain in sorted(set(together))])
    apart = [np.abs(np.subtract(a, b)).sum() / 2 for a, b in combinations(shares, 2)]
    means = (float(np.mean([getattr(r, name) for r in reports])) for name in ("ari", "nmi"))
    return (*means, float(np.mean(apart)))


def run(options: argparse.Namespace) -> None:
    done = {(r["task"], r["method"], r["clustering"], r["seed"]) for r in read(options.out)}
    for task in options.task:
        for method in options.method:
            for clustering in options.clustering:
                for seed in options.seed:
                    if (task, method, clustering, seed) in done:
                        continue
                    found = scored(task, method, clustering, seed)
                    with options.out.open("a") as file:
                        file.write(json.dumps(asdict(found)) + "\n")
                    print(found, file=sys.stderr, flush=True)


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(options: argparse.Namespace) -> None:
    of: dict[tuple[str, str, str], list[dict]] = defaultdict(list)
    for found in read(options.rows):
        of[found["task"], found["method"], found["clustering"]].append(found)
    print("| task | method | domains | " + " | ".join(f"{c} ARI / NMI" for c in CLUSTERINGS) + " |")
    print("|---|---|---|" + "---|" * len(CLUSTERINGS))
    for task, described in TASKS.items():
        for method in METHODS:
            groups = [of.get((task, method, clustering), []) for clustering in CLUSTERINGS]
            if asked := next((rows[0]["asked"] for rows in groups if rows), None):
                line = [described.name, method, str(asked), *map(shown, groups)]
                print("| " + " | ".join(line) + " |")


def shown(rows: list[dict]) -> str:
    """Means over seeds ± sd, and the numbers of domains where they are not what was asked for."""
    if not rows:
        return "–"
    said = " / ".join(
        f"{np.mean([row[key] for row in rows]):.3f} ± {np.std([row[key] for row in rows]):.3f}"
        for key in ("ari", "nmi")
    )
    if rows[0]["apart"] is not None:
        said += f"; apart {np.mean([row['apart'] for row in rows]):.3f}"
    if len(rows) < SEEDS:
        said += f"; {len(rows)} seed{'s' * (len(rows) > 1)}"
    missed = sorted({row["found"] for row in rows} - {rows[0]["asked"]})
    return f"{said} (found {', '.join(map(str, missed))} too)" if missed else said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    running = commands.add_parser("run")
    running.add_argument("--out", type=Path, required=True)
    running.add_argument("--task", nargs="+", choices=TASKS, default=list(TASKS))
    running.add_argument("--method", nargs="+", choices=METHODS, default=list(METHODS))
    running.add_argument("--clustering", nargs="+", choices=CLUSTERINGS, default=list(CLUSTERINGS))
    running.add_argument("--seed", nargs="+", type=int, default=list(range(SEEDS)))
    running.set_defaults(run=run)
    showing = commands.add_parser("table")
    showing.add_argument("rows", type=Path)
    showing.set_defaults(run=table)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
