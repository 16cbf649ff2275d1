"""A result is written, or kept where it can be: what took long to compute is not lost."""

from __future__ import annotations

import shlex

from tagscope.api.given import AnyPath
from tagscope.api.sections import write_result
from tagscope.core.results import Result
from tagscope.errors import OutputError, TagscopeError
from tagscope.io.h5ad import READ_ERRORS
from tagscope.io.readers import OpenedSection
from tagscope.io.rescue import keep_elsewhere
from tagscope.jobs import JobContext


def write_or_keep(
    opened: OpenedSection,
    result: Result,
    out: AnyPath,
    overwrite: bool,
    context: JobContext | None,
) -> None:
    """Write a result; one that cannot be written is kept elsewhere before the error is raised."""
    try:
        write_result(opened, result, out, overwrite=overwrite, context=context)
    except (TagscopeError, MemoryError, *READ_ERRORS) as error:
        failure = _failure(error, out)
        kept = keep_elsewhere(
            opened,
            lambda table: result.write_to(table, overwrite=True),
            result.key,
            context=context,
        )
        if kept is None:
            raise type(failure)(
                failure.found,
                "The result is lost: the folders of work and of temporary files do not take it.",
                failure.fix,
                failure.choices,
            ) from error
        raise type(failure)(
            failure.found,
            f"The result is not lost: {kept} holds it, in a copy of the section's table.",
            f"Go on with that file as with any section: tagscope view {shlex.quote(str(kept))}.",
        ) from error


def _failure(error: Exception, out: AnyPath) -> TagscopeError:
    if isinstance(error, TagscopeError):
        return error
    return OutputError(
        f"{out} could not be written ({type(error).__name__}: {error}).",
        "The section must be readable, and its folder writable.",
        "Mend that, and run it again.",
    )
