"""What is counted of BiLD's runs, by hand, and what the shipped recording says of its thresholds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.figures.stored import Stored
from experiments.papers.bild import tables
from experiments.papers.bild.figures import CLOSED_LOOP
from experiments.papers.bild.tables import Counts, counted, replayed, share
from policies.decoding.fallback_rollback import FallbackRollback
from sim import Proposal, Request, Truth

SURE, UNSURE = Proposal(0.9, 0.1, True), Proposal(0.4, 0.1, True)
WRONG, TOLERATED = Proposal(0.9, 5.0, False), Proposal(0.9, 2.0, False)


def test_what_an_answer_comes_to_is_counted() -> None:
    said = (SURE, TOLERATED, SURE, WRONG, SURE, UNSURE)
    request = Request(0, 0.0, 1, Truth(len(said), proposals=said))
    counts = counted(request, FallbackRollback(tables.UNTIMED, 0.5, 3.0).runs(request, 1))
    # four tokens and one in vain, of which two stand, one that differs; then one, and the last in vain
    assert counts == Counts(tokens=5, calls=2, drafted=7, rollbacks=1, differing=1)
    assert share([counts, counts], "drafted") == 7 / 5


def test_the_recorded_pair_falls_and_rolls_back_less_as_thresholds_let_it() -> None:
    low, high = (replayed(3, True, fallback, 5.0) for fallback in (0.3, 0.6))
    assert share(low, "calls") < share(high, "calls")
    assert share(low, "differing") > share(high, "differing")
    late = replayed(3, True, 0.3, 100.0)
    assert share(late, "rollbacks") == 0 < share(low, "rollbacks")
    assert len(low) == len(late)
    assert tables.agreement(3, True) == pytest.approx(39.1, abs=0.1)


def test_the_ratios_are_of_the_shipped_profiles() -> None:
    found = tables.ratio(Stored(Path()), "mt5-small", "mt5-large")
    assert found[0].value.mean == pytest.approx(0.381, abs=0.001)


def test_a_drawn_decoding_is_read_with_what_it_inherits() -> None:
    assert tables.configured("bild_xsum") == {"fallback": 0.3233, "rollback": 0.0641, "lookahead": 10}


def test_what_is_kept_of_real_decoding_is_beside_what_the_recording_gives() -> None:
    told = json.loads(CLOSED_LOOP.read_text(encoding="utf-8"))
    keys = list(tables.recorded("3_aligned"))[: told["messages"]]
    for row in told["rows"]:
        counts = replayed(row["layers"], row["aligned"], row["fallback_below"], row["rollback_above"], messages=keys)
        assert {name: sum(getattr(one, name) for one in counts) for name in Counts._fields} == row["recorded"]
        real, replay = (row[kind]["calls"] / row[kind]["tokens"] for kind in ("closed_loop", "recorded"))
        assert abs(real - replay) < 0.025
