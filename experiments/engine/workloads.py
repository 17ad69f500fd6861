"""Random workloads of small requests, each made to exercise one feature of a scheduler, in the format of `golden`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from experiments.engine.golden import OUTPUT_ID, Workload

IDS = 1000  # token ids of prompts are below this
BLOCK_SIZES = (1, 4, 8, 16, 16, 16, 32, 64)  # tokens


@dataclass
class Draft:
    """A workload in the making. `shortest` and `longest` are a prompt's; `room` is memory over the largest request."""

    rng: np.random.Generator
    requests: int
    seats: int  # max_num_seqs
    budget: int  # max_num_batched_tokens
    block_size: int
    shortest: int = 2
    longest: int = 400
    room: float = math.inf
    tightness: float = 0.5  # the chance that arrivals outrun the service
    settings: dict[str, Any] = field(default_factory=dict)
    prompts: list[list[int]] | None = None
    outputs: list[int] = field(default_factory=list)


def generate(kind: str, rng: np.random.Generator, ahead: bool = False, stops: bool = False) -> Workload:
    """A workload of `kind`, one of `KINDS`: config, iteration_seconds and requests.

    It is for the scheduler that plans `ahead`, or not; if it `stops`, most answers end below their max_tokens.
    """
    seats = _between(rng, 2, 48)
    draft = Draft(
        rng,
        requests=int(rng.integers(20, 61)),
        seats=seats,
        budget=max(seats, _between(rng, 16, 1024)),  # vLLM refuses a budget below max_num_seqs
        block_size=int(rng.choice(BLOCK_SIZES)),
    )
    KINDS[kind](draft)
    rows = _rows(draft)
    config = _config(draft, rows)
    seconds = {"fixed": _log_uniform(rng, 0.001, 0.05), "per_scheduled_token": _log_uniform(rng, 1e-6, 1e-3)}
    for row, arrival in zip(rows, _arrivals(draft, config, seconds, rows), strict=True):
        row["arrival"] = arrival
    if ahead:
        config["async_scheduling"] = True
    if stops:
        share = rng.choice([0.6, 1.0])
        for row in rows:
            if rng.random() < share:
                row["max_tokens"] = row["output_tokens"] + _between(rng, 1, 200)
    return {"kind": kind, "config": config, "iteration_seconds": seconds, "requests": rows}


# The kinds


def _plain(draft: Draft) -> None:
    """Places and budget alone are short."""


def _memory(draft: Draft) -> None:
    """Answers outgrow the memory, so jobs are preempted."""
    draft.seats = max(draft.seats, 4)
    draft.budget = max(draft.seats, draft.budget if draft.rng.random() < 0.6 else _between(draft.rng, 4, 64))
    draft.longest = _between(draft.rng, 40, 400)
    draft.room = _log_uniform(draft.rng, 1.0, 3.0)
    draft.tightness = 0.9


def _priority(draft: Draft) -> None:
    """Jobs of low priority are preempted, wherever they stand."""
    _memory(draft)
    draft.settings["policy"] = "priority"


def _prefix(draft: Draft) -> None:
    """Prompts begin alike, in groups; some are equal, some go on from an earlier prompt and its answer."""
    rng = draft.rng
    draft.settings["enable_prefix_caching"] = True
    draft.settings["policy"] = "priority" if rng.random() < 0.25 else "fcfs"
    if rng.random() < 0.25:
        draft.settings["long_prefill_token_threshold"] = _between(rng, 8, 128)
    draft.room = _log_uniform(rng, 1.0, 8.0)
    draft.tightness = 0.7
    draft.outputs = _lengths(rng, draft.requests, 1, 150)
    draft.prompts = _shared_prompts(rng, draft.outputs)


def _long_prefill(draft: Draft) -> None:
    """Several prompts at once are longer than one chunk may be."""
    rng = draft.rng
    threshold = _between(rng, 8, 128)
    draft.settings["long_prefill_token_threshold"] = threshold
    draft.settings["policy"] = "priority" if rng.random() < 0.25 else "fcfs"
    draft.seats = max(draft.seats, 4)
    draft.budget = max(draft.seats, draft.budget, 2 * threshold)
    draft.shortest = threshold // 2
    draft.longest = threshold * int(rng.integers(3, 9))
    draft.room = _log_uniform(rng, 1.2, 4.0) if rng.random() < 0.5 else math.inf
    draft.tightness = 0.8


def _unchunked(draft: Draft) -> None:
    """A prompt is prefilled in one step, or waits for one that has room."""
    rng = draft.rng
    draft.settings["enable_chunked_prefill"] = False
    if rng.random() < 0.25:
        draft.settings["enable_prefix_caching"] = True
        draft.outputs = _lengths(rng, draft.requests, 1, 150)
        draft.prompts = _shared_prompts(rng, draft.outputs)
    if rng.random() < 0.25:  # the threshold cuts a prefill nevertheless
        draft.settings["long_prefill_token_threshold"] = _between(rng, 32, 256)
    if rng.random() < 0.7:
        draft.room = _log_uniform(rng, 1.0, 4.0)
    draft.tightness = 0.8


KINDS: dict[str, Callable[[Draft], None]] = {
    "plain": _plain,
    "memory": _memory,
    "priority": _priority,
    "prefix": _prefix,
    "longprefill": _long_prefill,
    "unchunked": _unchunked,
}


