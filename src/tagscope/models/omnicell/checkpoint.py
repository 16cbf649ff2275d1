"""A checkpoint folder of the original OmniCell, turned into a bundle.

The original leaves ``LMConfig.json`` and ``backbone.pth``; its vocabulary of Ensembl ids comes in a
file of its own, ``Vocabulary.json``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.errors import ArgumentError, InputError
from tagscope.io.genes import kind_of_names
from tagscope.models.bundle import Bundle, save_bundle
from tagscope.models.omnicell.convert import SPECIALS, from_published, published_config
from tagscope.models.omnicell.model import CAPABILITIES, NEIGHBOURS
from tagscope.models.published import origin_of, read_checkpoint, read_json, weights_of

_WEIGHTS, _CONFIG, _VOCABULARY = "backbone.pth", "LMConfig.json", "Vocabulary.json"
_NEEDED = f"A folder with {_CONFIG} and {_WEIGHTS} is needed, and the {_VOCABULARY} of its genes."


@dataclass(frozen=True)
class OmniCellConvertConfig:
    """What a checkpoint of the original OmniCell does not hold."""

    vocabulary: Path | None = None
    """Vocabulary.json: the row of every gene; looked for beside the checkpoint's folder."""

    symbols: Path | None = None
    """Table (CSV) of Ensembl ids and symbols, for sections that name genes by symbol."""

    um_per_unit: float = 1.0
    """Micrometres in a unit of the coordinates that it learned with."""

    flash: bool = True
    """Without, tokens attend over their own heads, as the original does without flash attention."""

    def __post_init__(self) -> None:
        if not self.um_per_unit > 0:
            raise ArgumentError(
                f"A unit of {self.um_per_unit} µm was asked for.",
                "A length above 0 is needed.",
                "Give another.",
                {"um_per_unit": None},
            )


def convert_checkpoint(
    path: Path, out: Path, config: OmniCellConvertConfig | None = None, *, overwrite: bool = False
) -> Bundle:
    """Write a bundle that gives the original's numbers.

    Raises
    ------
    InputError
        If a file is missing, cannot be read as weights and names alone, or does not go with the
        others. Nothing is written then.
    OutputError
        If ``out`` exists and ``overwrite`` is not set.
    """
    config = config or OmniCellConvertConfig()
    folder = _folder(Path(path))
    network = published_config(read_json(folder / _CONFIG, _NEEDED), flash=config.flash)
    file = folder / _WEIGHTS
    weights = weights_of(read_checkpoint(file), file, "OmniCell")
    state = from_published(weights, network)
    ids, order = _vocabulary(
        _vocabulary_file(folder, config.vocabulary), len(state["genes.weight"])
    )
    state["genes.weight"] = state["genes.weight"][order]
    return save_bundle(
        out,
        model="omnicell",
        config=network.to_dict(),
        panel=_panel(ids, config.symbols),
        labels=LabelSet(()),
        preprocessing={
            "transform": "soft rank", "um_per_unit": config.um_per_unit, "pooling": "expressed",
            "neighbors": NEIGHBOURS,
        },
        capabilities=CAPABILITIES,
        training=origin_of(file, config, folder.name),
        state=state,
        overwrite=overwrite,
    )  # fmt: skip


def is_omnicell(path: Path) -> bool:
    """Whether a folder, or the folder of a file, holds a configuration of OmniCell."""
    return ((path if path.is_dir() else path.parent) / _CONFIG).is_file()


def _folder(path: Path) -> Path:
    if not path.exists():
        raise InputError(f"There is no checkpoint at {path}.", _NEEDED, "Check the path.")
    folder = path if path.is_dir() else path.parent
    missing = [name for name in (_CONFIG, _WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise InputError(f"{folder} lacks {' and '.join(missing)}.", _NEEDED, "Copy it whole.")
    return folder


def _vocabulary_file(folder: Path, named: Path | None) -> Path:
    places = [folder / _VOCABULARY, folder.parent / _VOCABULARY] if named is None else [named]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise InputError(
            f"There is no {' or '.join(map(str, places))}.",
            _NEEDED,
            "Name the vocabulary's file.",
            {"vocabulary": None},
        )
    return found


def _vocabulary(file: Path, rows: int) -> tuple[tuple[str, ...], list[int]]:
    """The genes, and the order of rows in which they stand first and the specials last."""
    said = read_json(file, _NEEDED)
    places = {name: row for name, row in said.items() if isinstance(row, int)}
    lacking = [name for name in SPECIALS[:2] if name not in places]
    if lacking or sorted(places.values()) != list(range(rows)) or len(places) != len(said):
        raise InputError(
            f"{file} names {len(said)} rows, {len(set(said.values()))} of them different"
            f"{', without ' + ' and '.join(lacking) if lacking else ''}; the weights have {rows}.",
            "Every row needs one name, those of start and end among them.",
            "Find the vocabulary that goes with the checkpoint.",
            {"vocabulary": None},
        )
    genes = sorted((name for name in places if name not in SPECIALS), key=places.__getitem__)
    last = [name for name in SPECIALS if name in places]
    return tuple(genes), [places[name] for name in (*genes, *last)]


def _panel(ids: tuple[str, ...], symbols: Path | None) -> GenePanel:
    """The genes by id, and by symbol where a table tells."""
    if symbols is None:
        return GenePanel(ids, ids)
    table = pd.read_csv(symbols, dtype=str).dropna(how="all")
    kinds = {name: kind_of_names(list(table[name].dropna())) for name in table}
    column = next((name for name, kind in kinds.items() if kind == "Ensembl ids"), None)
    names = next((name for name, kind in kinds.items() if kind == "symbols"), None)
    if column is None or names is None:
        raise InputError(
            f"{symbols} has the columns {', '.join(map(str, table))}.",
            "One of Ensembl ids and one of symbols are needed.",
            "Name a table that has both.",
            {"symbols": None},
        )
    known = table.dropna(subset=[column, names]).drop_duplicates(column)
    by_id = dict(zip(known[column], known[names], strict=True))
    return GenePanel(tuple(by_id.get(gene, gene) for gene in ids), ids)
