"""Batches that are over with their first row: who goes on, with which KV, and how long it all takes, by example."""

import pytest

from policies.batching.until_shortest import UntilShortest
from policies.eviction.keep import Resident
from policies.eviction.recompute import Recompute
from policies.eviction.swap import Swap
from policies.order.fifo import FIFO
from policies.order.service_time import ServiceTime
from policies.order.sjf import SJF
from policies.order.srpt import SRPT
from policies.predictor.oracle import OraclePredictor
from sim import Cluster, HostMemory, Link, Record, simulate
from sim.metrics import summary
from tests.conftest import LinearProfile, make_device, make_policy, make_requests

SECOND = LinearProfile(fixed=1.0, per_token=0.0)  # every step takes a second
BY_TOKENS = LinearProfile(fixed=0.0, per_token=1.0, per_moved=100.0)  # each token computed takes a second
SHORTEST = SJF(ServiceTime(phi=0.0, eta=1.0))


def serve(arrivals, prompts, outputs, batch_size=2, profile=SECOND, device=None, **parts):
    device = device or make_device(profile=profile, block_size=1)
    policy = make_policy(**{"batching": UntilShortest(batch_size), **parts})
    requests = make_requests(arrivals, prompts, outputs)
    return simulate(requests, policy, Cluster((device,)), OraclePredictor(), record=Record.STEPS, audit=True)


def finished(tables):
    return tables.requests["finished"].tolist()


@pytest.mark.parametrize("eviction", [Recompute(), Resident(), Swap()], ids=lambda one: type(one).__name__)
def test_a_batch_ends_with_its_shortest_member_and_the_first_in_rank_are_next(eviction):
    """0 and 1 until 2, when 0 is through; 2 and 3 have come, and 3 is shorter than what is left of 1, 2 is not."""
    tables = serve([0, 0, 1, 1], [1] * 4, [2, 8, 9, 3], order=SRPT(), eviction=eviction)
    assert finished(tables) == [2.0, 8.0, 14.0, 5.0]
    assert tables.requests["preemptions"].tolist() == [0, 0, 0, 0]


def test_who_is_left_goes_behind_those_of_a_better_rank():
    """What is predicted is not taken back as tokens come: at 2 s the 6 left of 1 stand behind 2, of 7."""
    tables = serve([0, 0, 1, 1], [1] * 4, [2, 8, 7, 7], order=SHORTEST, eviction=Resident())
    assert finished(tables) == [2.0, 15.0, 9.0, 9.0]
    assert tables.requests["preemptions"].tolist() == [0, 1, 0, 0]
    assert finished(serve([0, 0, 1, 1], [1] * 4, [2, 8, 7, 7], order=FIFO())) == [2.0, 8.0, 9.0, 15.0]


def test_nobody_joins_before_a_batch_is_over():
    assert finished(serve([0, 1], [1, 1], [5, 1])) == [5.0, 6.0]


def test_it_shows_nothing_before_an_answer_is_complete():
    found = summary(serve([0, 0], [1, 1], [2, 4]).requests, warmup=0.0)
    assert (found["ttft_requests"], found["tpot_requests"]) == (0, 0)


@pytest.mark.parametrize(
    ("eviction", "seconds"),
    [(Resident(), 0.0), (Recompute(), 4.0), (Swap(), 800.0)],
    ids=["kept", "computed anew", "copied there and back"],
)
def test_the_eviction_says_what_it_costs_to_be_left(eviction, seconds):
    """0 has computed 4 tokens when 1 is through and two others are next; it goes on alone, with or without their KV."""
    tables = serve([0, 0, 1, 1], [3, 3, 3, 3], [8, 2, 7, 7], profile=BY_TOKENS, order=SHORTEST, eviction=eviction)
    base = serve([0, 0, 1, 1], [3, 3, 3, 3], [8, 2, 7, 7], profile=BY_TOKENS, order=SHORTEST, eviction=Resident())
    assert finished(tables)[0] - finished(base)[0] == pytest.approx(seconds)


def test_who_goes_on_is_padded_to_the_widest():
    """0 has 5 tokens, 4 of them computed, when 1 is through; 2 has 9: 0 computes four of padding and its own."""
    tables = serve([0, 0, 1], [3, 3, 9], [8, 2, 8], profile=BY_TOKENS, eviction=Resident())
    starts = tables.steps["prefill_tokens"].tolist()
    assert starts[:3] == [6, 0, 14]
    assert finished(tables)[1] == 8.0
    assert finished(tables)[0] == 8.0 + 14.0 + 2 * 5


def test_the_kv_of_who_waits_gives_way_to_a_batch():
    """Room for 20 tokens; 0 is left with 4 when 2 and 3 come, which need 18 of them: it computes its own anew."""
    device = make_device(profile=SECOND, block_size=1, kv_tokens=20)
    more = {"device": device, "order": SHORTEST, "eviction": Resident()}
    tables = serve([0, 0, 1, 1], [3, 3, 3, 3], [8, 2, 7, 7], **more)
    assert tables.steps["prefill_tokens"].tolist().count(5) == 1
    assert finished(tables) == [15.0, 2.0, 9.0, 9.0]
    used = {use: held for use, held in zip(tables.audit["use"], tables.audit["token_seconds"], strict=True)}
    assert used["waiting"] == 0.0


def test_kv_that_is_copied_beside_the_steps_is_waited_for():
    """0 is left and goes to the host, which takes 8 s; its KV comes back when nobody else is there, and it goes on."""
    host = HostMemory(link=Link(4.0, float("inf")), copying="overlapped")
    device = make_device(profile=SECOND, block_size=1, kv_bytes_per_token=1, host=host)
    tables = serve([0, 0, 1, 1], [3, 3, 3, 3], [8, 2, 7, 7], device=device, order=SHORTEST, eviction=Swap())
    assert finished(tables) == [9.0 + 4.0 + 6.0, 2.0, 9.0, 9.0]
