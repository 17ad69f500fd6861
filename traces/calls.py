"""The calls in the answers of a trace (column `pauses`): their tokens, and answers without them or ended in time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd


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
    return table.assign(**changed)


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
