"""What holds of every run of a random case."""

import dataclasses
import hashlib
import os
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.batching.consolidation import Consolidation
from policies.batching.continuous import Continuous
from policies.batching.static import Static
from policies.eviction.swap import Swap
from policies.predictor.oracle import OraclePredictor
from sim import Cluster, IterationLevel, Overhead, RequestLevel, Tables
from sim.device import Copying
from sim.engine.replica import Replica
from sim.metrics import response_time
from tests.cases import (
    NEVER,
    SHARED,
    Ageing,
    Case,
    Misjudging,
    Whimsical,
    ahead,
    cases,
    continuous,
    on_several,
    plain,
    sharing,
    stable,
    stepwise,
    together,
    with_contents,
    without_calls,
)
from tests.conftest import ROOT, make_device, make_policy, make_requests, poisson_requests


def foreseen(case: Case) -> Case:
    """`case` where each answer is as long as its client allows: a scheduler that decides ahead sees the end come."""
    requests = [
        dataclasses.replace(one, max_tokens=one.truth.output_tokens, truth=dataclasses.replace(one.truth, lengths=None))
        for one in case.requests
    ]
    return dataclasses.replace(case, requests=requests)


def never_drops(case: Case) -> bool:
    """Whether KV that was computed is there as long as its job: so nothing is computed twice."""
    eviction = case.policy.eviction
    return isinstance(eviction, Swap) and not isinstance(eviction, Whimsical) and case.device.host.tokens is None


def once(case: Case) -> np.ndarray:
    """The tokens of each request that are computed: the last is emitted, and never computed."""
    lengths = [one.prompt_tokens + one.truth.output_tokens + one.truth.returned_tokens - 1 for one in case.requests]
    return np.array(lengths)


def on(**changes) -> Cluster:
    """A cluster of one device."""
    return Cluster((make_device(**changes),))


def granted_tokens(tables: Tables) -> dict[int, int]:
    """The tokens that each request was granted in all steps."""
    total: dict[int, int] = {}
    for decision in tables.decisions:
        for number, new in decision.granted:
            total[number] = total.get(number, 0) + new
    return total


@stable
@given(cases() | on_several())
def test_each_request_finishes_exactly_once(case):
    table = case.run().requests
    assert table["id"].tolist() == [request.id for request in case.requests]
    assert set(table["status"].tolist()) == {"finished"}


@stable
@given(cases() | on_several())
def test_the_instants_of_a_life_stand_in_order(case):
    table = case.run().requests
    shown = ~np.isnan(table["first_token"])
    for earlier, later in [("arrival", "queued"), ("queued", "first_scheduled"), ("first_scheduled", "finished")]:
        assert (table[earlier] <= table[later]).all()
    assert (table["first_scheduled"] < table["first_token"])[shown].all()
    assert (table["first_token"] <= table["finished"])[shown].all()
    if len(case.cluster.devices) == 1:
        assert set(shown.tolist()) == {not isinstance(case.policy.batching.execution, RequestLevel)}


@stable
@given(cases(stepwise, caching=False, decodings=NEVER) | on_several(stepwise, caching=False, decodings=NEVER))
def test_the_tokens_computed_are_the_prompt_and_the_true_output(case):
    case = foreseen(case)
    tables = case.run()
    granted, table = granted_tokens(tables), tables.requests
    total = np.array([granted[number] for number in table["id"].tolist()])
    keeps = never_drops(case) and isinstance(case.policy.batching.execution, IterationLevel)
    redone = ((table["preemptions"] > 0) | (table["calls"] > 0)) & (not keeps)
    ahead = getattr(case.policy.batching, "plans_ahead", 0) * table["calls"]  # calls come unforeseen
    assert (total >= once(case)).all()
    assert (total[~redone] <= (once(case) + ahead)[~redone]).all()


@stable
@given(cases(ahead, caching=False))
def test_who_ends_unforeseen_computes_one_token_at_most_in_vain(case):
    tables = case.run()
    granted, table = granted_tokens(tables), tables.requests
    total = np.array([granted[number] for number in table["id"].tolist()])
    in_vain = total - once(case)
    cut = np.array([one.truth.output_tokens == one.max_tokens for one in case.requests])
    whole = (table["preemptions"] == 0) & (table["calls"] == 0)
    kept = table["preemptions"] == 0 if never_drops(case) else whole
    assert (in_vain >= 0).all()
    assert (in_vain <= table["calls"] + 1)[kept].all()
    assert (in_vain[whole & cut] == 0).all()
    assert ((in_vain >= 0) & (in_vain <= 1))[whole & ~cut].all()


