"""Replicas that step together: steps by hand, idle ranks, one rank as a replica, leaping asked for or not."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.batching.continuous import Continuous
from policies.eviction.swap import Swap
from policies.predictor.oracle import OraclePredictor
from policies.routing.round_robin import RoundRobin
from sim import Cluster, HostMemory, HostTime, Link, Record, simulate
from sim.step import Step
from tests.cases import FLAT, LINEAR, Stairs, stable
from tests.conftest import LinearProfile, make_device, make_policy, make_requests


@dataclass(frozen=True)
class Mixture(LinearProfile):
    """A profile whose step also takes `per_rank_token` seconds for each token of the ranks, on average."""

    per_rank_token: float = 0.0

    def step_time(self, step: Step) -> float:
        return super().step_time(step) + self.per_rank_token * step.rank_tokens


def run(requests, profile, count=2, seats=8, together=True, ahead=0, record=Record.STEPS, **more):
    devices = tuple(make_device(f"gpu{number}", profile=profile, **more) for number in range(count))
    batching = Continuous(max_num_seqs=seats, max_num_batched_tokens=32, plans_ahead=ahead)
    policy = make_policy(batching=batching, routing=RoundRobin())
    cluster = Cluster(devices, steps_together=together)
    return simulate(requests, policy, cluster, OraclePredictor(), record=record)


def columns(tables, kind):
    return {name: column.tolist() for name, column in getattr(tables, kind).items()}


def test_a_step_takes_as_long_as_the_slowest_rank_s() -> None:
    tables = run(make_requests([0.0, 0.0], [30, 3], [3, 3]), LinearProfile(fixed=1.0, per_token=0.1))
    first, ends = tables.requests["first_token"], [4.0, 5.1, 6.2]  # 1 + 30 * 0.1, then a token each
    assert first.tolist() == [4.0, 4.0]
    assert tables.steps["end"].tolist() == pytest.approx([end for end in ends for _ in range(2)])


def test_an_idle_rank_runs_along_and_lets_who_comes_wait_for_the_step_s_end() -> None:
    tables = run(make_requests([0.0, 1.0], [10, 10], [2, 1]), LinearProfile(fixed=1.0, per_token=0.1))
    assert tables.requests["first_scheduled"].tolist() == [0.0, 2.0]  # apart it would have begun at 1
    assert tables.requests["first_token"].tolist() == pytest.approx([2.0, 4.0])
    assert tables.requests["finished"].tolist() == pytest.approx([4.0, 4.0])  # its second token waits for the prompt
    idle = tables.steps["decode_jobs"] + tables.steps["prefill_tokens"] == 0
    assert [name for name, at in zip(tables.steps["replica"], idle, strict=True) if at] == ["gpu1"]


def test_the_profile_is_told_how_many_tokens_the_ranks_have() -> None:
    tables = run(make_requests([0.0], [10], [2]), Mixture(fixed=1.0, per_token=0.0, per_rank_token=0.1))
    assert tables.requests["finished"].tolist() == pytest.approx([(1 + 5 * 0.1) + (1 + 0.5 * 0.1)])


def test_host_time_counts_and_the_ranks_tokens_reach_the_device_behind_it() -> None:
    profile = Mixture(fixed=1.0, per_token=0.0, per_rank_token=0.1)
    tables = run(make_requests([0.0], [10], [2]), profile, host_time=HostTime(0.25, 0.5))
    assert tables.requests["finished"].tolist() == pytest.approx([(1.5 + 0.75) + (1.05 + 0.75)])


TICK = 0.0143713  # s; no arrival is at the end of a step to the last bit, which sums of steps may miss
ROWS = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 30), st.integers(1, 60)), min_size=1, max_size=14)
PROFILES = st.sampled_from([LINEAR, FLAT, Stairs(40)])


@stable
@given(ROWS, PROFILES, st.integers(1, 4), st.sampled_from([1 << 20, 160]), st.integers(0, 1))
def test_one_rank_is_a_replica(rows, profile, seats, memory, ahead) -> None:
    requests = make_requests(*zip(*((at * TICK, prompt, out) for at, prompt, out in sorted(rows)), strict=True))
    both = [
        run(requests, profile, 1, seats, together, ahead, kv_tokens=memory, max_model_len=128)
        for together in (True, False)
    ]
    for kind in ("requests", "steps"):
        one, other = (columns(tables, kind) for tables in both)
        assert one.keys() == other.keys()
        for name, column in one.items():
            same = column == other[name] or column == pytest.approx(other[name], rel=1e-9, nan_ok=True)
            assert same, name


@stable
@given(ROWS, PROFILES, st.integers(2, 3), st.integers(1, 4), st.integers(0, 1))
def test_everybody_s_steps_end_together_and_all_are_served(rows, profile, count, seats, ahead) -> None:
    requests = make_requests(*zip(*((at * TICK, prompt, out) for at, prompt, out in sorted(rows)), strict=True))
    tables = run(requests, profile, count, seats, ahead=ahead)
    assert set(tables.requests["status"]) == {"finished"}
    steps = tables.steps
    for end in set(steps["end"].tolist()):
        here = steps["end"] == end
        assert sorted(steps["replica"][here]) == [f"gpu{number}" for number in range(count)]
        assert len(set(steps["seconds"][here].tolist())) == 1


def test_ranks_plan_ahead_alike() -> None:
    devices = (make_device("a"), make_device("b", batching=Continuous(plans_ahead=1)))
    with pytest.raises(ValueError, match="plan ahead alike, got 0 and 1 steps"):
        simulate([], make_policy(), Cluster(devices, steps_together=True), OraclePredictor())


def test_memory_is_not_audited_there() -> None:
    cluster = Cluster((make_device("a"), make_device("b")), steps_together=True)
    with pytest.raises(ValueError, match="steps_together is not audited"):
        simulate([], make_policy(), cluster, OraclePredictor(), audit=True)


@pytest.mark.parametrize("busy", [False, True])
def test_all_wait_for_a_rank_that_copies_and_its_tokens_are_recorded(busy) -> None:
    host = HostMemory(None, Link(5.0, 1e9), "blocking")
    memory = {"kv_tokens": 40, "block_size": 1, "max_model_len": 64, "kv_bytes_per_token": 1}
    devices = tuple(make_device(f"gpu{n}", host=host, profile=LinearProfile(1.0, 0.0), **memory) for n in range(2))
    policy = make_policy(batching=Continuous(2, 64, plans_ahead=1), eviction=Swap(), routing=RoundRobin())
    lengths = [24, 4][: 1 + busy], [17, 30][: 1 + busy]
    requests = make_requests([0.0] * (1 + busy), *lengths, max_tokens=36)  # the first stops for a token in vain
    cluster = Cluster(devices, steps_together=True)
    steps = simulate(requests, policy, cluster, OraclePredictor(), record=Record.STEPS).steps
    stopped = (steps["replica"] == "gpu0") & (steps["preempted"] > 0)
    assert steps["moved_tokens"][stopped].tolist() == [40]
    assert steps["seconds"][stopped].tolist() == [pytest.approx(5.0)]
