"""What a routing answers, in Python's own numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sim.policy import Leg


def plain(legs: Sequence[Any]) -> Sequence[Leg]:
    """`legs`, each as a `Leg` of an int and a bool: they are, as a rule."""
    for leg in legs:
        if not _is_plain(leg):
            return [Leg(int(replica), bool(prefill_only)) for replica, prefill_only in legs]
    return legs


def _is_plain(leg: Any) -> bool:
    """Whether it is a `Leg` of Python's own numbers; kinds stand by themselves, for mypyc would believe them."""
    kind: Any = type(leg)
    if kind is not Leg:
        return False
    replica, prefill_only = leg
    number: Any = type(replica)
    flag: Any = type(prefill_only)
    return number is int and flag is bool
