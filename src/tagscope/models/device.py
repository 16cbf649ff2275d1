"""Where a network runs and in which precision."""

from __future__ import annotations

from typing import Literal

import torch

from tagscope.errors import ArgumentError

Precision = Literal["auto", "fp32", "bf16"]

_BF16_ON_CPU = ("avx512_bf16", "amx_tile")


def choose_device(name: str = "auto") -> torch.device:
    """The device of a name: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises
    ------
    ArgumentError
        If there is no such device on this machine.
    """
    found = available_devices()
    if name == "auto":
        return torch.device(found[-1])
    kind, _, number = name.partition(":")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    index_fits = not number or (kind == "cuda" and number.isdigit() and int(number) < count)
    if kind not in found or not index_fits:
        raise ArgumentError(
            f"There is no device {name!r} here.",
            f"Found: {', '.join(found)}{f' ({count} cards)' if kind == 'cuda' else ''}.",
            "Leave the device at auto, or name one of these.",
        )
    return torch.device(name)


def device_name(device: torch.device) -> str:
    """A device as people know it, a card with its name."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)


def available_devices() -> list[str]:
    """Kinds of device on this machine, the fastest last."""
    found = ["cpu"]
    if torch.backends.mps.is_available():
        found.append("mps")
    if torch.cuda.is_available():
        found.append("cuda")
    return found


def choose_precision(name: str = "auto", device: torch.device | None = None) -> torch.dtype:
    """The precision of a name: ``auto``, ``fp32`` or ``bf16``; ``auto`` is fp32 everywhere.

    Raises
    ------
    ArgumentError
        If the name is unknown, or the device does not know bf16.
    """
    if name in ("auto", "fp32"):
        return torch.float32
    if name != "bf16":
        raise ArgumentError(
            f"There is no precision {name!r}.", "Needed: auto, fp32 or bf16.", "Name one of these."
        )
    if device is not None and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise ArgumentError(
            f"{torch.cuda.get_device_name(device)} does not compute in bf16.",
            "bf16 needs an Ampere card or a newer one.",
            "Use full precision (fp32).",
            {"precision": "fp32"},
        )
    return torch.bfloat16


def quickest_precision(name: str, device: torch.device) -> torch.dtype:
    """As :func:`choose_precision`, but ``auto`` is bf16 where the device computes in it.

    For models that were made for bf16. A CPU does where it has AVX-512 BF16 or AMX.
    """
    if name != "auto":
        return choose_precision(name, device)
    if device.type == "cuda":
        knows = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        knows = device.type == "cpu" and _cpu_has_bf16()
    return torch.bfloat16 if knows else torch.float32


def _cpu_has_bf16() -> bool:
    asked = (getattr(torch.cpu, f"_is_{name}_supported", None) for name in _BF16_ON_CPU)
    return any(ask() for ask in asked if ask is not None)


def reduced(precision: torch.dtype, device: torch.device) -> torch.autocast:
    """A context in which matrix products run in ``precision``; fp32 changes nothing."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision != torch.float32)
