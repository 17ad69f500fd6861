"""The rows of a trace as what a simulation takes: requests in the order of arrival."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count, repeat
from typing import Any

import pandas as pd

from sim import Pause, Proposal, Request, Truth
from traces.kinds import KINDS
from traces.schema import by_model

CHUNK = 4096  # rows that are requests at a time, where these are made one after another


def to_requests(table: pd.DataFrame) -> list[Request]:
    """The rows of a checked trace as requests, numbered from 0 in the order of arrival."""
    return list(_requests(table, 0))


def one_by_one(table: pd.DataFrame) -> Iterator[Request]:
    """As `to_requests`; each is made when it is asked for, so that nobody holds those that are through."""
    for start in range(0, len(table), CHUNK):
        yield from _requests(table.iloc[start : start + CHUNK], start)


def _requests(table: pd.DataFrame, first: int) -> Iterator[Request]:
    """The rows as requests, numbered from `first`; in the order of `Request`'s fields."""
    truths = map(
        Truth,
        table["output_tokens"].tolist(),
        repeat(()),
        _pauses(table),
        _proposals(table),
        _lengths(table),
        _samples(table),
    )
    ids = map(tuple, table["prompt_ids"]) if "prompt_ids" in table else repeat(())
    return map(
        Request,
        count(first),
        table["arrival"].tolist(),
        table["prompt_tokens"].tolist(),
        truths,
        _known(table, "max_tokens"),
        _known(table, "prompt_text"),
        _features(table),
        *(_known(table, name) for name in ("client", "task", "session")),
        _known(table, "priority", 0.0),
        _known(table, "deadline"),
        ids,
        _known(table, "id_tokens", 1),
        _known(table, "think"),
    )


def _known(table: pd.DataFrame, name: str, missing: Any = None) -> Iterable[Any]:
    """The cells of a column; `missing` for those that are, and where there is no such column."""
    if name not in table:
        return repeat(missing)
    column = table[name]
    cells: list[Any] = column.tolist()
    gaps = column.isna()
    return [missing if gap else cell for cell, gap in zip(cells, gaps, strict=True)] if gaps.any() else cells


def _features(table: pd.DataFrame) -> Iterable[tuple[float, ...]]:
    if not set(KINDS) <= set(table.columns):
        return repeat(())
    return zip(*(table[kind].astype(float).tolist() for kind in KINDS), strict=True)


def _pauses(table: pd.DataFrame) -> Iterable[tuple[Pause, ...]]:
    if "pauses" not in table.columns:
        return repeat(())
    return [
        tuple(Pause(int(emitted), float(seconds), int(returned)) for emitted, seconds, returned in pauses)
        for pauses in table["pauses"]
    ]


def _lengths(table: pd.DataFrame) -> Iterable[dict[str, int] | None]:
    models = by_model(table)
    if not models:
        return repeat(None)
    rows = zip(*(table[name].tolist() for name in models), strict=True)
    return [dict(zip(models.values(), row, strict=True)) for row in rows]


def _proposals(table: pd.DataFrame) -> Iterable[tuple[Proposal, ...]]:
    if "proposals" not in table.columns:
        return repeat(())
    return [
        tuple(Proposal(float(confidence), float(divergence), bool(agrees)) for confidence, divergence, agrees in row)
        for row in table["proposals"]
    ]


def _samples(table: pd.DataFrame) -> Iterable[tuple[int, ...]]:
    return [tuple(map(int, row)) for row in table["samples"]] if "samples" in table else repeat(())
