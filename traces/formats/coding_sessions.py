"""Calls of coding agents' sessions (kv-cache-tester, Apache-2.0), re-packed as one parquet table without text.

Each row is a model call: lengths, how many blocks of 64 tokens of its prompt are as in the call before it, and how long
after that one's end it came. Contents are local to a session. `t` and the gaps are from each session's own start: when
sessions start is not known. How long the provider took (`api_time`, `ttft`) is no measurement of any machine that is
known, and is not read but for whether it is there: where it is not, the gap after that call is not known either.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from traces.formats.parquet import read_columns
from traces.schema import LONGEST, TraceError, check_columns
from traces.summary import quantiles

BLOCK = 64  # tokens
FIRST_CALLS = 3  # by whose prompts' lengths a session is told from its copies
KEY = ["trace", "agent"]
MAIN = "0"  # the agent that is no sub-agent
COUNTS = ("i", "input_tokens", "output_tokens", "blocks", "lcp_prev_blocks")
COLUMNS = (*KEY, *COUNTS, "t", "api_time", "think_time", "input_types")


def read_calls(path: Path) -> pd.DataFrame:
    """All calls, those of a session one after another; TraceError names row (from 1), column and value of a bad cell.

    `i` is a call's place in its session, `gap` how long after the end of the one before it a call came (s, NaN of a
    first one), `bounded` whether that end is not recorded: then the gap is the think time noted, but no more than the
    time between the two calls' starts.
    """
    table, _ = read_columns(path, *COLUMNS)
    check_columns(table, str(path), COLUMNS, COLUMNS)
    for name in (*KEY, "input_types"):
        _refuse(path, table, name, ~table[name].map(lambda cell: isinstance(cell, str)), "is not text")
    for name in (*COUNTS, "t", "api_time", "think_time"):
        optional = name in ("api_time", "think_time")
        numbers = pd.to_numeric(table[name], errors="coerce").astype(float)
        bad = numbers.isna() & (table[name].notna() | (not optional))
        _refuse(path, table, name, bad | (numbers < 0) | np.isinf(numbers), "is not a number from 0")
        if name in COUNTS:
            _refuse(path, table, name, (numbers % 1 > 0) | (numbers > LONGEST), "is no count")
            numbers = numbers.astype(np.int64)
        table[name] = numbers
    _refuse(path, table, "input_tokens", table["input_tokens"] < 1, "is below 1")
    _refuse(path, table, "blocks", table["blocks"] != table["input_tokens"] // BLOCK, f"is not input_tokens / {BLOCK}")
    calls = table.groupby(KEY, sort=False)
    _refuse(path, table, "i", calls["i"].diff() < 1, "is not above that of the call before it")
    place = calls.cumcount()  # `i` has gaps
    since, before = calls["t"].diff(), calls["blocks"].shift(fill_value=0)
    _refuse(path, table, "t", since < 0, "is earlier than the call before it")
    shared = np.minimum(before, table["blocks"])
    _refuse(path, table, "lcp_prev_blocks", table["lcp_prev_blocks"] > shared, "is more than two prompts have")
    bounded = calls["api_time"].shift().isna() & (place > 0)
    gap = table["think_time"].where(~bounded, np.fmin(table["think_time"], since))
    _refuse(path, table, "think_time", gap.isna() & (place > 0), "is missing")
    return table.drop(columns=["api_time", "think_time"]).assign(i=place, gap=gap.where(place > 0), bounded=bounded)


def _refuse(path: Path, table: pd.DataFrame, name: str, bad: Any, reason: str) -> None:
    rows = np.flatnonzero(bad)
    if len(rows):
        cell = table[name].iloc[rows[0]]
        plain = cell.item() if isinstance(cell, np.generic) else cell
        raise TraceError(f"{path}, row {rows[0] + 1}: {name} {plain!r} {reason}")


def distinct(calls: pd.DataFrame) -> pd.DataFrame:
    """`calls` without copies: of sessions whose first calls have prompts of equal lengths, the longest alone, with its
    sub-agents. `attrs["repeated"]` counts those that went."""
    main = calls[calls["agent"] == MAIN]
    first = main[main["i"] < FIRST_CALLS].groupby("trace", sort=False)["input_tokens"].agg(tuple)
    length = main.groupby("trace", sort=False).size()
    best = length.sort_values(ascending=False, kind="stable").index
    kept = first.loc[best].drop_duplicates().index
    table = calls[calls["trace"].isin(kept)].reset_index(drop=True)
    table.attrs["repeated"] = len(first) - len(kept)
    return table


def figures(table: pd.DataFrame) -> dict[str, Any]:
    """Sessions, their calls and longest contexts, new tokens of a call, what is shared with the call before, and gaps
    (s) after a tool's result and after a user's text."""
    calls = distinct(table)
    later = calls[calls["i"] > 0]
    sizes, longest = calls.groupby(KEY).size(), calls.groupby(KEY)["input_tokens"].max()
    new = later["input_tokens"] - later["lcp_prev_blocks"] * BLOCK
    found = {
        "rows": float(len(table)),
        "sessions": float(len(sizes)),
        "repeated": float(calls.attrs["repeated"]),
        "sub_agents": float((sizes.index.get_level_values("agent") != MAIN).sum()),
        "token_reuse": float(BLOCK * later["lcp_prev_blocks"].sum() / later["input_tokens"].sum()),
    }
    for name, values in (
        ("session_calls", sizes), ("session_context", longest), ("prompt_tokens", calls["input_tokens"]),
        ("new_tokens", new), ("output_tokens", calls["output_tokens"]),
        ("tool_seconds", later["gap"][later["input_types"] == "tool_result"]),
        ("user_seconds", later["gap"][later["input_types"] == "text"]),
    ):  # fmt: skip
        found |= quantiles(name, values.to_numpy(dtype=float))
    return found
