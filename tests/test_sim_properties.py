"""What holds of every run: random workloads x orders x batchings x memory sizes x evictions x predictors."""

import dataclasses
import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass, field

import numpy as np
import pytest
from conftest import ROOT, LinearProfile, make_device, make_policy, make_requests, poisson_requests
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.batching import Continuous, Static
from policies.consolidation import Consolidation
from policies.eviction import Recompute, Swap
from policies.fifo import FIFO
from policies.hpf import HPF
from policies.luf import LUF
from policies.muf import MUF
from policies.predictors.oracle import OraclePredictor
from policies.routing import LeastLoaded
from policies.service_time import ServiceTime
from policies.sjf import SJF
from policies.up import UP
from sim import Cluster, Device, Overhead, Policy, Prediction, Request, Tables, simulate
from sim.metrics import response_time

MAX_TOKENS, LONGEST_PROMPT = 24, 40
PROFILE = LinearProfile(fixed=0.01, per_token=1e-3, per_context=1e-5, per_moved=1e-5)
SERVICE = ServiceTime(phi=1e-3, eta=0.01)

stable = settings(derandomize=True, deadline=None, max_examples=150, database=None)


@dataclass(frozen=True)
class Aging:
    """An order whose ranks change with time."""

    def rank(self, job, now):
        return job.prediction.length - 5.0 * (now - job.request.arrival)


@dataclass(frozen=True)
class Misjudging:
    """A predictor that is wrong, and not free."""

    seconds: float

    def predict(self, request):
        guess = float(request.id * 7919 % 23)
        return Prediction(length=guess, uncertainty=guess, seconds=self.seconds)


@dataclass
class Watching:
    """Everything to the first replica; keeps the free blocks that it saw as each request came."""

    free_blocks: list[int] = field(default_factory=list)

    def route(self, job, cluster):
        self.free_blocks.append(cluster[0].free_blocks)
        return LeastLoaded().route(job, cluster)


@dataclass(frozen=True)
class Case:
    requests: list[Request]
    policy: Policy
    device: Device
    predictor: object

    def run(self, **changes) -> Tables:
        cluster = Cluster((self.device,))
        return simulate(self.requests, self.policy, cluster, self.predictor, record=Record.DECISIONS, **changes)

    def with_batching(self, **changes) -> "Case":
        batching = dataclasses.replace(self.policy.batching, **changes)
        return dataclasses.replace(self, policy=dataclasses.replace(self.policy, batching=batching))


orders = st.sampled_from(
    [FIFO(), LUF(), MUF(), SJF(SERVICE), HPF(SERVICE), UP(SERVICE, 2.0), UP(SERVICE, -8.0), Aging()]
)
continuous = st.builds(
    Continuous,
    max_num_seqs=st.integers(1, 8),
    max_num_batched_tokens=st.integers(8, 80),
    long_prefill_token_threshold=st.sampled_from([0, 5, 16]),
) | st.builds(
    Continuous,
    max_num_seqs=st.integers(1, 8),
    max_num_batched_tokens=st.just(LONGEST_PROMPT + MAX_TOKENS),
    chunked_prefill=st.just(False),
)
waits = st.sampled_from([0.0, 0.3])
together = st.builds(Static, batch_size=st.integers(1, 6), max_wait=waits) | st.builds(
    Consolidation, batch_size=st.integers(1, 6), lookahead=st.floats(1, 3), ratio=st.floats(1, 4), max_wait=waits
)
rows = st.tuples(st.sampled_from([0.0, 0.004, 0.05, 0.6]), st.integers(1, LONGEST_PROMPT), st.integers(1, MAX_TOKENS))


