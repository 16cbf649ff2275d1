"""How far a trained OmniCell's embeddings agree with themselves in bf16, and over expressed genes.

    python tests/bench/omnicell_agreement.py BUNDLE SECTION.h5ad ...

BUNDLE is a pretrained model, SECTION one that it knows the genes of. Beside the cosine of both
embeddings of a cell: the share of a cell's 15 nearest cells that both have in common, centred
first, which is what clustering and annotation see. Prints a markdown table.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.neighbors import NearestNeighbors

import tagscope as ts

NEAREST = 15
READINGS = {"alone": ts.EmbedConfig(neighbors=0), "with 9 neighbours": ts.EmbedConfig(neighbors=9)}


def nearest(values: np.ndarray) -> np.ndarray:
    """Rows of the nearest others of every cell, (N, 15)."""
    search = NearestNeighbors(n_neighbors=NEAREST).fit(values - values.mean(axis=0))
    return search.kneighbors(return_distance=False)


def shared(one: np.ndarray, other: np.ndarray) -> float:
    """Mean share of the nearest cells that both embeddings have in common."""
    pairs = zip(nearest(one), nearest(other), strict=True)
    return float(np.mean([len(np.intersect1d(a, b)) / NEAREST for a, b in pairs]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("section", type=Path, nargs="+")
    options = parser.parse_args()
    print(
        "| section | read | against fp32, all genes | cosine, median | smallest | nearest shared |"
    )
    print("|---|---|---|---|---|---|")
    for path in options.section:
        section = ts.read_section(path)
        for name, reading in READINGS.items():
            usual = replace(reading, precision="fp32")
            whole = ts.embed(section, options.bundle, usual).values
            others = {
                "bf16": replace(reading, precision="bf16"),
                "expressed genes": replace(usual, expressed=True),
            }
            for way, config in others.items():
                found = ts.embed(section, options.bundle, config).values
                cosines = (whole * found).sum(axis=1)
                said = (
                    f"{np.median(cosines):.5f} | {cosines.min():.5f} | {shared(whole, found):.3f}"
                )
                print(f"| {path.stem} | {name} | {way} | {said} |", flush=True)


if __name__ == "__main__":
    main()
