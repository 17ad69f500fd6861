"""What a routing answers, in Python's own numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sim.policy import Leg


def plain(legs: Sequence[Any]) -> Sequence[Leg]:
    """`legs`, each as a `Leg` of an int and a bool: they are, as a rule.

    The kinds have names of their own, for mypyc would believe what stands in a `Leg`.
    """
    for leg in legs:
        kind: Any = type(leg)
        if kind is Leg:
            replica, prefill_only = leg
            number: Any = type(replica)
            flag: Any = type(prefill_only)
            if number is int and flag is bool:
                continue
        return [Leg(int(replica), bool(prefill_only)) for replica, prefill_only in legs]
    return legs