@st.composite
def cases(draw, batchings=continuous | together, ample=False) -> Case:
    gaps, prompts, outputs = zip(*draw(st.lists(rows, min_size=1, max_size=14)), strict=True)
    requests = make_requests(np.cumsum(gaps), prompts, outputs, max_tokens=MAX_TOKENS)
    batching = draw(batchings)
    block_size = draw(st.sampled_from([1, 4, 16]))
    answers = [MAX_TOKENS] * len(outputs) if batching.execution.reserve_output else outputs
    blocks = max(-(-(p + a) // block_size) for p, a in zip(prompts, answers, strict=True)) + draw(st.integers(0, 12))
    policy = Policy(
        order=draw(orders),
        batching=batching,
        routing=LeastLoaded(),
        eviction=draw(st.sampled_from([Recompute(), Swap()])),
        overhead=draw(st.sampled_from([Overhead(), Overhead(decision_seconds=0.002, rank_seconds=1e-4)])),
    )
    device = make_device(
        profile=PROFILE, kv_tokens=1 << 20 if ample else blocks * block_size, max_model_len=128, block_size=block_size
    )
    return Case(requests, policy, device, draw(st.sampled_from([OraclePredictor(), Misjudging(0.0), Misjudging(0.02)])))


def plain(tables: Tables) -> str:
    """Every value of the tables, exactly; equal for equal tables, NaN included."""
    columns = [(name, column.tolist()) for table in (tables.requests, tables.steps) for name, column in table.items()]
    return repr((columns, tables.decisions))


def granted_tokens(tables: Tables) -> dict[int, int]:
    """The tokens that each request was granted in all steps."""
    total: dict[int, int] = {}
    for _, _, grants, _ in tables.decisions:
        for number, new in grants:
            total[number] = total.get(number, 0) + new
    return total


@stable
@given(cases())
def test_each_request_finishes_exactly_once(case):
    table = case.run().requests
    assert table["id"].tolist() == [request.id for request in case.requests]
    assert set(table["status"].tolist()) == {"finished"}


@stable
@given(cases())
def test_the_instants_of_a_life_stand_in_order(case):
    table = case.run().requests
    for earlier, later in [
        ("arrival", "queued"), ("queued", "first_scheduled"), ("first_scheduled", "first_token"),
        ("first_token", "finished"),
    ]:  # fmt: skip
        assert (table[earlier] <= table[later]).all()
    assert (table["first_scheduled"] < table["first_token"]).all()


@stable
@given(cases(continuous))
def test_the_tokens_computed_are_the_prompt_and_the_true_output(case):
    tables = case.run()
    granted, table = granted_tokens(tables), tables.requests
    once = table["prompt_tokens"] + table["output_tokens"] - 1  # the last token is emitted, and never computed
    total = np.array([granted[number] for number in table["id"].tolist()])
    redone = (table["preemptions"] > 0) & isinstance(case.policy.eviction, Recompute)
    assert (total[~redone] == once[~redone]).all()
    assert (total[redone] >= once[redone]).all()


@stable
@given(cases(together))
def test_a_static_batch_computes_as_often_for_each_member_as_its_longest_needs(case):
    tables = case.run()
    granted, table = granted_tokens(tables), tables.requests
    passes = np.array([granted[number] for number in table["id"].tolist()]) - table["prompt_tokens"] + 1
    for start in np.unique(table["first_scheduled"]):
        batch = table["first_scheduled"] == start
        assert set(passes[batch].tolist()) == {table["output_tokens"][batch].max()}
        assert len(set(table["finished"][batch].tolist())) == 1


@stable
@given(cases())
def test_blocks_jobs_and_tokens_stay_within_their_bounds(case):
    tables = case.run()
    execution = case.policy.batching.execution
    assert (tables.steps["blocks_used"] <= case.device.kv_tokens // case.device.block_size).all()
    assert (tables.steps["running"] <= execution.max_num_seqs).all()
    budget = execution.max_num_batched_tokens
    assert budget is None or all(sum(new for _, new in grants) <= budget for _, _, grants, _ in tables.decisions)


@stable
@given(cases())
def test_no_block_is_in_use_at_the_end(case):
    straggler = dataclasses.replace(case.requests[0], id=len(case.requests), arrival=1e4)
    watching = Watching()
    policy = dataclasses.replace(case.policy, routing=watching)
    dataclasses.replace(case, requests=[*case.requests, straggler], policy=policy).run()
    assert watching.free_blocks[-1] == case.device.kv_tokens // case.device.block_size


@stable
@given(cases(continuous, ample=True))
def test_ample_memory_means_no_preemption(case):
    assert case.run().requests["preemptions"].sum() == 0


def test_short_memory_means_preemption():
    requests = make_requests([0.0] * 6, [16] * 6, [24] * 6)
    case = Case(requests, make_policy(), make_device(kv_tokens=64, max_model_len=64), OraclePredictor())
    assert case.run().requests["preemptions"].sum() > 0


@stable
@given(cases(continuous))
def test_a_budget_above_all_tokens_makes_chunked_equal_unchunked(case):
    budget = sum(request.prompt_tokens + request.truth.output_tokens for request in case.requests)
    roomy = case.with_batching(max_num_batched_tokens=budget, long_prefill_token_threshold=0)
    chunked, unchunked = roomy.with_batching(chunked_prefill=True), roomy.with_batching(chunked_prefill=False)
    assert plain(chunked.run()) == plain(unchunked.run())


def test_a_budget_below_the_prompts_makes_chunked_differ_from_unchunked():
    requests = make_requests([0.0, 0.0], [30, 30], [5, 5])
    case = Case(requests, make_policy(batching=Continuous(max_num_batched_tokens=40)), make_device(), OraclePredictor())
    assert plain(case.run()) != plain(case.with_batching(chunked_prefill=False).run())


@stable
@given(cases())
def test_the_device_never_idles_while_a_request_waits(case):
    if getattr(case.policy.batching, "max_wait", 0.0):
        case = case.with_batching(max_wait=0.0)
    tables = case.run()
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
    """A hash of all tables of three policies on a busy device that is short of memory."""
    requests = [
        dataclasses.replace(request, max_tokens=400, client=f"client {request.id % 3}")
        for request in poisson_requests(rate=20.0, count=80, seed=3, prompt=20, mean_output=30)
    ]
    batchings = (Continuous(), Static(8), Consolidation(8, lookahead=2.0, ratio=2.0, max_wait=0.1))
    digest = hashlib.sha256()
    for batching in batchings:
        policy = make_policy(order=Aging(), batching=batching)
        digest.update(plain(Case(requests, policy, make_device(kv_tokens=1024), Misjudging(0.001)).run()).encode())
    return digest.hexdigest()


@pytest.mark.parametrize("seed", ["0", "1", "4242"])
def test_equal_inputs_give_equal_tables_in_another_process_under_another_hash_seed(seed):
    script = "import test_sim_properties; print(test_sim_properties.digest_of_some_runs())"
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest_of_some_runs()


@pytest.mark.parametrize("batching", [Continuous(max_num_seqs=8), Static(8)], ids=["continuous", "static"])
def test_littles_law(batching):
    """Jobs counted at the steps, over time, are rate x mean response; a job counts for the whole step it arrives in."""
    requests = [dataclasses.replace(one, max_tokens=600) for one in poisson_requests(3.0, 1500, 11, prompt=8)]
    tables = Case(requests, make_policy(batching=batching), make_device(), OraclePredictor()).run()
    steps, span = tables.steps, tables.requests["finished"].max()
    inside = float((steps["seconds"] * (steps["running"] + steps["waiting"])).sum() / span)
    rate, response = len(requests) / span, response_time(tables.requests).mean()
    assert inside > 1.0
    assert rate * response <= inside <= rate * (response + steps["seconds"].max())