@stable
@given(cases(stepwise, caching=True, decodings=NEVER))
def test_a_cached_prefix_saves_computing_and_never_the_last_token_of_a_prompt(case):
    case = foreseen(case)
    tables = case.run()
    granted, table = granted_tokens(tables), tables.requests
    total = np.array([granted[number] for number in table["id"].tolist()])
    saved = once(case) - total
    whole = (table["preemptions"] == 0) & (table["calls"] == 0)
    assert (saved[whole] >= 0).all()
    assert (saved[whole] < table["prompt_tokens"][whole]).all()
    assert (saved[whole] % case.device.block_size == 0).all()


@stable
@given(cases(together))
def test_a_static_batch_computes_as_often_for_each_member_as_its_longest_needs(case):
    tables = without_calls(case).run()
    granted, table = granted_tokens(tables), tables.requests
    total = np.array([granted[number] for number in table["id"].tolist()])
    for start in np.unique(table["first_scheduled"]):
        batch = table["first_scheduled"] == start
        widest, longest = table["prompt_tokens"][batch].max(), table["output_tokens"][batch].max()
        assert set(total[batch].tolist()) == {widest + longest - 1}  # the rows are padded to the widest
        assert len(set(table["finished"][batch].tolist())) == 1


@stable
@given(cases())
def test_blocks_jobs_and_tokens_stay_within_their_bounds(case):
    tables = case.run()
    execution = case.policy.batching.execution
    assert (tables.steps["blocks_used"] <= case.device.kv_tokens // case.device.block_size).all()
    assert (tables.steps["running"] <= execution.max_num_seqs).all()
    budget = execution.max_num_batched_tokens if isinstance(execution, IterationLevel) else None
    assert budget is None or all(sum(new for _, new in one.granted) <= budget for one in tables.decisions)


def replicas_after(case: Case, **changes) -> list[Replica]:
    """The replicas of a run of `case`, as they are at its end."""
    made = []

    def make(*arguments):
        made.append(Replica(*arguments))
        return made[-1]

    with mock.patch("sim.simulation.Replica", make):
        case.run(**changes)
    return made


@stable
@given(cases() | on_several(), st.booleans())
def test_nobody_and_no_block_is_in_use_at_the_end(case, leap):
    for replica in replicas_after(case, leap=leap):
        batch, kv = replica.batch, replica.batch.kv
        parked = replica.parked
        assert not {**parked.idle, **parked.calling, **parked.host.jobs, **parked.host.moving}
        assert not batch.called
        assert parked.host.leaving == 0
        assert parked.host.free == parked.host.total
        assert replica.jobs == len(replica.waiting) == len(batch.running) == len(batch.by_name) == 0
        assert batch.lockstep.rows == batch.lockstep.context == len(batch.lockstep.ends) == 0
        assert kv.free == kv.total == replica.device.kv_tokens // replica.device.block_size
        assert batch.lockstep.growth(100 * kv.block_size) == 0


@stable
@given(cases(sharing, caching=True) | on_several(sharing, caching=True), st.booleans())
def test_at_the_end_a_prefix_cache_knows_the_blocks_that_wait_to_be_evicted_and_no_others(case, leap):
    for replica in replicas_after(case, leap=leap):
        kv = replica.batch.kv
        known, unused = [run for runs in kv._known.values() for run in runs], []
        run = kv._unused
        while (run := run.after) is not kv._unused:
            unused.append(run)
        assert set(known) == {run for run in unused if run.key is not None}
        assert sum(run.blocks for run in unused) == kv.total - kv._blank
        assert all(run.blocks > 0 and not run.owners for run in unused)
        assert all(run.key == key for key, runs in kv._known.items() for run in runs)


@stable
@given(cases(continuous, ample=True))
def test_ample_memory_means_no_preemption(case):
    assert case.run().requests["preemptions"].sum() == 0


def test_short_memory_means_preemption():
    requests = make_requests([0.0] * 6, [16] * 6, [24] * 6)
    case = Case(requests, make_policy(), on(kv_tokens=64, max_model_len=64), OraclePredictor())
    assert case.run().requests["preemptions"].sum() > 0


@stable
@given(cases(continuous.filter(lambda batching: batching.phases != "exclusive")))
def test_a_budget_above_all_tokens_makes_chunked_equal_unchunked(case):
    budget = int(once(case).sum()) + len(case.requests)
    roomy = case.with_batching(max_num_batched_tokens=budget, long_prefill_token_threshold=0)
    chunked, unchunked = roomy.with_batching(chunked_prefill=True), roomy.with_batching(chunked_prefill=False)
    assert plain(chunked.run()) == plain(unchunked.run())


def test_a_budget_below_the_prompts_makes_chunked_differ_from_unchunked():
    requests = make_requests([0.0, 0.0], [30, 30], [5, 5])
    case = Case(requests, make_policy(batching=Continuous(max_num_batched_tokens=40)), on(), OraclePredictor())
    assert plain(case.run()) != plain(case.with_batching(chunked_prefill=False).run())


@stable
@given(cases().filter(lambda case: case.device.host.copying is Copying.BLOCKING))
def test_the_device_never_idles_while_a_request_waits(case):
    if getattr(case.policy.batching, "max_wait", 0.0):
        case = case.with_batching(max_wait=0.0)
    if getattr(case.policy.batching.execution, "plans_ahead", 0):  # the device waits for a slow scheduler
        case = dataclasses.replace(case, policy=dataclasses.replace(case.policy, overhead=Overhead()))
    tables = foreseen(without_calls(case)).run()
    busy, end = 0.0, 0.0
    for queued, finished in sorted(zip(tables.requests["queued"], tables.requests["finished"], strict=True)):
        busy += max(0.0, finished - max(queued, end))
        end = max(end, finished)
    assert tables.steps["seconds"].sum() == pytest.approx(busy)


@stable
@given(cases(), st.floats(0.001, 3.0))
def test_a_horizon_changes_nothing_before_it_and_drops_nobody(case, horizon):
    whole, cut = case.run().requests, case.run(horizon=horizon).requests
    came = whole["arrival"] < horizon
    assert cut["id"].tolist() == whole["id"][came].tolist()
    done = whole["finished"][came] < horizon
    assert cut["status"].tolist() == ["finished" if one else "censored" for one in done.tolist()]
    assert cut["finished"][done].tolist() == whole["finished"][came][done].tolist()
    assert np.isnan(cut["finished"][~done]).all()


@stable
@given(cases())
def test_equal_inputs_give_equal_tables(case):
    assert plain(case.run()) == plain(case.run())


def digest_of_some_runs() -> str:
    """A hash of all tables of three policies on a busy device that is short of memory and may cache prefixes."""
    requests = [
        dataclasses.replace(request, max_tokens=400, client=f"client {request.id % 3}")
        for request in poisson_requests(rate=20.0, count=80, seed=3, prompt=20, mean_output=30)
    ]
    batchings = (Continuous(), Static(8), Consolidation(8, lookahead=2.0, ratio=2.0, max_wait=0.1))
    sharing = [with_contents(one, one.id % 3, SHARED[0], id_tokens=1, answers=True) for one in requests]
    digest = hashlib.sha256()
    for batching in batchings:
        policy = make_policy(order=Ageing(1.0), batching=batching)
        for trace, cluster in ((requests, on(kv_tokens=1024)), (sharing, on(kv_tokens=1024, prefix_caching=True))):
            digest.update(plain(Case(trace, policy, cluster, Misjudging(0.001)).run()).encode())
    return digest.hexdigest()


@pytest.mark.parametrize("seed", ["0", "1", "4242"])
def test_equal_inputs_give_equal_tables_in_another_process_under_another_hash_seed(seed):
    script = "from tests.sim.test_properties import digest_of_some_runs; print(digest_of_some_runs())"
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest_of_some_runs()


@pytest.mark.parametrize("batching", [Continuous(max_num_seqs=8), Static(8)], ids=["continuous", "static"])
def test_littles_law(batching):
    """Jobs counted at the steps, over time, are rate x mean response; each from the first step after it came."""
    requests = [dataclasses.replace(one, max_tokens=600) for one in poisson_requests(3.0, 1500, 11, prompt=8)]
    tables = Case(requests, make_policy(batching=batching), on(), OraclePredictor()).run()
    steps, table = tables.steps, tables.requests
    span, starts = table["finished"].max(), steps["end"] - steps["seconds"]
    inside = float((steps["seconds"] * (steps["running"] + steps["waiting"])).sum() / span)
    late = starts[np.searchsorted(starts, table["arrival"], "left")] - table["arrival"]
    rate, response = len(requests) / span, response_time(table) - late
    assert 0 < late.mean() < late.max() <= steps["seconds"].max()
    assert inside > 1.0
    assert inside == pytest.approx(rate * response.mean(), rel=1e-9)
