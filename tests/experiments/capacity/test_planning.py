"""The cheapest of clusters in two roles, where what a cluster can is known beforehand."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from experiments.capacity.candidates import ROLES, Candidate
from experiments.capacity.planning import Planner
from experiments.capacity.prices import Price

SPEED = {"big": (2.0, 4.0), "small": (1.0, 0.0)}  # of a device: how much it prefills, and decodes in time
PRICES = {"big": Price(4.0, "made up"), "small": Price(0.1, "made up")}


class Pairs:
    """Names candidates as `Base` does."""

    def split(self, counts, link):
        devices = tuple((role, device, count) for role, (device, count) in zip(ROLES, counts, strict=True))
        return Candidate(devices, (repr(counts),), link)


@dataclass
class Known:
    candidate: Candidate
    carries: bool


class Told(Planner):
    """Knows of a candidate whether it carries `load`."""

    load = 4.0

    def judge(self, candidate, all_seeds=False):
        (_, one, first), (_, other, second) = candidate.devices
        return Known(candidate, min(first * SPEED[one][0], second * SPEED[other][1]) >= self.load)


@pytest.mark.parametrize("devices", [("big", "small"), ("small", "big")])
def test_a_device_that_is_no_good_in_one_role_is_taken_for_the_other(devices):
    planner = Told(Pairs(), PRICES, [0], 8, 25e9, lambda *_: None)
    found = planner.split(devices)
    assert found.candidate.devices == (("prefill", "small", 4), ("decode", "big", 1))
    assert any("small decode beside" in text for text in planner.lacking)
