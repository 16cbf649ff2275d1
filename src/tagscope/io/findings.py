"""What was noticed while reading a file: problems with their fixes, and things worth knowing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tagscope.errors import ArgumentError, InputError, TagscopeError

Severity = Literal["error", "warning", "info"]

_ORDER = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True)
class Finding:
    """One thing noticed about an input.

    ``error``: the input cannot be annotated as it is; ``warning``: it can, but look; ``info``: good
    to know. ``offer`` is the fix as choices of ``open_section`` (``{"layer": "counts"}``), empty
    where there is none; ``among`` are all values that suit its first choice, where several do.
    ``ask`` names a choice whose value a person has to give: ``"orthologues"``, a file, or
    ``"um_per_unit"``, a number. ``opens`` tells of an error with which a section can still be
    looked at.
    """

    severity: Severity
    code: str
    found: str
    needed: str = ""
    fix: str = ""
    offer: dict[str, Any] = field(default_factory=dict)
    opens: bool = False
    among: tuple[str, ...] = ()
    ask: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)

    def to_error(self) -> TagscopeError:
        """The exception that says the same: a choice not made is the request's fault."""
        kind = ArgumentError if self.code.startswith("choose-") else InputError
        return kind(self.found, self.needed, self.fix, self.choices)

    @property
    def choices(self) -> dict[str, Any]:
        """Choices that answer it, with what is offered, or None where a person has to know."""
        return {**self.offer, **({self.ask: None} if self.ask else {})}

    def __str__(self) -> str:
        return " ".join(part for part in (self.found, self.needed, self.fix) if part)


def by_severity(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors first, then warnings, then the rest; otherwise in the order given."""
    return tuple(sorted(findings, key=lambda finding: _ORDER[finding.severity]))


def raise_first(findings: Iterable[Finding], *, opening: bool = False) -> None:
    """Raise the first error among findings, and name the others.

    ``opening`` lets errors pass with which a section can still be looked at.
    """
    errors = [f for f in findings if f.severity == "error" and not (opening and f.opens)]
    if not errors:
        return
    error = errors[0].to_error()
    if len(errors) > 1:
        more = " ".join(finding.found for finding in errors[1:])
        fix = f"{error.fix} Also to be mended: {more}"
        error = type(error)(error.found, error.needed, fix, error.choices)
    raise error


def listed(names: Iterable[object], limit: int = 12) -> str:
    """Names in quotes, separated by commas, with a count of those left out."""
    quoted = [repr(str(name)) for name in names]
    rest = f" and {len(quoted) - limit} more" if len(quoted) > limit else ""
    return (", ".join(quoted[:limit]) or "none") + rest
