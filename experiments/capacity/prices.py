"""What devices cost: from a yaml with sources, and from the command line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SHIPPED = Path(__file__).with_name("prices.yaml")
YOURS = "as you say"


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for an hour of one device, and who says so."""

    dollars: float
    source: str

    def __str__(self) -> str:
        return f"${self.dollars:g} ({self.source})"


def read_prices(file: Path, said: Mapping[str, str]) -> dict[str, Price]:
    """By device, from a yaml `file`, and what is `said` in its place. ValueError, with its place, for what is none."""
    try:
        loaded = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"prices={file}: {' '.join(str(error).split())}") from error
    if not isinstance(loaded, dict):
        raise ValueError(f"prices={file} must have a line a device, as l40s: {{dollars: 1, source: ...}}")
    prices = {}
    for device, entry in loaded.items():
        if not isinstance(entry, dict) or set(entry) != {"dollars", "source"}:
            raise ValueError(f"prices={file}, {device}: must be {{dollars: ..., source: ...}}, got {entry}")
        prices[str(device)] = Price(_dollars(f"{file}, {device}", entry["dollars"]), str(entry["source"]))
    return prices | {device: Price(_dollars(f"price.{device}", text), YOURS) for device, text in said.items()}


def _dollars(where: str, value: Any) -> float:
    try:
        dollars = float(value)
    except (TypeError, ValueError):
        dollars = math.nan
    if isinstance(value, bool) or not 0 <= dollars < math.inf:
        raise ValueError(f"{where}={value} must be dollars an hour, a number from 0")
    return dollars
