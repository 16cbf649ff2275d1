"""Delineate the domains of a section.

OUT is a store, which also gets outlines of the domains as shapes, or an .h5ad where it ends so; it
may be SECTION itself, which is then changed in place. With --sections or --region '*' several
sections are delineated together.

example:
  tagscope domains section.zarr --model smoothed --n-domains 7 --out domains.zarr
  tagscope domains section.zarr --model omnicell --bundle omnicell --cluster leiden \\
    --resolution 0.8 --refine --out domains.zarr
  tagscope domains section.zarr --model stagate --n-domains 7 --out domains.zarr
  tagscope domains section.zarr --model cellpatch-stagate --n-domains 7 --out domains.zarr
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from tagscope.api import (
    DomainConfig,
    DomainMap,
    DomainModel,
    EmbedConfig,
    StagateConfig,
    UnionConfig,
    UnionRecipe,
    delineate_domains,
)
from tagscope.cli.options import (
    add_config_options,
    add_out,
    add_section_options,
    given_options,
    section_choices,
)
from tagscope.core.fields import field_docs
from tagscope.errors import ArgumentError
from tagscope.jobs import JobContext

_READING = ("batch_size", "device", "precision")
_SHARED = ("batch_size", "device", "seed")  # options that other configs declare
_LEARNING = tuple(name for name in field_docs(StagateConfig) if name not in _SHARED)
_PATCHES = tuple(name for name in field_docs(UnionConfig) if name not in _LEARNING)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("section", type=Path, metavar="SECTION")
    parser.add_argument(
        "--model",
        choices=get_args(DomainModel),
        default="smoothed",
        help="what cells are compared by (default: smoothed)",
    )
    parser.add_argument(
        "--bundle",
        type=Path,
        help="trained model, for omnicell; a CellPatch to start from, for cellpatch-stagate",
    )
    parser.add_argument(
        "--read-with",
        type=_cells_beside,
        metavar="N",
        help="cells beside each that the model reads with it (default: 0 of a model pretrained by "
        "tagscope, which reads each alone; 9 of a converted one)",
    )
    add_out(parser, "store or .h5ad with domains")
    parser.add_argument(
        "--map",
        action="store_true",
        help="also write the features, their graph and its UMAP, as scanpy and PAGA take them",
    )
    add_config_options(parser, DomainConfig)
    add_config_options(parser, EmbedConfig, _READING)
    learning = parser.add_argument_group("stagate and cellpatch-stagate")
    add_config_options(learning, StagateConfig, _LEARNING)
    patches = parser.add_argument_group("cellpatch-stagate")
    patches.add_argument(
        "--recipe",
        choices=get_args(UnionRecipe),
        help="how it learns, other options aside: the default, as the published script, or as "
        "the paper says",
    )
    add_config_options(patches, UnionConfig, _PATCHES)
    add_section_options(parser)


def run(options: argparse.Namespace, context: JobContext) -> int:
    """Delineate, write and count."""
    result = delineate_domains(
        options.section,
        options.model,
        options.bundle,
        DomainConfig(**given_options(options, DomainConfig)),
        reading=EmbedConfig(**_of_the_model(options)),
        stagate=_stagate(options),
        union=_union(options),
        drawn=options.map,
        out=options.out,
        overwrite=options.overwrite,
        context=context,
        **section_choices(options),
    )
    for name, count in result.counts():
        print(f"{count:8,}  {name}")
    for line in _told(result):
        print(line)
    print(f"wrote {options.out} ({result.provenance.seconds:.1f} s)")
    return 0


def _cells_beside(text: str) -> int:
    if not text.isdecimal():  # told here: an EmbedConfig would name another of our options
        raise argparse.ArgumentTypeError(f"{text} is not a number of cells, 0 or more")
    return int(text)


def _of_the_model(options: argparse.Namespace) -> dict[str, Any]:
    given = given_options(options, EmbedConfig)  # whose neighbors are those to average over, here
    chosen = {name: given[name] for name in _READING if name in given}
    return {**chosen, "neighbors": options.read_with}


def _stagate(options: argparse.Namespace) -> StagateConfig | None:
    if options.model == "stagate":
        _refuse_foreign(options, ("recipe", *_PATCHES), "cellpatch-stagate")
        return StagateConfig(**given_options(options, StagateConfig))
    if options.model != "cellpatch-stagate":
        _refuse_foreign(options, ("recipe", *_PATCHES), "cellpatch-stagate")
        _refuse_foreign(options, _LEARNING, "stagate")
    return None


def _union(options: argparse.Namespace) -> UnionConfig | None:
    if options.model != "cellpatch-stagate":
        return None
    recipe = UnionConfig.of(options.recipe or "default")
    return replace(recipe, **given_options(options, UnionConfig))


def _refuse_foreign(options: argparse.Namespace, names: tuple[str, ...], model: str) -> None:
    given = [name for name in names if getattr(options, name, None) is not None]
    if given:
        raise ArgumentError(
            f"For the model {options.model} no {', '.join(given).replace('_', ' ')} can be given.",
            f"That is how a {model} learns.",
            f"Leave it out, or choose the model {model}.",
            {"model": model},
        )


def _told(result: DomainMap) -> list[str]:
    """What of a result is not what was asked for, and the resolution where it was searched."""
    record = result.provenance
    asked, found = record.parameters["n_domains"], record.extra["clusters"]
    lines = []
    if "resolution" in record.extra:
        lines.append(f"Leiden's resolution: {record.extra['resolution']:.4g}")
        asked = found if record.parameters["resolution"] is not None else asked
    if found != asked:
        lines.append(f"{asked} domains were asked for; {found} are the nearest that was found")
    return lines
