"""Passes: an anchor is read in between, and a killed measurement goes on where it stopped."""

import pytest

from profiles.measuring.journal import Journal
from profiles.measuring.passes import WARM_UPS, Passes, estimate, sample_table
from profiles.point import decode_point, prefill_point

POINTS = [decode_point(batch, 64) for batch in range(1, 9)]
ANCHOR = (1, 128)
SETTINGS = {"model": "tiny", "threads": 1}


class NoBar:
    def update(self, n=1):
        return None


class Device:
    """A made device with a clock of its own, slower by `drift` a second of it: a point takes its batch in seconds, the
    anchor 4 and 1; may be killed after so many points.
    """

    def __init__(self, drift=0.0, killed_after=None):
        self.drift = drift
        self.killed_after = killed_after
        self.timed = []
        self.anchors = 0
        self.now = 0.0

    def clock(self):
        return self.now

    def take(self, seconds):
        taken = seconds * (1 + self.drift * self.now)
        self.now += taken
        return taken

    def anchor(self, batch, context):
        assert (batch, context) == ANCHOR
        self.anchors += 1
        return self.take(4.0), self.take(1.0)

    def __call__(self, point):
        if len(self.timed) == self.killed_after:
            raise KeyboardInterrupt
        self.timed.append(point)
        return self.take(float(point.batch))


def passes(device, **changes):
    return Passes(POINTS, ANCHOR, **{"every": 4, "count": 2, "seed": 0, "clock": device.clock} | changes)


def test_each_pass_times_every_point_once_in_an_order_of_its_own(tmp_path):
    device = Device()
    made = passes(device).run(device, Journal(tmp_path / "a.partial.jsonl", SETTINGS), NoBar())
    first, second = device.timed[:8], device.timed[8:]
    assert sorted(first) == sorted(second) == POINTS
    assert first != second
    table = sample_table(made)
    assert len(table) == 16
    assert (table["seconds"] == table["batch"]).all()
    assert set(table["pass"]) == {0, 1}


def test_the_anchor_is_read_before_every_few_points_and_at_the_end(tmp_path):
    device = Device()
    made = passes(device, every=3, count=1).run(device, Journal(tmp_path / "a.partial.jsonl", SETTINGS), NoBar())
    assert device.anchors == WARM_UPS + 4  # before the points 0, 3 and 6, and after the last
    [one] = made
    assert [(reading.prefill, reading.decode) for reading in one.readings] == [(4.0, 1.0)] * 4
    events = sorted([(at, "point") for _, _, at in one.samples] + [(reading.at, "anchor") for reading in one.readings])
    assert [kind for _, kind in events] == [*["anchor", *["point"] * 3] * 2, "anchor", "point", "point", "anchor"]


@pytest.mark.parametrize("killed_after", [0, 3, 4, 8, 11])
def test_a_killed_measurement_goes_on(tmp_path, killed_after):
    path = tmp_path / "a.partial.jsonl"
    killed = Device(killed_after=killed_after)
    with pytest.raises(KeyboardInterrupt):
        passes(killed).run(killed, Journal(path, SETTINGS), NoBar())
    with path.open("a") as file:
        file.write('{"pass": 0, "poi')
    resumed = Device()
    journal = Journal(path, SETTINGS)
    assert passes(resumed).share_left(journal) == 1 - killed_after / 16
    made = passes(resumed).run(resumed, journal, NoBar())
    whole = Device()
    expected = passes(whole).run(whole, Journal(tmp_path / "b.partial.jsonl", SETTINGS), NoBar())
    assert killed.timed + resumed.timed == whole.timed
    assert sample_table(made).drop(columns="at").equals(sample_table(expected).drop(columns="at"))
    if killed_after % 4:  # who goes on reads the anchor at once: the machine may be another by now
        assert killed.anchors + resumed.anchors == whole.anchors + WARM_UPS + 1


def test_another_measurement_is_refused_unless_it_is_to_restart(tmp_path):
    path = tmp_path / "a.partial.jsonl"
    Journal(path, SETTINGS).append({"pass": 0, "attempt": 0, "anchor": 1.0})
    with pytest.raises(ValueError, match=r"threads: 1 there, 2 now.*restart=true"):
        Journal(path, {**SETTINGS, "threads": 2})
    assert len(Journal(path, SETTINGS).events) == 1
    assert Journal(path, {**SETTINGS, "threads": 2}, restart=True).events == []


def test_a_file_that_is_no_journal_is_named(tmp_path):
    path = tmp_path / "a.partial.jsonl"
    path.write_text("hello\nworld\n")
    with pytest.raises(ValueError, match=r"a.partial.jsonl: not a measurement's journal"):
        Journal(path, SETTINGS)


def test_the_estimate_is_right_where_seconds_rise_with_the_work():
    points = [prefill_point(1, 8), prefill_point(1, 64), prefill_point(4, 64), decode_point(1, 8), decode_point(8, 64)]

    def seconds(point):
        return 1.0 + 0.5 * (point.tokens + point.attended / 64)

    assert estimate(seconds, points) == pytest.approx(sum(seconds(point) for point in points))