# The parts of a workload


def _rows(draft: Draft) -> list[dict[str, Any]]:
    """The requests, in order of arrival, which is not set yet."""
    rng, count = draft.rng, draft.requests
    prompts = draft.prompts
    lengths = [len(ids) for ids in prompts] if prompts else _lengths(rng, count, draft.shortest, draft.longest)
    if not prompts and rng.random() < 0.3:  # prompts that fill their last block
        lengths = [-(-length // draft.block_size) * draft.block_size for length in lengths]
    outputs = draft.outputs or _lengths(rng, count, 1, 150)
    levels = int(rng.integers(2, 6))
    return [
        {
            "id": number,
            "arrival": 0.0,
            "prompt_token_ids": prompts[number] if prompts else None,
            "prompt_tokens": lengths[number],
            "output_tokens": outputs[number],
            "priority": int(rng.integers(-1, levels)),
        }
        for number in range(count)
    ]


def _config(draft: Draft, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """vLLM's settings, under which each of `rows` can be served."""
    rng = draft.rng
    totals = sorted((row["prompt_tokens"] + row["output_tokens"] for row in rows), reverse=True)
    blocks = [-(-total // draft.block_size) for total in totals]
    usable = sum(blocks[: draft.seats]) if draft.room == math.inf else math.ceil(blocks[0] * draft.room)
    chunked = draft.settings.get("enable_chunked_prefill", True)
    max_model_len = totals[0] + (int(rng.integers(0, 200)) if rng.random() < 0.7 else 0)
    # A job that is preempted prefills its answer too, so an unchunked budget has to hold prompt and output.
    budget = draft.budget if chunked else max(draft.seats, max_model_len + _between(rng, 1, 600))
    threshold = draft.settings.get("long_prefill_token_threshold", 0)
    return {
        "max_num_seqs": draft.seats,
        "max_num_batched_tokens": budget,
        "num_blocks": usable + 1,  # one is vLLM's null block
        "block_size": draft.block_size,
        "policy": "fcfs",
        "enable_prefix_caching": False,
        "enable_chunked_prefill": True,
        **draft.settings,
        "long_prefill_token_threshold": min(threshold, max_model_len),
        "max_model_len": max_model_len,
    }


def _arrivals(
    draft: Draft, config: dict[str, Any], seconds: dict[str, float], rows: list[dict[str, Any]]
) -> list[float]:
    """Rising instants (s), no two equal: vLLM breaks such ties by the text of the ids. Bursts, and idle gaps.

    They are not rounded, so that none falls on the very end of an iteration, where rounding errors would decide.
    """
    rng = draft.rng
    prompt, output = (sum(row[name] for row in rows) for name in ("prompt_tokens", "output_tokens"))
    steps = output / config["max_num_seqs"] + prompt / config["max_num_batched_tokens"]
    service = seconds["fixed"] * steps + seconds["per_scheduled_token"] * (prompt + output)
    crowded = rng.random() < draft.tightness
    span = service * (_log_uniform(rng, 0.01, 0.5) if crowded else _log_uniform(rng, 0.5, 4.0))
    gaps = rng.exponential(span / len(rows), len(rows)) + 1e-7
    burst = rng.random(len(rows)) < rng.choice([0.0, 0.3, 0.7])
    gaps[burst] *= 1e-3
    idle = rng.random(len(rows)) < rng.choice([0.0, 0.05])
    gaps[idle] += service / 2
    return np.cumsum(gaps).tolist()


def _shared_prompts(rng: np.random.Generator, outputs: list[int]) -> list[list[int]]:
    """Prompts of token ids, one for each answer of `outputs` tokens."""
    prefixes: list[list[int]] = []
    for _ in range(int(rng.integers(2, 7))):
        within = prefixes[rng.integers(len(prefixes))] if prefixes and rng.random() < 0.3 else []
        prefixes.append(within[: int(rng.integers(0, 200))] + _ids(rng, _between(rng, 8, 300)))
    prompts: list[list[int]] = []
    for _ in outputs:
        chance = rng.random()
        before = -1 if rng.random() < 0.5 else int(rng.integers(len(prompts) or 1))
        if prompts and chance < 0.12:
            prompts.append(prompts[before])
        elif prompts and chance < 0.24 and len(prompts[before]) < 500:
            answer = [OUTPUT_ID] * outputs[before]
            prompts.append(prompts[before] + answer + _ids(rng, _between(rng, 1, 60)))
        elif chance < 0.85:
            prompts.append(prefixes[rng.integers(len(prefixes))] + _ids(rng, int(rng.integers(0, 120))))
        else:
            prompts.append(_ids(rng, _between(rng, 2, 400)))
    return prompts


def _ids(rng: np.random.Generator, count: int) -> list[int]:
    return rng.integers(0, IDS, count).tolist()


def _lengths(rng: np.random.Generator, count: int, low: int, high: int) -> list[int]:
    """So many lengths in `low` .. `high`: even, or most of them short."""
    if rng.random() < 0.5:
        return rng.integers(low, high + 1, count).tolist()
    return [_between(rng, low, high) for _ in range(count)]


def _between(rng: np.random.Generator, low: int, high: int) -> int:
    """A whole number in `low` .. `high`, evenly over its logarithm."""
    return min(high, int(_log_uniform(rng, low, high + 1)))


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
