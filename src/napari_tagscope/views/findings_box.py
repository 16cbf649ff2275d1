"""What a check found, the worst first, each with its fix as a control."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_tagscope.views.card import wrapped_label

if TYPE_CHECKING:
    from tagscope.api import Finding

OnFix = Callable[[dict[str, Any]], None]
ORDER = ("error", "warning", "info")
MARKS = {"error": "✗", "warning": "!", "info": "·"}
ALL_REGIONS = "*"
SPOKEN = {
    "genes": "Gene names in",
    "layer": "Counts in",
    "table": "Table",
    "region": "Region",
    "sections": "Sections by",
    "coordinate_system": "Coordinates",
}
FLAGS = {"normalised": {True: "Use as log-normalised", False: "Use as counts"}}
LARGEST_UNIT = 100_000.0  # µm


class FindingsBox(QWidget):
    """A list of findings; ``on_fix`` gets the choices with which to open again."""

    def __init__(self, on_fix: OnFix) -> None:
        super().__init__()
        self._on_fix = on_fix
        self._shown: tuple[Finding, ...] = ()
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(3)

    def show_findings(self, findings: Sequence[Finding]) -> None:
        """Show findings, the worst first."""
        wanted = tuple(sorted(findings, key=lambda f: ORDER.index(f.severity)))
        self.setVisible(bool(wanted))
        if wanted == self._shown:
            return
        self._shown = wanted
        while (item := self._column.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        for finding in wanted:
            self._column.addWidget(_line(finding, self._on_fix))


def _line(finding: Finding, on_fix: OnFix) -> QWidget:
    frame = QFrame()
    frame.setObjectName(finding.severity)
    column = QVBoxLayout(frame)
    column.setContentsMargins(4, 1, 1, 1)
    column.setSpacing(2)
    controls = fix_controls(finding, on_fix)
    said = [finding.found] if controls else [finding.found, finding.fix]
    text = wrapped_label()
    text.setText(f"{MARKS[finding.severity]} " + " ".join(part for part in said if part))
    text.setToolTip(str(finding))
    text.setAccessibleName(f"{finding.severity}: {finding}")
    column.addWidget(text)
    for control in controls:
        column.addWidget(control, alignment=Qt.AlignmentFlag.AlignRight)
    return frame


def fix_controls(finding: Finding, on_fix: OnFix) -> list[QWidget]:
    """A control for each way to mend a finding; none where it cannot be mended from here."""
    found: list[QWidget] = []
    if len(finding.among) > 1:
        found.append(_among(finding, on_fix))
    elif finding.offer:
        button = QPushButton(_offer_text(finding.offer))
        button.setToolTip(finding.fix)
        button.clicked.connect(lambda: on_fix(dict(finding.offer)))
        found.append(button)
    if finding.ask == "orthologues":
        found.append(_orthologues(finding, on_fix))
    if finding.ask == "um_per_unit":
        found.append(_unit(on_fix))
    return found


def value_text(name: str, value: object) -> str:
    """How people read the value of a choice."""
    return "all, side by side" if name == "region" and value == ALL_REGIONS else str(value)


def _offer_text(offer: dict[str, Any]) -> str:
    name, value = next(iter(offer.items()))
    if name in FLAGS:
        return FLAGS[name][value]
    return f"{SPOKEN.get(name, name)}: {value_text(name, value)}"


def _among(finding: Finding, on_fix: OnFix) -> QWidget:
    """A box of values and a button that takes the one chosen."""
    name = next(iter(finding.offer))
    box = QComboBox()
    for value in finding.among:
        box.addItem(value_text(name, value), value)
    box.setToolTip(finding.fix)
    box.setAccessibleName(SPOKEN.get(name, name))
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(12)
    return _row(
        SPOKEN.get(name, name), box, lambda: on_fix({**finding.offer, name: box.currentData()})
    )


def _unit(on_fix: OnFix) -> QWidget:
    box = QDoubleSpinBox()
    box.setDecimals(4)
    box.setRange(0.0001, LARGEST_UNIT)
    box.setValue(1.0)
    box.setSuffix(" µm per unit")
    box.setToolTip("How many µm one unit of the file's coordinates is, such as the pixel size")
    box.setAccessibleName("µm per coordinate unit")
    box.setKeyboardTracking(False)
    return _row("", box, lambda: on_fix({"um_per_unit": box.value()}))


def _orthologues(finding: Finding, on_fix: OnFix) -> QWidget:
    button = QPushButton("Choose orthologues…")
    button.setToolTip(finding.fix)

    def choose() -> None:
        title = "A table of genes with the columns human_symbol and mouse_symbol"
        chosen, _ = QFileDialog.getOpenFileName(button, title, "", "Table (*.csv)")
        if chosen:
            on_fix({"orthologues": chosen})

    button.clicked.connect(choose)
    return button


def _row(name: str, box: QWidget, take: Callable[[], None]) -> QWidget:
    """A named box, and a button that opens the section again with what is in it."""
    holder = QWidget()
    row = QHBoxLayout(holder)
    row.setContentsMargins(0, 0, 0, 0)
    if name:
        label = wrapped_label()
        label.setText(name)
        label.setWordWrap(False)
        row.addWidget(label)
    button = QPushButton("Use")
    button.setToolTip("Open the section again with this")
    button.setAccessibleName(f"Use {box.accessibleName()}")
    button.clicked.connect(take)
    row.addWidget(box, 1)
    row.addWidget(button)
    return holder
