"""A side of a comparison that runs in a process of its own, as it would without the other side.

What one side sets for its process, such as how the C library keeps freed memory, would otherwise
quicken the other one too.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import torch

from measuring import Run


class Apart:
    """Builds a side in another process once, and there runs it whenever called.

    ``build`` is a function of a module; called with ``arguments`` it gives what runs the side.
    """

    def __init__(self, build: Callable[..., Callable[[], Run]], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._there, here = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(here, torch.get_num_threads(), build, arguments), daemon=True
        )
        self._process.start()
        here.close()
        self._there.recv()  # built

    def __call__(self) -> Run:
        """One run there, which is waited for."""
        self._there.send(True)
        run: Run = self._there.recv()
        return run

    def __enter__(self) -> Apart:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._there.close()
        self._process.join()


def _serve(
    here: Connection, threads: int, build: Callable[..., Callable[[], Run]],
    arguments: tuple[Any, ...],
) -> None:  # fmt: skip
    torch.set_num_threads(threads)
    run = build(*arguments)
    here.send(True)
    while True:
        try:
            here.recv()
        except EOFError:
            return
        here.send(run())
