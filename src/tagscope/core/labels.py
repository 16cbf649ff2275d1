"""Ordered labels with colours that colour-blind people can tell apart."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

UNASSIGNED = "Unassigned"
UNASSIGNED_COLOR = "#7f7f7f"

# Okabe and Ito (2008), without black, then Tol's muted scheme where it adds a new hue.
_NAMED_COLORS = (
    "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7",
    "#88ccee", "#882255", "#ddcc77", "#332288", "#44aa99", "#cc6677", "#999933",
    "#aa4499", "#117733",
)  # fmt: skip


def default_colors(count: int) -> tuple[str, ...]:
    """``count`` distinct colours as ``#rrggbb``.

    The first sixteen are published colour-blind-safe ones. Further ones step the hue by the golden
    angle and change lightness at every step, so that neighbours differ in lightness too.
    """
    colors = list(_NAMED_COLORS[:count])
    for index in range(len(colors), count):
        hue = (index * 0.61803398875) % 1.0
        lightness = (0.72, 0.42, 0.58)[index % 3]
        red, green, blue = colorsys.hls_to_rgb(hue, lightness, 0.65)
        colors.append(f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}")
    return tuple(colors)


@dataclass(frozen=True)
class LabelSet:
    """Ordered labels, one colour each. ``Unassigned`` is never among them: its code is −1."""

    names: tuple[str, ...]
    colors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            raise ValueError("a label occurs twice")
        if not self.colors:
            object.__setattr__(self, "colors", default_colors(len(self.names)))
        if len(self.colors) != len(self.names):
            raise ValueError(f"{len(self.colors)} colours for {len(self.names)} labels")

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def from_values(cls, values: Iterable[str]) -> LabelSet:
        """The sorted distinct values, with default colours."""
        return cls(tuple(sorted(set(values))))

    def code(self, name: str) -> int:
        """Position of a label, −1 for any other value (``Unassigned`` included)."""
        return self.names.index(name) if name in self.names else -1

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"names": list(self.names), "colors": list(self.colors)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> LabelSet:
        """Inverse of :meth:`to_dict`."""
        return cls(tuple(data["names"]), tuple(data["colors"]))
