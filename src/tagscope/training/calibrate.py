"""Confidence that means what it says, and what is usual for a reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tagscope.core.reliability import expected_calibration_error, reliability_curve
from tagscope.jobs import JobContext
from tagscope.models.calibration import fit_temperature, softmax
from tagscope.models.novelty import NoveltyModel
from tagscope.training.loop import Examples
from tagscope.training.member import Member, Standing

Ints = npt.NDArray[np.int64]

_MOST_CELLS = 20_000  # of the training cells that say what is usual


@dataclass(frozen=True)
class Calibration:
    """``temperature`` divides every network's logits; ``fitted`` is the one of the held-out cells.

    ``novelty`` says how unlike the reference a cell is to the first network; a training that was
    cut short takes no time to find out. ``error_before`` and
    ``error_after`` are the expected calibration errors of the held-out cells without and with the
    fitted temperature, None without such cells.
    """

    temperature: float
    fitted: float
    novelty: NoveltyModel | None
    error_before: float | None
    error_after: float | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, the novelty's tensors left out."""
        return {key: value for key, value in vars(self).items() if key != "novelty"}


def calibrate(
    members: Sequence[Member],
    standings: list[Standing],
    device: torch.device,
    precision: torch.dtype,
    context: JobContext | None,
) -> Calibration:
    """From the cells that each network held out; the novelty only with a ``context``.

    A temperature below 1 sharpens confidences. Held-out cells vouch for that only where the section
    is of their kind: on another technology it made calibration worse on both tasks tried
    (docs/benchmarks/unseen-types.md), so there a temperature is only ever allowed to soften.
    """
    logits, codes = held_out(members, standings)
    fitted, before, after = 1.0, None, None
    if len(codes):
        fitted = fit_temperature(logits, codes)
        before, after = (_error(logits, codes, temperature) for temperature in (1.0, fitted))
    measured = members[0].prepared.measured
    same_kind = measured is None or measured.same_kind
    novelty = None
    if context is not None:
        novelty = _novelty(members[0], standings[0], device, precision, context)
    return Calibration(fitted if same_kind else max(fitted, 1.0), fitted, novelty, before, after)


def held_out(
    members: Sequence[Member], standings: list[Standing]
) -> tuple[npt.NDArray[np.float32], Ints]:
    """Logits (V, C) of all validation cells by the network that had not seen them, and codes."""
    logits = torch.cat([standing.logits for standing in standings]).numpy()
    codes = np.concatenate([member.validation_codes for member in members])
    return logits, codes


def _error(logits: npt.NDArray[np.float32], codes: Ints, temperature: float) -> float:
    probabilities = softmax(logits, temperature)
    right = probabilities.argmax(axis=1) == codes
    return expected_calibration_error(reliability_curve(probabilities.max(axis=1), right))


def _novelty(
    member: Member,
    standing: Standing,
    device: torch.device,
    precision: torch.dtype,
    context: JobContext,
) -> NoveltyModel:
    loop = member.start(device, precision)
    loop.network.load_state_dict(standing.best)
    training = member.training_as_validation(_MOST_CELLS, context)

    def embedding(examples: Examples) -> Tensor:
        return loop.predict(examples, context, stage="calibrating")[1]

    unseen = member.validation(context)
    held = embedding(unseen).numpy() if len(unseen) else None
    return NoveltyModel.fit(embedding(training).numpy(), training.codes, held, seed=member.seed)
