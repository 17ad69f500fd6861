"""What an anchor takes out of samples: a drift that hits it alike, of each phase its own, and nothing else."""

import math

import numpy as np
import pandas as pd
import pytest

from profiles.measuring.anchors import Reading, corrected, described, relative, repeatability, seconds_at, uncertainty


def readings(prefill, decode, every=10.0):
    return [Reading(every * index, *pair) for index, pair in enumerate(zip(prefill, decode, strict=True))]


def test_a_drift_that_hits_the_anchor_alike_cancels_in_each_phase():
    drift = [1.0, 1.1, 1.2, 1.3, 1.4]
    read = readings([4 * share for share in drift], [0.5] * 5)
    instants = [15.0, 20.0, 25.0]
    rows = [("prefill", 1, 64, 0, 2.0 * (1 + at / 100), at) for at in instants]
    rows += [("decode", 1, 1, 64, 0.7, at) for at in instants]
    samples = pd.DataFrame(rows, columns=["phase", "batch", "new", "computed", "seconds", "at"])
    found = corrected(samples, read)
    assert found["raw_seconds"].tolist() == samples["seconds"].tolist()
    assert found["seconds"].tolist() == pytest.approx([2.0 * 1.2] * 3 + [0.7] * 3, rel=0.01)  # at the median speed
    raw, left = (repeatability(found, column) for column in ("raw_seconds", "seconds"))
    assert raw["p90"] > 0.03
    assert left["p90"] < raw["p90"] / 5
    said = uncertainty(described(read), {"raw_seconds": raw, "seconds": left})
    assert "prefill 27 %, decode 0 %" in said
    assert "set against the anchor p50" in said


def test_readings_that_are_off_one_by_one_are_no_drift():
    read = readings([4.2, 3.8] * 10, [1.0] * 20)
    found = seconds_at(read, "prefill", [-50.0, 0.0, 45.0, 190.0, 999.0])
    assert np.ptp(found) == pytest.approx(0.0, abs=1e-9)
    assert found[0] == pytest.approx(math.sqrt(4.2 * 3.8), rel=1e-3)


def test_a_machine_that_turns_slower_is_followed():
    noise = [1.01, 0.99, 0.995, 1.005]
    read = readings([4.0 * one for one in noise * 3] + [8.0 * one for one in noise * 3], [1.0] * 24)
    early, late = seconds_at(read, "prefill", [20.0, 210.0])
    assert early == pytest.approx(4.0, rel=0.02)
    assert late == pytest.approx(8.0, rel=0.02)
    assert 5.0 < seconds_at(read, "prefill", 115.0) < 6.5  # between the last reading of one and the first of the other


def test_a_single_reading_is_all_that_is_known():
    assert seconds_at(readings([4.0], [1.0]), "prefill", [-7.0, 7.0]).tolist() == pytest.approx([4.0, 4.0])


def test_a_stretch_of_time_is_set_against_what_a_profile_was_measured_at():
    read = readings([4.0, 4.0, 4.0], [1.0, 1.0, 1.0])
    assert relative(read, {"prefill": 2.0, "decode": 1.25}, 0.0, 20.0) == pytest.approx({"prefill": 2.0, "decode": 0.8})


def test_a_reading_is_described_by_its_median_and_spread():
    found = described(readings([1.0, 2.0, 3.0, 4.0, 5.0], [2.0] * 5))
    assert found["prefill"] == {"seconds": 3.0, "spread": pytest.approx(3.2 / 3, rel=1e-2), "readings": 5}
    assert found["decode"] == {"seconds": 2.0, "spread": 0.0, "readings": 5}
