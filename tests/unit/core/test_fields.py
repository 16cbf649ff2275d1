from __future__ import annotations

from dataclasses import dataclass

from tagscope.core.fields import field_docs


@dataclass(frozen=True)
class _Config:
    """A config."""

    epochs: int = 3
    """Passes over
    the data."""
    silent: bool = False
    rate: float = 0.1
    """Step size."""


def test_the_string_under_a_field_documents_it():
    assert field_docs(_Config) == {"epochs": "Passes over the data.", "rate": "Step size."}
