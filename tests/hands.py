"""What a person does to the window with mouse and keys."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from napari._qt.dialogs.qt_reader_dialog import QtReaderDialog
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QDialogButtonBox,
    QPushButton,
    QScrollArea,
    QTableView,
    QWidget,
)

LEFT = Qt.MouseButton.LeftButton
PLAIN = Qt.KeyboardModifier.NoModifier
COPY = Qt.DropAction.CopyAction


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


def texts(table: QTableView, column: int) -> list[str]:
    """What a column of a table shows, from above."""
    model = table.model()
    return [model.index(row, column).data() for row in range(model.rowCount())]


def cell_center(table: QTableView, row: int, column: int) -> QPoint:
    """The middle of a table's cell, which is brought into view."""
    index = table.model().index(row, column)
    table.scrollTo(index)
    return table.visualRect(index).center()


def click_cell(table: QTableView, row: int, column: int = 0) -> None:
    """Click a cell of a table."""
    click(table.viewport(), cell_center(table, row, column))


def click_header(table: QTableView, column: int) -> None:
    """Click the heading of a column."""
    header = table.horizontalHeader()
    at = header.rect().center()
    at.setX(header.sectionViewportPosition(column) + header.sectionSize(column) // 2)
    click(header.viewport(), at)


def choose(box: QComboBox, text: str) -> None:
    """Open a box, go down to the entry that begins so, and press Return."""
    place = box.findText(text, Qt.MatchFlag.MatchStartsWith)
    assert place >= 0, [box.itemText(i) for i in range(box.count())]
    box.setFocus()
    QTest.keyClick(box, Qt.Key.Key_Space)
    QTest.keyClick(box.view(), Qt.Key.Key_Home)
    for _ in range(place):
        QTest.keyClick(box.view(), Qt.Key.Key_Down)
    QTest.keyClick(box.view(), Qt.Key.Key_Return)


def pick(button: QPushButton, text: str) -> None:
    """Click a button, and in its menu the entry of that text."""
    menu = button.menu()
    [action] = [action for action in menu.actions() if action.text() == text]
    QTimer.singleShot(100, lambda: click(menu, menu.actionGeometry(action).center()))
    click(button)  # returns when the menu is closed


def pixel(viewer: Any, xy: npt.ArrayLike) -> QPoint:
    """Where a position of the section is drawn on the canvas."""
    size = np.array(viewer.canvas.size)[::-1]
    center = np.array(viewer.scene.camera.center)[:0:-1]
    return QPoint(
        *(int(v) for v in size / 2 + (np.asarray(xy) - center) * viewer.scene.camera.zoom)
    )


def close_beside_another(viewer: Any) -> None:
    """Close a window while there are others.

    napari 0.9.2 flushes the GL commands of a window's layers in whichever context is current: in
    another window's they delete that one's textures, and what it draws next fails.
    """
    viewer.window._qt_viewer.canvas._scene_canvas.set_current()
    viewer.close()


def click_tissue(viewer: Any, xy: npt.ArrayLike) -> None:
    """Click where a position of the section is drawn."""
    native, at = viewer.window._qt_viewer.canvas.native, pixel(viewer, xy)
    QTest.mouseMove(native, at)
    click(native, at)


def lasso(
    viewer: Any,
    ring: npt.NDArray[np.float64],
    modifier: Qt.KeyboardModifier = PLAIN,
    *,
    release: bool = True,
) -> None:
    """Draw around an area with the mouse held down, and let go unless told otherwise."""
    native = viewer.window._qt_viewer.canvas.native
    corners = np.concatenate([ring, ring[:1]])
    path = [a + (b - a) * t for a, b in pairwise(corners)
            for t in np.linspace(0, 1, 6)]  # fmt: skip
    QTest.mouseMove(native, pixel(viewer, path[0]))
    QTest.mousePress(native, LEFT, modifier, pixel(viewer, path[0]))
    for xy in path[1:]:
        QTest.qWait(12)  # napari leaves out moves that follow each other faster
        QTest.mouseMove(native, pixel(viewer, xy))
    QTest.qWait(30)
    if release:
        QTest.mouseRelease(native, LEFT, modifier, pixel(viewer, path[-1]))


def drop(viewer: Any, path: Path) -> None:
    """Drag a file or folder from a file manager onto the middle of the window, and let go.

    If napari asks which reader to take, the answer is TAGscope.
    """
    window = viewer.window._qt_window
    middle = window.rect().center()
    under = window.childAt(middle)
    at = under.mapFrom(window, middle)
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path))])
    entering = QDragEnterEvent(QPoint(at), COPY, mime, LEFT, PLAIN)
    QApplication.sendEvent(under, entering)
    assert entering.isAccepted()
    answer = QTimer()
    answer.timeout.connect(_choose_tagscope)
    answer.start(50)
    QApplication.sendEvent(under, QDropEvent(QPointF(at), COPY, mime, LEFT, PLAIN))
    answer.stop()


def _choose_tagscope() -> None:
    dialog = QApplication.activeModalWidget()
    if not isinstance(dialog, QtReaderDialog):
        return
    [button] = [b for b in dialog.reader_btn_group.buttons() if b.text() == "TAGscope"]
    button.click()
    dialog.persist_checkbox.setChecked(False)
    dialog.btn_box.button(QDialogButtonBox.StandardButton.Ok).click()
