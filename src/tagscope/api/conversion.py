"""From another tool's checkpoint to a bundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from tagscope.api.given import AnyPath
from tagscope.errors import ArgumentError
from tagscope.models.bundle import Bundle
from tagscope.models.cellmemory.project import ConvertConfig, convert_project
from tagscope.models.cellpatch.checkpoint import (
    CellPatchConvertConfig,
    convert_cellpatch,
    is_cellpatch,
)
from tagscope.models.omnicell.checkpoint import (
    OmniCellConvertConfig,
    convert_checkpoint,
    is_omnicell,
)

Converted = Literal["cellmemory", "omnicell", "cellpatch"]
AnyConvertConfig = ConvertConfig | OmniCellConvertConfig | CellPatchConvertConfig

_TOOLS: dict[str, tuple[type[AnyConvertConfig], Callable[..., Bundle]]] = {
    "cellmemory": (ConvertConfig, convert_project),
    "omnicell": (OmniCellConvertConfig, convert_checkpoint),
    "cellpatch": (CellPatchConvertConfig, convert_cellpatch),
}


def convert(
    checkpoint: AnyPath,
    model: Converted | None = None,
    *,
    out: AnyPath,
    config: AnyConvertConfig | None = None,
    overwrite: bool = False,
    **settings: Any,
) -> Bundle:
    """Make a bundle of an original tool's checkpoint; it gives that tool's numbers.

    ``checkpoint`` is what the original leaves: CellMemory's project folder, that with OmniCell's
    ``LMConfig.json``, or the ``.pth`` of a CellPatch; ``model`` is told by it. What it does not
    hold is in ``config``, or given as ``settings``, the fields of that.

    Raises
    ------
    ArgumentError
        If the settings are those of another model.
    """
    path = Path(checkpoint)
    model = model or _told_by(path)
    if model not in _TOOLS:
        raise ArgumentError(
            f"Checkpoints of {model!r} cannot be converted.",
            f"Those of {', '.join(_TOOLS)} can.",
            "Choose another model.",
            {"model": None},
        )
    wanted, run = _TOOLS[model]
    foreign = sorted(set(settings) - {field.name for field in fields(wanted)})
    if foreign or not (config is None or isinstance(config, wanted)):
        raise ArgumentError(
            f"The settings are not those of converting {model}"
            f"{': ' + ', '.join(foreign) if foreign else ''}.",
            f"Those of a {wanted.__name__} are needed.",
            "Leave them out, or name another model.",
            {"model": None} | dict.fromkeys(foreign, False),
        )
    if config is None or settings:
        config = wanted(**settings)
    return run(path, Path(out), config, overwrite=overwrite)


def _told_by(path: Path) -> Converted:
    if is_omnicell(path):
        return "omnicell"
    return "cellpatch" if is_cellpatch(path) else "cellmemory"
