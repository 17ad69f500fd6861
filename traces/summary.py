"""What a trace holds, in figures: arrivals, lengths, and whatever else its columns say."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pandas as pd

from traces.schema import by_model

PERCENTS = (50, 90, 99)
LENGTHS = ("prompt_tokens", "output_tokens")


def summary(table: pd.DataFrame) -> dict[str, float]:
    """Rows, span (s), mean rate (requests/s), CV of the gaps, mean, quantiles and maxima of the lengths (tokens), and
    of the optional columns: clients, tasks, sessions, caps, pauses (s) and the reuse of prompts' prefixes (shares).

    Rate and CV are NaN where all requests arrive at one instant.
    """
    gaps = np.diff(table["arrival"].to_numpy())
    span = float(gaps.sum())
    figures = {
        "rows": float(len(table)),
        "span": span,
        "rate": len(gaps) / span if span > 0 else np.nan,
        "gap_cv": float(gaps.std() / gaps.mean()) if span > 0 else np.nan,
    }
    for name in (*LENGTHS, *by_model(table), *(name for name in ("max_tokens",) if name in table)):
        figures |= quantiles(name, table[name].to_numpy())
    for name in ("client", "task"):
        if name in table:
            figures |= _groups(name, table[name])
    if "session" in table:
        turns = table["session"].value_counts().to_numpy()
        figures |= {"sessions": float(len(turns)), "turns_mean": float(turns.mean()), "turns_max": float(turns.max())}
        figures["turns_one"] = float((turns == 1).mean())
    if "pauses" in table:
        figures |= _pauses(table["pauses"])
    if "prompt_ids" in table:
        figures |= prefix_reuse(table)
    return figures


def quantiles(name: str, values: np.ndarray) -> dict[str, float]:
    """`name`_mean, _p50, _p90, _p99 and _max; NaN without values."""
    if not len(values):
        return {f"{name}_{kind}": np.nan for kind in ("mean", *(f"p{percent}" for percent in PERCENTS), "max")}
    found = {f"{name}_p{percent}": float(np.percentile(values, percent)) for percent in PERCENTS}
    return {f"{name}_mean": float(values.mean()), **found, f"{name}_max": float(values.max())}


def _groups(name: str, column: pd.Series) -> dict[str, float]:
    counts = column.value_counts()
    return {f"{name}s": float(len(counts)), f"{name}_largest_share": float(counts.iloc[0] / len(column))}


def _pauses(column: pd.Series) -> dict[str, float]:
    total = np.array([sum(pause[1] for pause in pauses) for pauses in column if len(pauses)], dtype=float)
    seconds = np.array([pause[1] for pauses in column for pause in pauses], dtype=float)
    returned = np.array([pause[2] for pauses in column for pause in pauses], dtype=float)
    return {
        "pauses": float(len(seconds)),
        "paused_share": float(column.map(len).gt(0).mean()),
        **quantiles("pause_calls", column.map(len).to_numpy(dtype=float)),
        **quantiles("pause_seconds", seconds),
        **quantiles("pause_total", total),
        **quantiles("pause_returned", returned),
    }


def prefix_reuse(table: pd.DataFrame) -> dict[str, float]:
    """How much of the prompts a prefix cache without bounds would have held when they came, in their order.

    A block of a prompt is held if an earlier prompt began with the same ids up to and with it. `block_reuse` is the
    share of all blocks, `token_reuse` that of all prompts' tokens.
    """
    held = held_blocks(table["prompt_ids"])
    counts = table["prompt_ids"].map(len).to_numpy()
    size = table["id_tokens"].to_numpy()
    prompts = table["prompt_tokens"].to_numpy()
    tokens = np.minimum(held * size, prompts)
    return {
        "prompt_blocks": float(counts.sum()),
        "block_reuse": float(held.sum() / counts.sum()) if counts.any() else np.nan,
        "token_reuse": float(tokens.sum() / prompts.sum()),
    }


def held_blocks(prompts: pd.Series) -> np.ndarray:
    """How many leading blocks of each prompt an earlier one began with, int64.

    All prompts are walked a block at a time: two are at the same node as long as their ids agreed so far.
    """
    counts = prompts.map(len).to_numpy()
    flat = pd.factorize(np.fromiter(chain.from_iterable(prompts), dtype=object))[0]  # as objects: ids may be hashes
    starts = np.cumsum(counts) - counts
    held = np.zeros(len(counts), dtype=np.int64)
    rows = np.flatnonzero(counts > 0)
    node = np.zeros(len(rows), dtype=np.int64)
    depth = 0
    while len(rows):
        path = node * (len(flat) + 1) + flat[starts[rows] + depth]
        _, first, node = np.unique(path, return_index=True, return_inverse=True)
        held[rows] += first[node] < np.arange(len(rows))
        depth += 1
        shared = np.bincount(node)[node] > 1  # one that is alone stays alone
        going = shared & (counts[rows] > depth)
        rows, node = rows[going], node[going]
    return held
