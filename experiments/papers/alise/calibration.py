"""ALISE's execution-time model: T_pre = s * T0 and T_dec = n * (alpha * s + beta), fitted to the first GPU's profile.

The points are the training prompts' lengths; a request is alone in its batch [A]: the paper's fits are known by form.
"""

from __future__ import annotations

import numpy as np

from experiments.papers.rtlm.calibration import first
from experiments.run.parts import Fitted
from sim import Cluster
from sim.step import Step, attended_tokens

LEVELS = np.linspace(0.05, 0.95, 19)  # of the training prompts' lengths


def t0(cluster: Cluster, known: Fitted) -> float:
    """Seconds per prompt token: the line through 0 that is nearest to the prefills' seconds."""
    lengths, gpu = _prompts(known), first(cluster, "gpu")
    seconds = [
        gpu.profile.step_time(Step(prefill_tokens=tokens, prefill_attended=attended_tokens(tokens, 0)))
        for tokens in lengths
    ]
    return float(np.dot(lengths, seconds) / np.dot(lengths, lengths))


def alpha(cluster: Cluster, known: Fitted) -> float:
    """Seconds per output token and prompt token: the slope of a decode step's seconds."""
    return _decode(cluster, known)[0]


def beta(cluster: Cluster, known: Fitted) -> float:
    """Seconds per output token beside them."""
    return _decode(cluster, known)[1]


def _prompts(known: Fitted) -> list[int]:
    return [max(1, int(tokens)) for tokens in known.training.table["prompt_tokens"].quantile(LEVELS)]


def _decode(cluster: Cluster, known: Fitted) -> tuple[float, float]:
    """Slope and intercept of the seconds of a decode step over the prompt's length; none falls."""
    lengths, gpu = _prompts(known), first(cluster, "gpu")
    seconds = [gpu.profile.step_time(Step(decode_jobs=1, decode_context=tokens)) for tokens in lengths]
    if min(lengths) == max(lengths):
        return 0.0, seconds[0]
    slope, intercept = np.polyfit(lengths, seconds, 1)
    return max(0.0, float(slope)), max(0.0, float(intercept))
