"""Jobs that stop for others: who stops, what becomes of their KV, and what theory says of it."""

import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings

from experiments.engine.golden import IterationTime
from experiments.engine.theory import LAWS, STEP, WARM_UP, Comparison, Queue, compared, first_come
from policies.batching.continuous import Continuous
from policies.batching.preemptive import Preemptive
from policies.eviction.keep import Resident
from policies.eviction.recompute import Recompute
from policies.eviction.swap import Swap
from policies.order.service_time import ServiceTime
from policies.order.sjf import SJF
from policies.order.srpt import SRPT
from policies.predictor.oracle import OraclePredictor
from policies.routing.least_loaded import LeastLoaded
from sim import Cluster, Device, Eviction, Keep, Policy, Record, Request, Short, Truth, simulate
from sim.metrics import inside, measured_window, response_time
from tests.cases import Limited, cases, on_several, plain, preemptive, stable
from tests.conftest import LinearProfile, make_device, make_policy, make_requests
from tests.sim.test_leaping import assert_leap_equals_step


@settings(stable, max_examples=400)
@given(cases(preemptive) | on_several(preemptive))
def test_leap_equals_step_where_jobs_stop_for_one_another(case):
    assert_leap_equals_step(case)


@stable
@given(cases(preemptive))
def test_a_batching_that_names_nobody_is_continuous_batching(case):
    class Nobody(Preemptive):
        def victim(self, incoming, running, lacks, now):
            return None

    tables = []
    for kind in (Nobody, Continuous):
        batching = kind(**{name: getattr(case.policy.batching, name) for name in Continuous.__match_args__})
        policy = make_policy(order=case.policy.order, eviction=case.policy.eviction, batching=batching)
        tables.append(plain(simulate(case.requests, policy, case.cluster, case.predictor, record=Record.DECISIONS)))
    assert tables[0] == tables[1]


def serve(requests, device=None, **parts):
    device = device or make_device(profile=LinearProfile(1.0, 0.0), block_size=1)
    parts = {"order": SRPT(), "batching": Preemptive(max_num_seqs=1), "eviction": Resident(), **parts}
    policy = make_policy(**parts)
    return simulate(requests, policy, Cluster((device,)), OraclePredictor(), record=Record.DECISIONS)


def granted(tables) -> list[dict[int, int]]:
    return [dict(grants) for _, _, grants, _ in tables.decisions]


LONG_AND_SHORT = ([0, 2.5], [4, 3], [6, 2])


@pytest.mark.parametrize(
    ("eviction", "again"), [(Resident(), {0: 1}), (Recompute(), {0: 7}), (Swap(), {0: 1})], ids=lambda one: repr(one)
)
def test_a_short_job_takes_the_place_of_a_long_one_which_goes_on_behind_it(eviction, again):
    tables = serve(make_requests(*LONG_AND_SHORT), eviction=eviction)
    assert granted(tables) == [{0: 4}, {0: 1}, {0: 1}, {1: 3}, {1: 1}, again, {0: 1}, {0: 1}]
    assert tables.requests["preemptions"].tolist() == [1, 0]
    assert tables.requests["finished"].tolist() == [8.0, 5.0]
    assert [out for *_, out in tables.decisions][3] == (0,)
    kept = isinstance(eviction, Resident)
    assert tables.steps["blocks_used"].tolist()[3] == 3 + 7 * kept  # its six, and the one of the token it did not get
    assert bool(tables.steps["moved_tokens"].any()) is isinstance(eviction, Swap)


def test_kept_kv_gives_way_to_a_job_that_ranks_before_it():
    """The first stops for the second, whose nine tokens find no room beside the seven kept."""
    device = make_device(profile=LinearProfile(1.0, 0.0), block_size=1, kv_tokens=12, max_model_len=12)
    tables = serve(make_requests([0, 2.5], [4, 8], [6, 2]), device)
    assert granted(tables) == [{0: 4}, {0: 1}, {0: 1}, {1: 8}, {1: 1}, {0: 7}, {0: 1}, {0: 1}]
    assert tables.requests["preemptions"].tolist() == [1, 0]


def test_kept_kv_gives_way_to_jobs_that_run_as_they_grow():
    device = make_device(profile=LinearProfile(1.0, 0.0), block_size=1, kv_tokens=13, max_model_len=14)
    tables = serve(make_requests([0, 1.5], [4, 2], [10, 7]), device)
    assert granted(tables)[2:12] == [{1: 2}, *[{1: 1}] * 6, {0: 6}, {0: 1}, {0: 1}]


def test_a_victim_gives_tokens_back():
    batching = Preemptive(max_num_seqs=2, max_num_batched_tokens=4)
    tables = serve(make_requests([0, 0.5], [9, 3], [9, 2]), batching=batching)
    assert granted(tables)[:3] == [{0: 4}, {1: 3}, {1: 1, 0: 3}]


class Names(Preemptive):
    def victim(self, incoming, running, lacks, now):
        return incoming


class Greedy(Preemptive):
    """Names those that were admitted in this very step too, by keeping what it is shown."""

    def select(self, waiting, running, now):
        SHOWN[:] = [running]
        return waiting

    def victim(self, incoming, running, lacks, now):
        assert lacks is Short.SEATS
        return next(iter(SHOWN[0]))


SHOWN: list[object] = []


