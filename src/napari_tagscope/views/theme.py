"""Colours of napari's own themes, for what its style sheet does not draw."""

from __future__ import annotations

from dataclasses import dataclass

from napari.utils.theme import get_theme
from qtpy.QtGui import QColor


@dataclass(frozen=True)
class Colors:
    """Colours of one theme. ``attention`` and ``expression`` are safe for colour-blind people."""

    background: QColor
    foreground: QColor
    current: QColor
    text: QColor
    attention: QColor
    expression: QColor
    error: QColor
    warning: QColor

    @property
    def muted(self) -> QColor:
        """Text that stands back."""
        text, ground = self.text, self.background
        mixed = (
            round(0.62 * t + 0.38 * g)
            for t, g in zip(text.getRgb()[:3], ground.getRgb()[:3], strict=True)
        )
        return QColor(*mixed)


def colors_of(theme: str) -> Colors:
    """The colours of a napari theme, such as ``"dark"`` or ``"light"``."""
    found = get_theme(theme)
    dark = QColor(found.background.as_hex()).lightness() < 128
    return Colors(
        background=QColor(found.background.as_hex()),
        foreground=QColor(found.foreground.as_hex()),
        current=QColor(found.current.as_hex()),
        text=QColor(found.text.as_hex()),
        attention=QColor("#e69f00" if dark else "#d55e00"),
        expression=QColor("#56b4e9" if dark else "#0072b2"),
        error=QColor("#d55e00"),
        warning=QColor("#e69f00" if dark else "#a86f00"),
    )


def style_sheet(colors: Colors) -> str:
    """Rules for the dock's own widgets, on top of napari's."""
    lighter, muted = colors.foreground.name(), colors.muted.name()
    return f"""
    QFrame#card {{ border: 1px solid {lighter}; border-radius: 6px; }}
    QToolButton#heading {{ font-weight: bold; border: none; background: transparent;
        text-align: left; padding: 2px; }}
    QToolButton#heading:hover, QToolButton#heading:focus {{ color: {colors.attention.name()}; }}
    QTabBar::tab {{ padding: 4px 10px; min-height: 18px; }}
    QLabel#muted, QLabel#hint {{ color: {muted}; }}
    QFrame#error {{ border-left: 3px solid {colors.error.name()}; padding-left: 4px; }}
    QFrame#warning {{ border-left: 3px solid {colors.warning.name()}; padding-left: 4px; }}
    QFrame#info {{ border-left: 3px solid {lighter}; padding-left: 4px; }}
    QTableView {{ border: none; selection-background-color: {colors.current.name()};
        selection-color: {colors.text.name()}; }}
    QTableView::item:focus {{ border: 1px solid {colors.attention.name()}; }}
    QPushButton#main {{ font-weight: bold; padding: 4px 12px; }}
    QPushButton:checked {{ background-color: {colors.current.name()}; }}
    """
