"""Parts of the cards about domains."""

from __future__ import annotations

from qtpy.QtWidgets import QApplication, QComboBox, QPushButton, QSizePolicy


def domain_box(tip: str) -> QComboBox:
    """A box to choose a domain from."""
    box = QComboBox()
    box.setToolTip(tip)
    box.setAccessibleName(tip)
    box.setPlaceholderText("Domain")
    box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return box


def list_domains(box: QComboBox, names: tuple[str, ...], current: str) -> None:
    """List domains in a box, and which of them is chosen."""
    if [box.itemText(i) for i in range(box.count())] != list(names):
        box.clear()
        box.addItems(names)
    box.setCurrentIndex(box.findText(current) if current else -1)


def copy_button(tip: str) -> QPushButton:
    """A button that copies a table."""
    button = QPushButton("Copy table")
    button.setToolTip(tip)
    return button


def copy(text: str) -> None:
    """Put text onto the clipboard."""
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    clipboard.setText(text)