@pytest.mark.parametrize(
    ("batching", "message"),
    [
        (Names(max_num_seqs=1), r"Names.victim names Job\(id=1, .*\) at 0.0 s, which does not run"),
        (Greedy(max_num_seqs=1), r"Greedy.victim names Job\(id=0, .*\) at 0.0 s, which was admitted in this very step"),
    ],
)
def test_a_victim_that_cannot_stop_is_named(batching, message):
    with pytest.raises(RuntimeError, match=message):
        serve(make_requests([0, 0], [4, 3], [6, 9]), batching=batching)


class Stubborn(Eviction):
    def on_stop(self, job, cause, load, now):
        return Keep.KEEP


def test_what_is_kept_under_pressure_is_refused():
    device = make_device(profile=LinearProfile(1.0, 0.0), block_size=1, kv_tokens=12, max_model_len=12)
    with pytest.raises(RuntimeError, match=r"Stubborn.on_stop keeps Job\(id=0, .*\) at 3.0 s under pressure"):
        serve(make_requests([0, 2.5], [4, 8], [6, 2]), device, eviction=Stubborn())


def test_victims_are_for_mixed_phases():
    with pytest.raises(ValueError, match="Preemptive names victims: phases must be mixed, got decode_first"):
        serve(make_requests([0], [1], [1]), batching=Preemptive(phases="decode_first"))


def test_limited_preemption_spares_who_is_nearly_done():
    """Of ten tokens eight are left when the second comes: at most 0.3 of ten are emitted, and more than 0.1."""
    requests = make_requests([0, 1.5], [1, 1], [10, 2])
    assert serve(requests, batching=Limited(max_num_seqs=1, share=0.3)).requests["preemptions"].tolist() == [1, 0]
    assert serve(requests, batching=Limited(max_num_seqs=1, share=0.1)).requests["preemptions"].tolist() == [0, 0]


# Theory: one server, jobs known by their size


def preemptive_shortest_first(law, rate):
    """PSJF: a class with preemption for each size."""
    sizes = STEP * np.arange(1, len(law) + 1)
    load, squares = rate * np.cumsum(law * sizes), rate * np.cumsum(law * sizes**2)
    below = np.concatenate([[0.0], load[:-1]])
    return float(law @ (sizes / (1 - below) + squares / (2 * (1 - below) * (1 - load))))


def shortest_remaining_first(law, rate):
    """SRPT: Schrage and Miller."""
    sizes = STEP * np.arange(1, len(law) + 1)
    load, squares = rate * np.cumsum(law * sizes), rate * np.cumsum(law * sizes**2)
    longer = np.clip(1 - np.cumsum(law), 0, None)
    waits = (squares + rate * sizes**2 * longer) / (2 * (1 - load) ** 2)
    return float(law @ (waits + np.cumsum(STEP / (1 - load))))


ORDERS = {"PSJF": SJF(ServiceTime(0.0, 1.0)), "SRPT": SRPT()}
FORMULAS = {"PSJF": preemptive_shortest_first, "SRPT": shortest_remaining_first}


@functools.cache
def simulated(sizes: str, policy: str) -> Comparison:
    queue = Queue("M/G/1", sizes, 0.8, FORMULAS[policy], policy)
    runs = []
    for seed in range(10):
        arrivals, steps = queue.drawn(seed, 1500)
        requests = [
            Request(number, arrival, 1, Truth(size))
            for number, (arrival, size) in enumerate(zip(arrivals.tolist(), steps.tolist(), strict=True))
        ]
        device = Device("gpu", "gpu", IterationTime(STEP, 0.0), kv_tokens=1 << 40, max_model_len=1 << 20)
        batching = Preemptive(max_num_seqs=1, max_num_batched_tokens=None)
        parts = Policy(ORDERS[policy], batching, LeastLoaded(), Resident())
        tables = simulate(requests, parts, Cluster((device,)), OraclePredictor())
        assert tables.iterations == steps.sum()  # nothing is lost, and nothing done twice
        measured = inside(tables.requests, measured_window(tables.requests, WARM_UP))
        gap, size = np.diff(measured["arrival"]).mean(), STEP * measured["output_tokens"].mean()
        runs.append((float(response_time(measured).mean()), float(gap), float(size)))
    return compared(queue, runs)


@pytest.mark.parametrize("sizes", ["exponential", "uniform", "hyperexponential"])
@pytest.mark.parametrize("policy", FORMULAS)
def test_the_mean_response_under_preemption_is_that_of_theory(sizes, policy):
    found = simulated(sizes, policy)
    assert found.verdict(found.queue.exact) == "agrees"
    assert found.standard_error < 0.07 * found.queue.exact
    assert found.verdict(first_come(LAWS[sizes], found.queue.rate)) == "differs"


def test_psjf_and_srpt_are_told_apart():
    found = simulated("uniform", "SRPT")
    assert found.verdict(preemptive_shortest_first(LAWS["uniform"], 0.8)) == "differs"


def test_the_formulas_give_the_values_of_the_literature():
    """M/M/1 at the load 0.8."""
    found = [formula(LAWS["exponential"], 0.8) for formula in FORMULAS.values()]
    assert found == pytest.approx([2.6587, 2.3525], rel=0.003)
    assert math.isclose(first_come(LAWS["exponential"], 0.8), 5.0, rel_tol=0.003)
