"""The answers that predictors are fitted to: one or more sampled output lengths of each training request."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sim.request import Request


def log_lengths(requests: Sequence[Request], answers: Sequence[Sequence[int]]) -> list[NDArray[np.float64]]:
    """The logs of each request's `answers` (tokens); ValueError unless each has one or more, of at least one token."""
    if len(requests) != len(answers):
        raise ValueError(f"answers must stand beside requests, got {len(answers)} beside {len(requests)}")
    for request, lengths in zip(requests, answers, strict=True):
        if not len(lengths) or min(lengths) < 1:
            raise ValueError(f"request {request.id} needs answers of at least one token, got {list(lengths)}")
    return [np.log(np.asarray(lengths, dtype=float)) for lengths in answers]
