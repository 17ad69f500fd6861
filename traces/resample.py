"""A moving-block bootstrap of a trace: other replays of one recording, from which intervals can be had."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from traces.operations import moved

WAYS = ("blocks",)


@dataclass(frozen=True)
class Blocks:
    """As many rows as the trace has, in blocks of `length` consecutive ones, each with the gap before it: drawn with
    replacement from all such blocks (the moving-block bootstrap: H. R. Kuensch, Annals of Statistics 17, 1989).

    None: the cube root of the rows, rounded, the order of length that is best for a mean's variance (D. N. Politis and
    H. White, Econometric Reviews 23, 2004). What depends on one another over more rows than a block has, such as the
    hours of a day, is torn apart: give a longer one. The first row, whose gap is not recorded, has the mean gap.

    A row that is drawn twice keeps its client, task and contents (`prompt_ids`), so that a prefix cache finds in the
    second all of the first: with prefix caching, hits are too many. Its request id is its own, and a session goes no
    further than its block: both have the block's number in the order of drawing, "x (block 3)" of x;
    `attrs["broken_sessions"]` counts sessions in a block that lack some of their turns. What a real run measured goes.
    ValueError for a closed loop, whose sessions cannot be cut.
    """

    length: int | None = None

    def __post_init__(self) -> None:
        if self.length is not None and self.length < 1:
            raise ValueError(f"block must be at least 1 row, got {self.length}")

    def __call__(self, table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        rows = len(table)
        if "think" in table:
            raise ValueError("resample=blocks cannot draw blocks of a closed loop, whose requests wait for one another")
        length = self.of(rows)
        starts = rng.integers(rows - length + 1, size=-(-rows // length))
        block = np.repeat(np.arange(len(starts)), length)[:rows]
        drawn = (starts[:, None] + np.arange(length)).ravel()[:rows]
        gaps = np.diff(table["arrival"].to_numpy())
        gaps = np.concatenate([[gaps.mean() if len(gaps) else 0.0], gaps])[drawn]
        gaps[0] = 0.0
        drawn_rows = table.iloc[drawn].reset_index(drop=True)
        names = [f" (block {number + 1})" for number in block]
        changed = {name: drawn_rows[name] + names for name in ("session", "request_id") if name in table}
        result = moved(drawn_rows.assign(**changed), np.cumsum(gaps))
        result.attrs = dict(table.attrs)
        if "session" in table:
            turns = table["session"].value_counts()
            found = (
                pd.Series(drawn_rows["session"].to_numpy()).groupby([drawn_rows["session"].to_numpy(), block]).size()
            )
            broken = int((found.to_numpy() < turns.loc[found.index.get_level_values(0)].to_numpy()).sum())
            result.attrs["broken_sessions"] = table.attrs.get("broken_sessions", 0) + broken
        return result

    def of(self, rows: int) -> int:
        """How many rows a block of a trace of `rows` has; ValueError if they are too few."""
        length = max(1, round(rows ** (1 / 3))) if self.length is None else self.length
        if length > rows:
            raise ValueError(f"trace.block={length} is more than the {rows} rows that are replayed")
        return length


def check_resample(resample: str | None, block: int | None) -> None:
    """ValueError for another way than those known, and for a length of blocks that are not drawn."""
    if resample is not None and resample not in WAYS:
        raise ValueError(f"resample must be null or {', '.join(WAYS)}, got {resample!r}")
    if resample is None and block is not None:
        raise ValueError(f"trace.block={block} is the length of the blocks of resample=blocks, and resample is null")
    if block is not None and not isinstance(block, int):
        raise ValueError(f"block must be a whole number of rows, got {block!r}")
    Blocks(block)


def resampled(table: pd.DataFrame, resample: str | None, block: int | None, rng: np.random.Generator) -> pd.DataFrame:
    """`table`, or its bootstrap by `resample`."""
    return table if resample is None else Blocks(block)(table, rng)


def said(resample: str | None, block: int | None) -> str:
    """What `resample` does, for a line of provenance; empty where it is None."""
    if resample is None:
        return ""
    length = "the cube root of the rows" if block is None else f"{block} rows"
    return f"; resampled by moving blocks of {length}, a row drawn twice keeps its contents"
