"""What INFERCEPT's tables make of audits and of latencies by rate."""

import pandas as pd
import pytest

from experiments.papers.infercept.tables import LATENCY, wasted, wasted_of_held
from experiments.papers.size_based.times import passed
from sim.record import Use


def audit(**uses):
    """An audit of token-seconds, and those held up, by use; 1000 in all, the rest is free."""
    rows = {use.name.lower(): uses.get(use.name.lower(), (0.0, 0.0)) for use in Use}
    rows["free"] = (1000.0 - sum(held for held, _ in rows.values()), 50.0)
    return pd.DataFrame([(use, *held) for use, held in rows.items()], columns=["use", "token_seconds", "held_up"])


def test_wasted_is_what_callers_hold_what_is_computed_anew_and_what_others_hold_meanwhile():
    table = audit(
        decode=(400.0, 40.0), prefill=(100.0, 5.0), recompute=(20.0, 19.0), transfer=(10.0, 1.0), paused=(70.0, 7.0),
        waiting=(30.0, 3.0), fragmentation=(20.0, 2.0),
    )  # fmt: skip
    assert wasted(table) == pytest.approx((70 + 10 + 20 + 40 + 5) / 1000)
    assert wasted_of_held(table) == pytest.approx((70 + 10 + 20 + 40 + 5) / 650)


def test_the_rate_at_which_a_latency_is_passed_is_straight_in_its_logarithm():
    runs = pd.DataFrame({"seed": 0, "trace.rate": [1, 2, 4], LATENCY: [0.01, 0.02, 0.08]})
    assert passed(runs, LATENCY, 0.04)[0] == pytest.approx(3.0)
    with pytest.raises(ValueError, match=r"seed 0: the latency does not pass 0\.1 s/token within 1 to 4/s"):
        passed(runs, LATENCY, 0.1)
    with pytest.raises(ValueError, match=r"does not pass 0\.009 s/token"):
        passed(runs, LATENCY, 0.009)
