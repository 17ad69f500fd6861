"""Links: transfers that share one, and KV that stays where it is until it is sent."""

import math

import pytest

from policies.predictor.oracle import OraclePredictor
from policies.routing.disaggregation import Disaggregation
from sim import Cluster, Link, Sharing, simulate
from sim.engine.agenda import Agenda
from sim.engine.channel import channel
from tests.conftest import LinearProfile, make_device, make_policy, make_requests


def arrivals(link: Link, *transfers: tuple[float, float]) -> list[float]:
    """When each (instant, bytes) is there."""
    agenda, found = Agenda(), {}
    line = channel(link, agenda.at)
    for number, (instant, size) in enumerate(transfers):
        agenda.keep(instant)
        line.send(size, instant, lambda now, number=number: found.setdefault(number, now))
    agenda.keep(math.inf)
    assert agenda.head == math.inf
    return [found[number] for number in range(len(transfers))]


@pytest.mark.parametrize(
    ("sharing", "transfers", "expected"),
    [
        ("first_come", [(0.0, 100.0), (0.0, 100.0)], [10.5, 20.5]),  # latency is nobody's turn
        ("first_come", [(0.0, 100.0), (5.0, 10.0), (30.0, 10.0)], [10.5, 11.5, 31.5]),
        ("fair", [(0.0, 100.0), (0.0, 100.0)], [20.5, 20.5]),
        ("fair", [(0.0, 100.0)], [10.5]),
        ("fair", [(0.0, 100.0), (5.0, 10.0)], [11.5, 7.5]),  # ten bytes at half the speed: 2 s
        ("fair", [(0.0, 30.0), (0.0, 60.0), (0.0, 90.0)], [9.5, 15.5, 18.5]),
        ("fair", [(0.0, 10.0), (40.0, 10.0)], [1.5, 41.5]),
    ],
)
def test_transfers_share_a_link(sharing, transfers, expected):
    assert arrivals(Link(0.5, 10.0, sharing), *transfers) == pytest.approx(expected, abs=1e-12)


def test_where_bandwidth_is_boundless_there_is_nothing_to_share():
    assert arrivals(Link(0.5, math.inf, Sharing.FAIR), (1.0, 1e9), (1.0, 1e9)) == [1.5, 1.5]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0.0, 0.0), "bytes_per_second of a link must be positive, got 0.0"),
        ((-1.0, 1.0), "the latency of a link must not be negative, got -1.0 s"),
        ((0.0, math.nan), "bytes_per_second of a link must be positive, got nan"),
        ((0.0, 1.0, "random"), "sharing must be first_come or fair, got 'random'"),
    ],
)
def test_a_link_that_cannot_be_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Link(*values)


def disaggregated(link: Link, prompts, outputs, **prefill):
    """Steps of 10 ms on one device that prefills and one that decodes; a token's KV is 1,000 bytes."""
    profile = LinearProfile(0.01, 0.0)
    devices = (
        make_device("prefill", "prefill", profile=profile, kv_bytes_per_token=1000, **prefill),
        make_device("decode", "decode", profile=profile, kv_bytes_per_token=1000),
    )
    policy = make_policy(routing=Disaggregation())
    requests = make_requests([0.0] * len(prompts), prompts, outputs)
    return simulate(requests, policy, Cluster(devices, link), OraclePredictor()).requests


def test_two_transfers_share_the_link_between_two_replicas():
    """Both prompts are computed at 0.01 s and take a second each: the second ends two steps after the second."""
    table = disaggregated(Link(0.0, 1e5), [100, 100], [3, 3])
    assert table["finished"].tolist() == pytest.approx([1.03, 2.03])
    table = disaggregated(Link(0.0, 1e5, Sharing.FAIR), [100, 100], [3, 3])
    assert table["finished"].tolist() == pytest.approx([2.03, 2.03])


def test_kv_stays_where_it_is_until_it_is_sent():
    """The memory that prefills holds one of the prompts: the second starts when the first has gone, at 1.01 s."""
    table = disaggregated(Link(0.0, 1e5), [100, 100], [3, 3], kv_tokens=112)
    assert table["first_scheduled"].tolist() == pytest.approx([0.0, 1.01])
    assert table["first_token"].tolist() == pytest.approx([0.01, 1.02])
