"""What can go wrong, said so that a person can act on it.

Every error a user can cause carries three sentences: what was found, what is needed, what to do.
The command line prints them as one message; the window shows them with the traceback folded away.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any


class TagscopeError(Exception):
    """An error with its remedy.

    Parameters
    ----------
    found
        What was found, naming the file, column or value.
    needed
        What is needed instead.
    fix
        What to do, as an instruction to whoever reads it: in the window, a script, a terminal.
    choices
        Arguments that answer it, with their values, or None where a person has to know.
    """

    def __init__(
        self, found: str, needed: str = "", fix: str = "", choices: Mapping[str, Any] | None = None
    ) -> None:
        self.found = found
        self.needed = needed
        self.fix = fix
        self.choices = dict(choices or {})
        super().__init__(found, needed, fix)

    def __str__(self) -> str:
        return " ".join(part for part in (self.found, self.needed, self.fix) if part)


class ArgumentError(TagscopeError):
    """The request itself is wrong: an unknown option value, a column that is not there."""


class ChoiceError(ArgumentError):
    """One of several must be chosen: ``choice`` names the option, ``among`` its values."""

    def __init__(
        self, found: str, needed: str, fix: str, choice: str, among: tuple[str, ...]
    ) -> None:
        super().__init__(found, needed, fix, {choice: None})
        self.choice = choice
        self.among = among


class InputError(TagscopeError):
    """A file or table cannot be used as it is."""


class BundleError(TagscopeError):
    """A model bundle is missing a part, was changed, or does not fit the request."""


class OutputError(TagscopeError):
    """A result could not be written; nothing that was on disk has been changed."""


def options_text(choices: Mapping[str, Any]) -> str:
    """Choices as options of the command line: ``--layer counts``, ``--um-per-unit``."""
    return ", ".join(_option(name, value) for name, value in choices.items())


def _option(name: str, value: Any) -> str:
    option = f"--{name.replace('_', '-')}"
    if value is False:
        return f"without {option}"
    return option if value is None or value is True else f"{option} {shlex.quote(str(value))}"
