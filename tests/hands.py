"""What a person does to the dock with mouse and keys."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QScrollArea, QWidget

LEFT = Qt.MouseButton.LeftButton


def click(widget: QWidget, at: QPoint | None = None) -> None:
    """Click a widget in its middle, or at a place of it."""
    QTest.mouseClick(widget, LEFT, pos=at or QPoint())


def turn_to(dock: Any, step: str) -> None:
    """Click the tab of a step, such as "Attention"."""
    bar = dock.tabs.tabBar()
    titles = [bar.tabText(number).replace("&", "") for number in range(bar.count())]
    click(bar, bar.tabRect(titles.index(step)).center())
    QTest.qWait(20)  # the page is laid out


def scroll_to(widget: QWidget) -> None:
    """Bring a widget to the top of the column that holds it."""
    QTest.qWait(100)
    area = widget.parentWidget()
    while area is not None and not isinstance(area, QScrollArea):
        area = area.parentWidget()
    assert area is not None
    bar, held = area.verticalScrollBar(), area.widget()
    assert bar is not None
    assert held is not None
    bar.setValue(widget.mapTo(held, widget.rect().topLeft()).y())
