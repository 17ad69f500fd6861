"""The verdict on a claim, computed from its record and what was found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

from experiments.claims import Found
from experiments.claims.record import Claim
from experiments.tables.stats import Interval


class Verdict(StrEnum):
    """What becomes of a claim."""

    HOLDS = "holds"
    IN_PART = "in part"
    DOES_NOT = "does not"
    CANNOT_BE_SAID = "cannot be said"
    GIVEN = "given"


def of_one(claim: Claim, value: Interval) -> Verdict:
    """The verdict on one value alone; one without an interval says nothing."""
    low, high = value.mean - value.half_width, value.mean + value.half_width
    if low != low or high != high:
        return Verdict.CANNOT_BE_SAID
    meets = low <= claim.high and high >= claim.low
    inside = claim.low <= low and high <= claim.high
    effect = claim.none is None or not low <= claim.none <= high
    told = inside or claim.none is not None or value.half_width <= (claim.high - claim.low) / 2 < math.inf
    if claim.low <= value.mean <= claim.high and effect and told:
        return Verdict.HOLDS
    if meets and (claim.none is None or not effect):
        return Verdict.CANNOT_BE_SAID
    if claim.none is not None and effect and (value.mean < claim.none) == (claim.high <= claim.none):
        return Verdict.IN_PART
    return Verdict.DOES_NOT


def of(claim: Claim, found: Sequence[Found]) -> Verdict:
    """The verdict on a claim: of all that was `found` together, nothing where there is no result."""
    if claim.given:
        return Verdict.GIVEN
    if claim.assumes or not found:
        return Verdict.CANNOT_BE_SAID
    verdicts = {of_one(claim, value) for _, value in found}
    if len(verdicts) == 1:
        return verdicts.pop()
    if verdicts & {Verdict.HOLDS, Verdict.IN_PART}:
        return Verdict.IN_PART
    return Verdict.DOES_NOT
