"""Say what is wrong with a section for a model: all of it at once, each with its fix.

Exits with 1 when something must be mended before the section can be annotated.

example:
  tagscope check section.zarr --bundle cellmemory
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tagscope.cli.options import add_section_options, section_choices
from tagscope.jobs import JobContext


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("section", type=Path, metavar="SECTION")
    parser.add_argument("--bundle", type=Path, help="model that the section is meant for")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_section_options(parser)


def run(options: argparse.Namespace, context: JobContext) -> int:  # noqa: ARG001 - all run alike
    """Check and print."""
    from tagscope import api

    found = api.check(options.section, options.bundle, **section_choices(options))
    print(json.dumps(found.to_dict(), indent=2) if options.json else found.to_text())
    return 0 if found.ok else 1
