"""A pretraining that several processes share comes to the numbers of a single one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tagscope.training.parallel import World, joined

UPDATE = Path(__file__).resolve().parents[2] / "pretraining_update.py"


def updated(out: Path, processes: int) -> dict[str, Any]:
    """What an update left, shared by so many processes."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *(launcher if processes > 1 else ()), str(UPDATE), str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = torch.load(out, weights_only=True)
    return found


@pytest.mark.slow
def test_two_processes_have_the_gradients_of_one(tmp_path):
    alone, shared = (updated(tmp_path / str(count), count) for count in (1, 2))
    assert (alone["size"], shared["size"]) == (1, 2)
    torch.testing.assert_close(shared["found"], alone["found"], rtol=1e-6, atol=0)
    assert shared["validation"] == pytest.approx(alone["validation"], rel=1e-5)
    for name, gradient in alone["gradients"].items():
        torch.testing.assert_close(shared["gradients"][name], gradient, rtol=1e-4, atol=1e-6)
        assert gradient.abs().sum() > 0, name


def test_without_torchrun_there_is_one_process():
    with joined(torch.device("cpu")) as world:
        assert world == World(0, 1)
        assert world.alone
        assert world.leads
        world.wait()
