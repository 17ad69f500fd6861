"""The calls in the answers of a trace (column `pauses`): their tokens, and answers without them or ended in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from traces.schema import MEASURED


def returned(table: pd.DataFrame) -> np.ndarray:
    """Tokens that the calls of each request return, int64; 0 without calls."""
    if "pauses" not in table:
        return np.zeros(len(table), dtype=np.int64)
    return np.array([sum(int(tokens) for _, _, tokens in pauses) for pauses in table["pauses"]], dtype=np.int64)


def context(table: pd.DataFrame) -> np.ndarray:
    """Tokens of each request in the end: prompt, answer and what its calls return."""
    return (table["prompt_tokens"] + table["output_tokens"]).to_numpy() + returned(table)


def ended(table: pd.DataFrame, longest: np.ndarray) -> pd.DataFrame:
    """`table` with each answer ended where prompt, answer and what its calls return are `longest` tokens.

    A call that does not leave room for what it returns and one token more ends its answer. ValueError where a prompt
    leaves no room for an answer's first token.
    """
    if (table["prompt_tokens"].to_numpy() >= longest).any():
        row = int(np.argmax(table["prompt_tokens"].to_numpy() - longest))
        raise ValueError(f"a prompt of {table['prompt_tokens'].iloc[row]} tokens has no room in {longest[row]} tokens")
    answers = [
        _ended(int(output), pauses, int(room))
        for output, pauses, room in zip(
            table["output_tokens"], _pauses(table), longest - table["prompt_tokens"].to_numpy(), strict=True
        )
    ]
    changed: dict[str, Any] = {"output_tokens": [output for output, _ in answers]}
    if "pauses" in table:
        changed["pauses"] = pd.Series([pauses for _, pauses in answers], index=table.index)
    return cut(table.assign(**changed), longest)


def cut(table: pd.DataFrame, longest: int | np.ndarray) -> pd.DataFrame:
    """`table`, whose answers were ended so that they have at most `longest` tokens with their prompts: their proposals
    end with them, and the other `samples` where they would."""
    if "proposals" in table:
        kept = zip(table["proposals"], table["output_tokens"], strict=True)
        table = table.assign(proposals=pd.Series([row[:tokens] for row, tokens in kept], index=table.index))
    if "samples" in table:
        rooms = zip(table["samples"], (longest - table["prompt_tokens"]).tolist(), strict=True)
        short = [[min(int(tokens), room) for tokens in row] for row, room in rooms]
        table = table.assign(samples=pd.Series(short, index=table.index))
    return table


def _pauses(table: pd.DataFrame) -> list[list[Any]]:
    return table["pauses"].tolist() if "pauses" in table else [[]] * len(table)


def _ended(output: int, pauses: list[Any], room: int) -> tuple[int, list[Any]]:
    kept: list[Any] = []
    put_in = 0
    for pause in pauses:
        emitted, _, tokens = pause
        if emitted + put_in + tokens >= room:
            return min(int(emitted), room - put_in), kept
        put_in += int(tokens)
        kept.append(pause)
    return min(output, room - put_in), kept


@dataclass(frozen=True)
class Plain:
    """Each request is a plain one with the probability `share`: the same prompt and the same answer without its calls.

    What they would have returned is in no context then, and no longer in its `max_tokens`, if it has them.
    """

    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"share must be above 0 and at most 1, got {self.share}")

    def __call__(self, table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        if "pauses" not in table:
            raise ValueError(f"the trace has no column 'pauses'; it has {', '.join(table.columns)}")
        plain = rng.random(len(table)) < self.share
        calls = [[] if one else pauses for one, pauses in zip(plain, table["pauses"], strict=True)]
        changed: dict[str, Any] = {"pauses": pd.Series(calls, index=table.index)}
        if "max_tokens" in table:
            less = np.where(plain, returned(table), 0)
            changed["max_tokens"] = np.maximum(table["max_tokens"] - less, table["output_tokens"])
        unmeasured = table.drop(columns=[name for name in MEASURED if name in table])
        return unmeasured.assign(**changed)
