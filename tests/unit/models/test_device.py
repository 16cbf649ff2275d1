"""Devices and precisions by name."""

from __future__ import annotations

import pytest
import torch

from tagscope.errors import ArgumentError
from tagscope.models.device import (
    available_devices,
    choose_device,
    choose_precision,
    reduced,
)


def test_devices_by_name() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type == available_devices()[-1]
    for name in ("tpu", "cuda:99", "cpu:x", "mps:7"):
        with pytest.raises(ArgumentError, match="There is no device"):
            choose_device(name)


def test_precisions_by_name() -> None:
    assert choose_precision("auto") == choose_precision("fp32") == torch.float32
    assert choose_precision("bf16", torch.device("cpu")) == torch.bfloat16
    with pytest.raises(ArgumentError, match="fp64"):
        choose_precision("fp64")


def test_reduced_precision_is_bf16_or_nothing() -> None:
    cpu, ones = torch.device("cpu"), torch.ones(4, 4)
    with reduced(torch.float32, cpu):
        assert (ones @ ones).dtype == torch.float32
    with reduced(torch.bfloat16, cpu):
        assert (ones @ ones).dtype == torch.bfloat16
