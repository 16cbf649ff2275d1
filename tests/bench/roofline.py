"""What a machine can do, measured, and what a computation asks of it, counted from its shapes.

Needs torch alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from measuring import Time


@dataclass(frozen=True)
class Work:
    """``flops`` of all matrix products; ``bytes`` that operators read and write, each alone."""

    flops: int
    bytes: int


@dataclass(frozen=True)
class Ceilings:
    """Matrix products in FLOP/s by number format, and a large copy in bytes/s, read and written."""

    flops: dict[str, float]
    copy: float


class _Traffic(TorchDispatchMode):
    """Adds up the bytes of every operator's arguments and results; views cost nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        read = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        written = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        if not func.is_view and not func.name().startswith(("aten::empty", "aten::_unsafe_view")):
            self.bytes += sum(map(_bytes, read + written))
        return result


Shape = tuple[int, ...]


def _attention(query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


def _attention_backward(
    out: Shape, query: Shape, key: Shape, value: Shape, *_: Any, **__: Any
) -> int:
    return sdpa_backward_flop_count(out, query, key, value)


# torch's counter knows the kernels of cards alone.
_ON_CPU = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}


def count(work: Callable[[], object]) -> Work:
    """FLOPs and traffic of one call of ``work``, gradients included."""
    with FlopCounterMode(display=False, custom_mapping=_ON_CPU) as counter:
        work()
    with _Traffic() as traffic:
        work()
    return Work(counter.get_total_flops(), traffic.bytes)


def measure_ceilings(device: torch.device, quick: bool = False) -> Ceilings:
    """Large matrix products in fp32 (and TF32 on CUDA) and bf16, and a large copy."""
    size = 512 if quick else {"cpu": 2048, "cuda": 8192}[device.type]
    found = {}
    for name, dtype, precision in _formats(device):
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(precision)
        a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        found[name] = 2 * size**3 / _best_time(lambda a=a, b=b: a @ b, device)
        torch.set_float32_matmul_precision(before)
    numbers = torch.ones((1 << 20) if quick else {"cpu": 1 << 26, "cuda": 1 << 30}[device.type],
                         device=device)  # fmt: skip
    into = torch.empty_like(numbers)
    copied = 2 * numbers.nbytes / _best_time(lambda: into.copy_(numbers), device)
    return Ceilings(found, copied)


def _formats(device: torch.device) -> list[tuple[str, torch.dtype, str]]:
    formats = [("fp32", torch.float32, "highest"), ("bf16", torch.bfloat16, "highest")]
    return [*formats, ("tf32", torch.float32, "high")] if device.type == "cuda" else formats


def _best_time(work: Callable[[], object], device: torch.device, rounds: int = 12) -> float:
    """Seconds of the quickest of some calls: a ceiling is what can be reached at best."""
    times = []
    for _ in range(rounds):
        began = Time.now()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(Time.now() - began)
    return min(times)


def _bytes(tensor: torch.Tensor) -> int:
    """Memory behind a tensor; an expanded one costs its storage once."""
    storage: int = tensor.untyped_storage().nbytes()
    return min(storage, tensor.numel() * tensor.element_size())
