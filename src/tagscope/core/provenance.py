"""What ran, so that a result can be told from another and made again."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_RECORDED_PACKAGES = (
    "tagscope",
    "torch",
    "numpy",
    "scipy",
    "anndata",
    "spatialdata",
    "scikit-learn",
    "scanpy",
)


def installed_versions() -> dict[str, str]:
    """Versions of the packages that decide the numbers."""
    found = {"python": platform.python_version()}
    for package in _RECORDED_PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True)
class Provenance:
    """One run of one verb. ``extra`` holds what only that verb knows (label names, slots)."""

    verb: str
    parameters: dict[str, Any]
    inputs: dict[str, str] = field(default_factory=dict)
    seed: int | None = None
    device: str = "cpu"
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=installed_versions)
    finished: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    extra: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """One JSON string: nested objects do not survive both h5ad and zarr."""
        return json.dumps(asdict(self), sort_keys=True, default=str)

    @classmethod
    def from_json(cls, text: str) -> Provenance:
        """Inverse of :meth:`to_json`."""
        return cls(**json.loads(text))
