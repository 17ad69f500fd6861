"""What an evaluation found, as JSON objects or as an aligned table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.prediction.concordance import Floats
from experiments.prediction.scores import CEILING, Scores, interval

BASELINE = "tfidf"
HEADINGS = (
    "predictor", "tau", "share", "within", "share", "- tfidf", "R2 log", "MAE", "pinball", "CRPS", "cover50", "cover90",
    "width90", "ms",
)  # fmt: skip


def rows(model: str, scores: Mapping[str, Scores], cost: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    """An object for each predictor, and for the ceiling, all with intervals; `cost` in ms by predictor."""
    return [
        {
            "kind": "ceiling" if name == CEILING else "predictor",
            "model": model,
            "predictor": name,
            **{key: interval(values) for key, values in _numbers(name, scores).items()},
            "datasets": {dataset: interval(values) for dataset, values in found.datasets.items()},
            **cost.get(name, {}),
        }
        for name, found in scores.items()
    ]


def _numbers(name: str, scores: Mapping[str, Scores]) -> dict[str, Floats]:
    found = scores[name]
    numbers: dict[str, Floats] = {"tau": found.tau, "tau_within": found.tau_within, **found.more}
    if CEILING in scores and name != CEILING:
        numbers["share_of_ceiling"] = found.tau / scores[CEILING].tau
        numbers["share_of_ceiling_within"] = found.tau_within / scores[CEILING].tau_within
    if BASELINE in scores and name not in (BASELINE, CEILING):
        numbers["tau_less_tfidf"] = found.tau - scores[BASELINE].tau
    return numbers


def render(found: list[dict[str, Any]]) -> str:
    """A line a predictor: values with their 95 % intervals."""
    cells = [HEADINGS, *(_cells(row) for row in found)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    cost = "" if "milliseconds" not in row else f"{row['milliseconds']:.2f}"
    if "parse_milliseconds" in row:
        cost += f" + parse {row['parse_milliseconds']:.1f}"
    return (
        row["predictor"],
        _cell(row, "tau", ".3f"),
        _cell(row, "share_of_ceiling", ".0%", ends=False),
        _cell(row, "tau_within", ".3f"),
        _cell(row, "share_of_ceiling_within", ".0%", ends=False),
        _cell(row, "tau_less_tfidf", "+.3f"),
        _cell(row, "r2_log", ".2f", ends=False),
        _cell(row, "mae", ".0f", ends=False),
        _cell(row, "pinball", ".1f", ends=False),
        _cell(row, "crps", ".1f"),
        _cell(row, "coverage50", ".1%", ends=False),
        _cell(row, "coverage", ".1%", ends=False),
        _cell(row, "width", ".0f", ends=False),
        cost,
    )


def _cell(row: Mapping[str, Any], name: str, spec: str, ends: bool = True) -> str:
    found = row.get(name)
    if not found or found["value"] is None:
        return ""
    shown = format(found["value"], spec)
    if ends and found["low"] is not None:
        shown += f" [{format(found['low'], spec)}, {format(found['high'], spec)}]"
    return shown
