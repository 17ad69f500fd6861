"""The rows of a trace as what a simulation takes: requests in the order of arrival."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from sim import Pause, Proposal, Request, Truth
from traces.kinds import KINDS
from traces.schema import by_model

OPTIONAL_COLUMNS = (
    "max_tokens", "prompt_text", "client", "task", "session", "priority", "deadline", "think", "id_tokens",
)  # fmt: skip


def to_requests(table: pd.DataFrame) -> list[Request]:
    """The rows of a checked trace as requests, numbered from 0 in the order of arrival."""
    columns: dict[str, Sequence[Any]] = {
        name: [None if pd.isna(value) else value for value in table[name].tolist()]
        for name in OPTIONAL_COLUMNS
        if name in table.columns
    }
    if "prompt_ids" in table.columns:
        columns["prompt_ids"] = [tuple(ids) for ids in table["prompt_ids"]]
    features, pauses, proposals, lengths = _features(table), _pauses(table), _proposals(table), _lengths(table)
    samples = _samples(table)
    required = zip(
        table["arrival"].tolist(), table["prompt_tokens"].tolist(), table["output_tokens"].tolist(), strict=True
    )
    return [
        Request(
            id=number,
            arrival=arrival,
            prompt_tokens=prompt_tokens,
            truth=Truth(output_tokens, (), pauses[number], proposals[number], lengths[number], samples[number]),
            features=features[number],
            **{name: values[number] for name, values in columns.items() if values[number] is not None},
        )
        for number, (arrival, prompt_tokens, output_tokens) in enumerate(required)
    ]


def _features(table: pd.DataFrame) -> list[tuple[float, ...]]:
    if not set(KINDS) <= set(table.columns):
        return [()] * len(table)
    return list(zip(*(table[kind].astype(float).tolist() for kind in KINDS), strict=True))


def _pauses(table: pd.DataFrame) -> list[tuple[Pause, ...]]:
    if "pauses" not in table.columns:
        return [()] * len(table)
    return [
        tuple(Pause(int(emitted), float(seconds), int(returned)) for emitted, seconds, returned in pauses)
        for pauses in table["pauses"]
    ]


def _lengths(table: pd.DataFrame) -> Sequence[dict[str, int] | None]:
    models = by_model(table)
    if not models:
        return [None] * len(table)
    rows = zip(*(table[name].tolist() for name in models), strict=True)
    return [dict(zip(models.values(), row, strict=True)) for row in rows]


def _proposals(table: pd.DataFrame) -> list[tuple[Proposal, ...]]:
    if "proposals" not in table.columns:
        return [()] * len(table)
    return [
        tuple(Proposal(float(confidence), float(divergence), bool(agrees)) for confidence, divergence, agrees in row)
        for row in table["proposals"]
    ]


def _samples(table: pd.DataFrame) -> list[tuple[int, ...]]:
    return [tuple(map(int, row)) for row in table["samples"]] if "samples" in table else [()] * len(table)
