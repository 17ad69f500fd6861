"""What an anchor takes out of samples: a drift that hits it alike, of each phase its own, and nothing else."""

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
    assert found["seconds"].tolist() == pytest.approx([2.0 * 1.2] * 3 + [0.7] * 3)  # at the median speed
    raw, left = (repeatability(found, column) for column in ("raw_seconds", "seconds"))
    assert raw["p90"] > 0.03
    assert left == pytest.approx({"p50": 0.0, "p90": 0.0}, abs=1e-9)
    said = uncertainty(described(read), {"raw_seconds": raw, "seconds": left})
    assert "prefill 27 %, decode 0 %" in said
    assert said.endswith("set against the anchor p50 0.0 %, p90 0.0 %")


def test_one_disturbed_reading_says_nothing_of_the_samples_around_it():
    read = readings([4.0, 4.0, 9.0, 4.0, 4.0], [1.0] * 5)
    assert seconds_at(read, "prefill", [20.0, 22.0]).tolist() == [4.0, 4.0]


def test_beyond_the_first_and_the_last_reading_it_is_as_they_are():
    read = readings([4.0, 4.0, 6.0, 8.0, 8.0], [1.0] * 5)
    assert seconds_at(read, "prefill", [-50.0, 99.0]).tolist() == [4.0, 8.0]
    assert seconds_at(read[:1], "prefill", [7.0]).tolist() == [4.0]


def test_a_stretch_of_time_is_set_against_what_a_profile_was_measured_at():
    read = readings([4.0, 4.0, 4.0], [1.0, 1.0, 1.0])
    assert relative(read, {"prefill": 2.0, "decode": 1.25}, 0.0, 20.0) == pytest.approx({"prefill": 2.0, "decode": 0.8})


def test_a_reading_is_described_by_its_median_and_spread():
    found = described(readings([1.0, 2.0, 3.0, 4.0, 5.0], [2.0] * 5))
    assert found["prefill"] == {"seconds": 3.0, "spread": pytest.approx(3.2 / 3, rel=1e-2), "readings": 5}
    assert found["decode"] == {"seconds": 2.0, "spread": 0.0, "readings": 5}
