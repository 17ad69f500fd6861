"""The rows of a trace as what a simulation takes: requests in the order of arrival."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import fields
from itertools import repeat
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from sim import Pause, Proposal, Request, Truth
from traces.kinds import KINDS
from traces.schema import REQUIRED, by_model

CHUNK = 4096  # rows that are requests at a time, where these are made one after another

KNOWN = ("max_tokens", "prompt_text", "client", "task", "session", "deadline", "think")  # None where a cell is missing
OTHERS = {"pauses", "proposals", "samples", "prompt_ids", "think"}  # of which `Request` or `Truth` asks more
WHOLE = np.dtype(int)
TYPES = {"arrival": np.dtype(float), "prompt_tokens": WHOLE, "output_tokens": WHOLE, "max_tokens": WHOLE}
T = TypeVar("T", Request, Truth)


def to_requests(table: pd.DataFrame) -> list[Request]:
    """The rows of a checked trace as requests, numbered from 0 in the order of arrival."""
    return list(_requests(table, 0))


def one_by_one(table: pd.DataFrame) -> Iterator[Request]:
    """As `to_requests`; each is made when it is asked for, so that nobody holds those that are through."""
    for start in range(0, len(table), CHUNK):
        yield from _requests(table.iloc[start : start + CHUNK], start)


def _requests(table: pd.DataFrame, first: int) -> Iterable[Request]:
    """The rows as requests, numbered from `first`."""
    fill = _filled if _is_plain(table) else _checked
    truths = fill(
        Truth,
        len(table),
        output_tokens=table["output_tokens"].tolist(),
        pauses=_pauses(table),
        proposals=_proposals(table),
        lengths=_lengths(table),
        samples=_samples(table),
    )
    return fill(
        Request,
        len(table),
        id=range(first, first + len(table)),
        arrival=table["arrival"].tolist(),
        prompt_tokens=table["prompt_tokens"].tolist(),
        truth=truths,
        **{name: _known(table, name) for name in KNOWN},
        features=_features(table),
        priority=_known(table, "priority", 0.0),
        prompt_ids=map(tuple, table["prompt_ids"]) if "prompt_ids" in table else repeat(()),
        id_tokens=_known(table, "id_tokens", 1),
    )


def _is_plain(table: pd.DataFrame) -> bool:
    """Whether `Request` and `Truth` would take each row as it stands: then they need not look at one after another."""
    kinds = table.dtypes
    if not OTHERS.isdisjoint(table.columns) or by_model(table) or not table.columns.is_unique:
        return False
    if any(kinds.get(name, kind) != kind for name, kind in TYPES.items()):
        return False
    arrivals, prompts, outputs = (table[name].to_numpy() for name in REQUIRED)
    caps = table["max_tokens"].to_numpy() if "max_tokens" in table else outputs
    sound = np.isfinite(arrivals) & (arrivals >= 0) & (prompts >= 1) & (outputs >= 1) & (outputs <= caps)
    return bool(sound.all())


def _checked(kind: type[T], rows: int, **columns: Iterable[Any]) -> Iterable[T]:
    """So many objects of a `kind`, by its constructor."""
    made = [columns.get(field.name, repeat(field.default)) for field in fields(kind)]
    return map(kind, *made)


def _filled(kind: type[T], rows: int, **columns: Iterable[Any]) -> Iterable[T]:
    """As `_checked`, column by column, in less than half the time: of a frozen dataclass with slots, unchecked."""
    made = list(map(object.__new__, repeat(kind, rows)))
    for field in fields(kind):
        place = getattr(kind, field.name)
        deque(map(place.__set__, made, columns.get(field.name, repeat(field.default))), maxlen=0)
    return made


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
