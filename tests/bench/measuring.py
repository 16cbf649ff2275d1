"""Sides that take turns, clocks, peaks, and the tables they end in. Needs torch alone."""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch


class Time:
    """What seconds are: those of the wall, or those that this process had a processor for.

    On a machine that others use too, processor time of one thread is steadier by far.
    """

    now: Callable[[], float] = staticmethod(time.perf_counter)

    @classmethod
    def use(cls, name: str) -> None:
        """Count ``wall`` or ``cpu`` seconds from now on."""
        cls.now = staticmethod({"wall": time.perf_counter, "cpu": time.process_time}[name])


@dataclass(frozen=True)
class Turns:
    """How often sides take turns: ``rounds`` at most, about ``seconds`` for all, twice at least."""

    device: torch.device
    rounds: int
    seconds: float


@dataclass
class Run:
    """One pass over all cells: what was found, and seconds by stage ("all", "network", …)."""

    answer: Any
    seconds: dict[str, float]


class Clock:
    """Adds up the seconds of named stages; a stage on a GPU ends when the GPU is done."""

    def __init__(self, device: torch.device) -> None:
        self.seconds: dict[str, float] = {}
        self._device = device

    def __call__(self, name: str, work: Callable[[], Any]) -> Any:
        """What ``work`` gives, its time booked under ``name``."""
        began = Time.now()
        result = work()
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        self.seconds[name] = self.seconds.get(name, 0.0) + Time.now() - began
        return result


def timed(work: Callable[[], object]) -> Run:
    """What ``work`` gives, and how long it takes."""
    began = Time.now()
    answer = work()
    return Run(answer, {"all": Time.now() - began})


def in_turns(sides: dict[str, Callable[[], Run]], turns: Turns) -> dict[str, list[Run]]:
    """Every side in turn, until the rounds or the seconds are used up; one warm-up on CUDA."""
    if turns.device.type == "cuda":
        for run in sides.values():
            run()
    began = time.monotonic()
    runs: dict[str, list[Run]] = {name: [] for name in sides}
    for done in range(turns.rounds):
        if done >= 2 and time.monotonic() - began > turns.seconds:
            break
        for name, run in sides.items():
            runs[name].append(run())
    return runs


def rate(runs: list[Run], stage: str, cells: int) -> float:
    """Median cells per second of a stage."""
    return median(cells / run.seconds[stage] for run in runs)


def speed_up(runs: dict[str, list[Run]], side: str, against: str, stage: str) -> float:
    """How many times quicker a side is: the median over the turns."""
    pairs = zip(runs[against], runs[side], strict=True)
    return median(theirs.seconds[stage] / ours.seconds[stage] for theirs, ours in pairs)


def table(title: str, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a markdown table."""
    columns = list(header)
    print(f"\n### {title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        print(f"| {' | '.join(_cell(value) for value in row)} |")
    sys.stdout.flush()


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def peak_so_far() -> float:
    """Most memory this process has held, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # rusage would begin with what the parent held
        lines = status.read_text().splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) * 1024
    unit = 1 if platform.system() == "Darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def machine(device: torch.device) -> str:
    """What this runs on, in a line, with how busy it is."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        name = next(line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines()
                    if line.startswith("model name"))  # fmt: skip
    card = f"{torch.cuda.get_device_name(device)}; " if device.type == "cuda" else ""
    return (f"{card}{name}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
            f"{torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}, "
            f"load {os.getloadavg()[0]:.1f}")  # fmt: skip
