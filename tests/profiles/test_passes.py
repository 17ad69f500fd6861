"""Passes: anchors reject a disturbed pass, and a killed measurement goes on where it stopped."""

import pytest

from profiles.measuring.journal import Journal
from profiles.measuring.passes import ANCHOR_TIMINGS, DisturbedError, Passes, estimate, sample_table
from profiles.point import decode_point, prefill_point

POINTS = [decode_point(batch, 64) for batch in range(1, 9)]
ANCHOR = decode_point(1, 128)
SETTINGS = {"model": "tiny", "threads": 1}


class NoBar:
    def update(self, n=1):
        return None


class Device:
    """A made device: a point takes its batch in seconds, the anchor what `anchors` says, in turn, after one for
    the warm-up; may be killed after so many points.
    """

    def __init__(self, anchors=(), killed_after=None):
        self.anchors = iter([1.0, *anchors])
        self.killed_after = killed_after
        self.timed = []
        self.anchor_timings = 0
        self.reading = 1.0

    def __call__(self, point):
        if point == ANCHOR:
            if self.anchor_timings % ANCHOR_TIMINGS == 0:
                self.reading = next(self.anchors, 1.0)
            self.anchor_timings += 1
            return self.reading
        if len(self.timed) == self.killed_after:
            raise KeyboardInterrupt
        self.timed.append(point)
        return float(point.batch)


def passes(**changes):
    return Passes(POINTS, ANCHOR, **{"count": 2, "retries": 2, "seed": 0, "tolerance": 0.2} | changes)


def test_each_pass_times_every_point_once_in_an_order_of_its_own(tmp_path):
    device = Device()
    accepted, rejected = passes().run(device, Journal(tmp_path / "a.partial.jsonl", SETTINGS), NoBar())
    assert (len(accepted), len(rejected)) == (2, 0)
    first, second = device.timed[:8], device.timed[8:]
    assert sorted(first) == sorted(second) == POINTS
    assert first != second
    table = sample_table(accepted)
    assert len(table) == 16
    assert (table["seconds"] == table["batch"]).all()
    assert set(table["pass"]) == {0, 1}
    assert all(len(attempt.anchors) == 3 for attempt in accepted)


def test_a_pass_whose_anchor_moved_is_rejected_and_repeated(tmp_path):
    device = Device(anchors=[1.0, 1.19, 1.0, 1.0, 1.3, 1.0])
    journal = Journal(tmp_path / "a.partial.jsonl", SETTINGS)
    accepted, rejected = passes().run(device, journal, NoBar())
    assert [attempt.number for attempt in accepted] == [0, 1]
    assert [attempt.number for attempt in rejected] == [1]
    assert rejected[0].anchors == (1.0, 1.3, 1.0)
    assert rejected[0].anchor_shift == pytest.approx(0.3)
    assert len(device.timed) == 3 * len(POINTS)
    assert len(sample_table(accepted)) == 2 * len(POINTS)


def test_a_machine_that_stays_busy_is_given_up_and_may_be_tried_again(tmp_path):
    path = tmp_path / "a.partial.jsonl"
    with pytest.raises(DisturbedError, match=r"moved by 50 %, 50 %, 50 % within 3 passes .*2 repeats"):
        passes().run(Device(anchors=[1.0, 1.5, 1.0] * 9), Journal(path, SETTINGS), NoBar())
    accepted, rejected = passes().run(Device(), Journal(path, SETTINGS), NoBar())
    assert (len(accepted), len(rejected)) == (2, 3)


def test_a_first_look_at_a_busy_machine_takes_the_least_disturbed_passes(tmp_path):
    device = Device(anchors=[1.0, 1.5, 1.0, 1.0, 1.3, 1.0, 1.0, 1.4, 1.0])
    accepted, rejected = passes(salvage=True).run(device, Journal(tmp_path / "a.partial.jsonl", SETTINGS), NoBar())
    assert [attempt.anchor_shift for attempt in accepted] == pytest.approx([0.3, 0.4])
    assert [attempt.anchor_shift for attempt in rejected] == pytest.approx([0.5])


@pytest.mark.parametrize("killed_after", [0, 3, 4, 8, 11])
def test_a_killed_measurement_goes_on(tmp_path, killed_after):
    path = tmp_path / "a.partial.jsonl"
    killed = Device(killed_after=killed_after)
    with pytest.raises(KeyboardInterrupt):
        passes().run(killed, Journal(path, SETTINGS), NoBar())
    with path.open("a") as file:
        file.write('{"pass": 0, "attempt": 0, "poi')
    resumed = Device()
    accepted, _ = passes().run(resumed, Journal(path, SETTINGS), NoBar())
    whole = Device()
    expected, _ = passes().run(whole, Journal(tmp_path / "b.partial.jsonl", SETTINGS), NoBar())
    assert killed.timed + resumed.timed == whole.timed
    assert sample_table(accepted).equals(sample_table(expected))


def test_an_anchor_that_moved_while_the_run_was_dead_rejects_the_pass(tmp_path):
    path = tmp_path / "a.partial.jsonl"
    with pytest.raises(KeyboardInterrupt):
        passes().run(Device(killed_after=3), Journal(path, SETTINGS), NoBar())
    slow = Device(anchors=[2.0, 2.0, 2.0] + [2.0] * 9)
    _, rejected = passes().run(slow, Journal(path, SETTINGS), NoBar())
    assert [attempt.anchor_shift for attempt in rejected] == [1.0]


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
