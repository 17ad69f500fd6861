"""Bounds of settings by their name: beyond them a part hangs, runs out of memory, or fails where nobody can tell why.

What a part itself refuses in its constructor needs no line here, unless it is fitted first: then its constructor runs
late.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

HUGE = 1e15  # no number of any setting is larger

MOST: Mapping[str, tuple[float, float, str]] = {
    # name: (least, most, unit)
    "seed": (0, 2**32 - 1, ""),
    "training_seed": (0, 2**32 - 1, ""),
    "requests": (1, 10_000_000, "requests"),
    "training_requests": (1, 10_000_000, "requests"),
    "window": (2, 10_000_000, "requests"),
    "fitted": (1, 10_000_000, "requests"),
    "clients": (1, 100_000, "clients"),
    "rate": (1e-9, 1e9, "requests/s"),
    "turns": (1, 10_000, "turns"),
    "copies": (2, 1000, "copies"),
    "max_tokens": (1, 10_000_000, "tokens"),
    "longest": (1, 20_000_000, "tokens"),
    "shortest": (1, 10_000_000, "tokens"),
    "system_tokens": (0, 10_000_000, "tokens"),
    "max_context": (1, 10_000_000, "tokens"),
    "template_tokens": (0, 10_000_000, "tokens"),
    "tokens_per_word": (1e-3, 1000, "tokens"),
    "median": (1e-3, 10_000_000, "tokens"),
    "median_tokens": (1e-3, 10_000_000, "tokens"),
    "clip": (1, 10_000_000, "tokens"),
    "longest_prompt": (1, 10_000_000, "tokens"),
    "id_tokens": (1, 1_000_000, "tokens"),
    "length": (0, 1e9, "tokens"),
    "batch_size": (1, 1_000_000, "requests"),
    "max_num_seqs": (1, 1_000_000, "requests"),
    "max_num_batched_tokens": (1, 1_000_000_000, "tokens"),
    "long_prefill_token_threshold": (0, 1_000_000_000, "tokens"),
    "max_wait": (0, 1e9, "s"),
    "seconds": (0, 1e6, "s"),
    "decision_seconds": (0, 1e6, "s"),
    "rank_seconds": (0, 1e6, "s"),
    "route_seconds": (0, 1e6, "s"),
    "ridge": (1e-9, 1e9, ""),
    "shrinkage": (0, 1e9, "answers"),
    "max_terms": (1, 10_000_000, "terms"),
    "landmarks": (1, 100_000, "prompts"),
    "width": (1e-9, 1e9, ""),
    "states": (0, 1e9, ""),
    "trees": (1, 10_000, "trees"),
    "samples": (1, 1_000_000, "answers"),
    "held_out": (1e-3, 0.9, "(a share)"),
    "nearest": (1, 1_000_000, "prompts"),
    "bucket": (1, 10_000_000, "tokens"),
    "hidden": (1, 8192, "units"),
    "learning_rate": (1e-9, 10, ""),
    "weight_decay": (0, 10, ""),
    "epochs": (1, 1000, "epochs"),
    "batch": (1, 1_000_000, "rows"),
    "bins": (2, 1000, "bins"),
    "every": (1, 10_000_000, "tokens"),
    "factor": (1e-9, 1e9, ""),
    "rules": (0, 5, "(the numbers of rules)"),
}
OR_SECONDS = ("window",)  # of which a part that takes a float sets the bounds itself


def outside(name: str, value: Any, hint: Any = Any) -> str | None:
    """What a setting called `name` must be, if `value` is beyond its bounds; of a list, each number.

    `hint` is what a part says of it: some names are of whole numbers in one part and of seconds in another.
    """
    if hint is float and name in OR_SECONDS:
        name = ""
    if isinstance(value, list):
        return next((problem for one in value if (problem := outside(name, one))), None)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None  # no number: its type is wrong
    least, most, unit = MOST.get(name, (-HUGE, HUGE, ""))
    if least <= value <= most:
        return None
    if name in MOST:
        return f"must be from {_figure(least)} to {_figure(most)} {unit}".rstrip()
    return f"must be less than {HUGE:g} in size"


def _figure(value: float) -> str:
    return f"{value:,.10g}" if 1e-3 <= value < 1e10 or not value else f"{value:g}"
