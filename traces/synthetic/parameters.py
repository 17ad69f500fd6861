"""Refuse a part's bad settings by name and value."""

from __future__ import annotations

import math
from typing import Any


def check_positive(part: Any, *names: str) -> None:
    """ValueError unless each of these attributes of `part` is a positive, finite number."""
    for name in names:
        if not 0 < getattr(part, name) < math.inf:
            raise ValueError(f"{name} must be positive and finite, got {getattr(part, name)}")


def check_not_negative(part: Any, *names: str) -> None:
    """ValueError unless each of these attributes of `part` is a finite number from 0."""
    for name in names:
        if not 0 <= getattr(part, name) < math.inf:
            raise ValueError(f"{name} must be finite and not negative, got {getattr(part, name)}")


def check_weights(name: str, weights: tuple[float, ...]) -> None:
    """ValueError unless `weights` are finite, not negative, and not all 0."""
    if not all(0 <= weight < math.inf for weight in weights) or sum(weights) <= 0:
        raise ValueError(f"{name} must be finite, not negative and not all 0, got {list(weights)}")
