"""A trace at another rate: the same requests closer together, or fewer of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from traces.paced import Paced, own_rate

GENERATORS = lambda: (np.random.default_rng(1), np.random.default_rng(2))  # noqa: E731


@dataclass(frozen=True)
class Fixed:
    """A thousand requests at 10 a second, in bursts, of sessions of five if asked."""

    sessions: bool = False
    provenance: str = "made"

    def replay(self, arrivals, lengths):
        table = pd.DataFrame({"arrival": np.repeat(np.arange(200) * 0.5, 5), "prompt_tokens": 5, "output_tokens": 5})
        return table.assign(session=[f"s{row // 5}" for row in range(1000)]) if self.sessions else table

    def training(self):
        return self.replay(None, None)


def test_by_time_the_same_requests_come_closer_together():
    table = Paced(Fixed(), 40.0).replay(*GENERATORS())
    assert len(table) == 1000
    assert own_rate(table) == pytest.approx(40.0)
    assert np.diff(table["arrival"]).max() == pytest.approx(0.5 * own_rate(Fixed().replay(None, None)) / 40)


def test_by_thinning_gaps_stay_and_what_is_kept_at_a_rate_is_kept_at_a_higher_one():
    few, many = (Paced(Fixed(), rate, "thinning").replay(*GENERATORS()) for rate in (2.0, 5.0))
    assert len(few) == pytest.approx(200, abs=45)
    assert len(many) == pytest.approx(500, abs=60)
    assert set(few["arrival"]) <= set(many["arrival"]) <= set(np.arange(200) * 0.5)
    assert few["arrival"].value_counts().le(many["arrival"].value_counts().reindex(few["arrival"].unique())).all()


def test_sessions_are_thinned_whole():
    table = Paced(Fixed(sessions=True), 3.0, "thinning").replay(*GENERATORS())
    assert (table["session"].value_counts() == 5).all()
    assert table.attrs["broken_sessions"] == 0


def test_more_than_there_is_cannot_be_thinned():
    with pytest.raises(ValueError, match=r"a trace of 10.\d+ requests/s cannot be thinned to 11"):
        Paced(Fixed(), 11.0, "thinning").replay(*GENERATORS())
    with pytest.raises(ValueError, match="a rate is set by time or thinning, not by 'luck'"):
        Paced(Fixed(), 1.0, "luck")
    with pytest.raises(ValueError, match="2 requests arrive at one instant"):
        own_rate(pd.DataFrame({"arrival": [1.0, 1.0]}))


def test_it_says_what_was_done_and_keeps_what_trains():
    assert Paced(Fixed(), 4.0, "thinning").provenance == "made; thinned to 4 requests/s"
    assert Paced(Fixed(), 4.0).provenance == "made; time-scaled to 4 requests/s"
    assert len(Paced(Fixed(), 4.0).training()) == 1000
