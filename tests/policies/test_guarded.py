"""SSJF's guard against starvation: when the queue is ordered by waiting, and by what it is not."""

import pytest

from policies.batching.continuous import Continuous
from policies.batching.guarded import Guarded
from policies.batching.preemptive import Preemptive
from policies.batching.static import Static
from policies.batching.until_shortest import UntilShortest
from policies.order.service_time import ServiceTime
from policies.order.sjf import SJF
from policies.predictor.oracle import OraclePredictor
from sim import Cluster, Hold, RequestLevel, simulate
from sim.execution import Until
from tests.conftest import LinearProfile, make_device, make_policy, make_requests
from tests.policies.test_batching import ids, jobs

A_TOKEN_A_SECOND = ServiceTime(phi=0.0, eta=1.0)
SECOND = LinearProfile(fixed=1.0, per_token=0.0)


def guarded(batching=None, **limits):
    return Guarded(batching or Static(1), A_TOKEN_A_SECOND, **limits)


def waiting(*queued):
    """Jobs in rank order, of one predicted token each, queued at these instants (s)."""
    made = jobs(*[1.0] * len(queued))
    for job, instant in zip(made, queued, strict=True):
        job.queued = instant
    return made


@pytest.mark.parametrize(("now", "first"), [(13.9, 0), (14.0, 2)])
def test_by_waiting_once_the_first_has_waited_a_multiple_of_its_service(now, first):
    shown = waiting(9.0, 9.5, 4.0)
    guard = guarded(multiple=10.0)
    assert ids(guard.select(shown, (), now))[0] == first
    assert guard.select_stands(shown, now) == (14.0 if first == 0 else float("inf"))


def test_or_so_many_seconds():
    assert ids(guarded(longest_wait=5.0).select(waiting(9.0, 9.5, 4.0), (), 9.0)) == [2, 0, 1]


def test_that_others_have_waited_too_long_does_not_matter():
    """The first of them has a long service before it, and waits for ten times that."""
    shown = waiting(9.0, 4.0)
    shown[1].prediction = shown[1].prediction._replace(length=9.0)
    assert ids(guarded().select(shown, (), 50.0)) == [0, 1]


def test_it_is_the_batchings_own_execution_with_the_whole_queue_in_sight():
    assert guarded(UntilShortest(3), window=50).execution == RequestLevel(3, 50, Until.FIRST)
    assert guarded(Static(3, max_wait=2.0)).select(waiting(1.0), (), 2.0) == Hold(3.0)


def test_a_batching_that_names_victims_is_refused():
    with pytest.raises(ValueError, match="a batching that names victims cannot be guarded, Preemptive does"):
        guarded(Preemptive())
    with pytest.raises(ValueError, match="multiple must not be negative, got -1"):
        guarded(multiple=-1)


@pytest.mark.parametrize("leap", [True, False])
def test_who_has_waited_too_long_passes_one_that_finds_no_room(leap):
    """0 leaves 44 blocks; 2 ranks before 1, and needs 45: 1 comes in at the first step in which it has waited 12 s."""
    requests = make_requests([0, 0.5, 0.6], [30, 2, 45], [40, 3, 2])
    policy = make_policy(order=SJF(A_TOKEN_A_SECOND), batching=guarded(Continuous(max_num_seqs=4), multiple=4.0))
    device = make_device(profile=SECOND, block_size=1, kv_tokens=75)
    table = simulate(requests, policy, Cluster((device,)), OraclePredictor(), leap=leap).requests
    assert table["first_scheduled"][1] == 13.0


def test_in_a_run_the_one_that_starves_goes_before_shorter_ones():
    requests = make_requests([0, 0, 3, 3, 3], [1] * 5, [6, 3, 2, 2, 2])
    for batching, ends in ((Static(1), [15, 3, 5, 7, 9]), (guarded(multiple=1.0), [13, 3, 5, 7, 15])):
        policy = make_policy(order=SJF(A_TOKEN_A_SECOND), batching=batching)
        device = make_device(profile=SECOND, block_size=1)
        found = simulate(requests, policy, Cluster((device,)), OraclePredictor()).requests
        assert found["finished"].tolist() == ends
