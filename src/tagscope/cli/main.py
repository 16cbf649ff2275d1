"""``tagscope COMMAND``: parse, run, and turn every error into one message and an exit code.

0 is success, 2 a wrong argument, 1 anything else.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import Protocol, cast

from tagscope.cli.progress import report_progress
from tagscope.errors import ArgumentError, TagscopeError, options_text
from tagscope.jobs import JobCancelled, JobContext

COMMANDS = {
    "simulate": "make a tissue with known truth",
    "check": "say what is wrong with a section for a model, with the fixes",
    "info": "say what a bundle, store or result holds",
    "train": "train a model on a labelled reference",
    "pretrain": "train a model on cells without labels",
    "convert": "make a bundle of an original tool's checkpoint",
    "annotate": "label every cell of a section",
    "embed": "embed every cell, alone or with its neighbours",
    "genes": "embed the genes of a section: modules, markers",
    "deconvolve": "say what the spots of a section are made of",
    "domains": "delineate the domains of a section",
    "tags": "list the top attention genes of every group",
    "slots": "say what the memory slots hold, by group and by gene",
    "patches": "say what a CellPatch's patches attend to, by type, gene and cell",
    "enrich": "find gene sets that are over-represented among TAGs",
    "faithfulness": "test whether labels hang on the genes with the most attention",
    "evaluate": "compare predicted labels with true ones",
    "agree": "say where several models agree on the cells, and which to look at",
    "distances": "say which reference type each group of a query is nearest to",
    "flows": "count the cells that go from label to label",
    "export": "hand an annotated store over to other tools",
    "view": "open napari with the TAGscope panel",
}


class Command(Protocol):
    """What every module of this package but a few offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments."""

    def run(self, options: argparse.Namespace, context: JobContext) -> int:
        """Do it, print what a person wants to know, return the exit code."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser(words).parse_args(words)
    if options.command is None:
        _parser([]).print_help()
        return 0
    try:
        with report_progress() as listen, _cancelled_by_interrupt(JobContext(listen)) as context:
            code = int(options.run(options, context))
            sys.stdout.flush()
            return code
    except TagscopeError as error:
        answers = f" Options: {options_text(error.choices)}." if error.choices else ""
        print(f"error: {error}{answers}", file=sys.stderr)
        return 2 if isinstance(error, ArgumentError) else 1
    except JobCancelled:
        print("cancelled", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # the reader has left, such as head: what is buffered has nowhere to go, now or at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - the process ends here, with a message
        return _unexpected(error)


def _parser(words: list[str]) -> argparse.ArgumentParser:
    """The parser of the one command that is asked for, so that the others need not be imported."""
    parser = argparse.ArgumentParser(
        prog="tagscope",
        description="Annotate spatial transcriptomics and see which genes the model attends to.",
    )
    from tagscope import __version__

    parser.add_argument("--version", action="version", version=f"tagscope {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    wanted = next((word for word in words if word in COMMANDS), None)
    for name, summary in COMMANDS.items():
        if name == wanted:
            module = import_module(f"tagscope.cli.{name}")
            command = subparsers.add_parser(
                name,
                help=summary,
                description=module.__doc__,
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
            cast(Command, module).add_arguments(command)
            command.set_defaults(run=module.run)
        else:
            subparsers.add_parser(name, help=summary)
    return parser


@contextmanager
def _cancelled_by_interrupt(context: JobContext) -> Iterator[JobContext]:
    """The first Ctrl-C cancels the job in good order, the second stops at once."""

    def cancel(_signal: int, _frame: FrameType | None) -> None:
        if context.cancelled:
            raise KeyboardInterrupt
        print("\ncancelling…", file=sys.stderr)
        context.cancel()

    before = signal.signal(signal.SIGINT, cancel)
    try:
        yield context
    finally:
        signal.signal(signal.SIGINT, before)


def _unexpected(error: Exception) -> int:
    if os.environ.get("TAGSCOPE_DEBUG"):
        traceback.print_exc()
    print(
        f"error: {type(error).__name__}: {error}. This was not foreseen. "
        "Set TAGSCOPE_DEBUG=1 to see where it happened, and report it.",
        file=sys.stderr,
    )
    return 1
