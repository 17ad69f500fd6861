"""The audit of memory: every token slot of every replica is in one use at a time, and known by hand in small cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.batching.continuous import Continuous
from policies.batching.preemptive import Preemptive
from policies.batching.static import Static
from policies.eviction.keep import Resident
from policies.eviction.recompute import Recompute
from policies.eviction.swap import Swap
from policies.order.srpt import SRPT
from policies.predictor.oracle import OraclePredictor
from policies.routing.disaggregation import Disaggregation
from sim import Cluster, HostMemory, Link, Pause, Record, Request, Truth, simulate
from sim.engine.audit import Audit
from sim.engine.batch import Batch
from sim.engine.growth import GrowingLockstep
from sim.engine.kv import KVCache
from sim.job import Job
from sim.record import Use
from tests.cases import cases, examples, on_several, plain, preemptive, stable, without_calls
from tests.conftest import LinearProfile, make_device, make_policy, make_requests

horizons = st.none() | st.sampled_from([0.0625, 0.125, 0.3, 1.1, 40.0])
random_cases = cases() | cases(preemptive) | on_several()


def assert_closes(case, horizon, table):
    """Of each replica the uses add up to what it has, over the time that all have."""
    names = [device.name for device in case.cluster.devices]
    assert table["replica"].tolist() == [name for name in names for _ in Use]
    assert table["use"].tolist() == [use.name.lower() for use in Use] * len(names)
    (seconds,) = set(table["seconds"].tolist())
    assert horizon is None or seconds == horizon
    for device in case.cluster.devices:
        mine = table["replica"] == device.name
        capacity = device.kv_tokens // device.block_size * device.block_size
        assert set(table["kv_tokens"][mine].tolist()) == {capacity}
        assert table["token_seconds"][mine].sum() == pytest.approx(capacity * seconds, rel=1e-9)
        assert table["share"][mine].sum() == pytest.approx(1.0, rel=1e-9)
        assert (table["token_seconds"][mine] >= table["held_up"][mine]).all()
        assert (table["held_up"][mine] >= 0).all()


@settings(stable, max_examples=examples(600))
@given(random_cases, horizons)
def test_the_audit_closes_and_leap_equals_step_to_the_last_bit(case, horizon):
    leaped = case.run(Record.REQUESTS, horizon=horizon, audit=True)
    stepped = case.run(Record.REQUESTS, horizon=horizon, audit=True, leap=False)
    assert_closes(case, horizon, leaped.audit)
    for name, column in leaped.audit.items():
        assert repr(column.tolist()) == repr(stepped.audit[name].tolist()), name


@stable
@given(random_cases, horizons)
def test_asking_for_it_changes_no_other_table(case, horizon):
    asked, bare = case.run(horizon=horizon, audit=True), case.run(horizon=horizon)
    assert plain(asked) == plain(bare)
    assert bare.audit == {}


# blocks are taken when their step begins, and nobody who keeps some waits for others while no step is made
at_once = random_cases.filter(
    lambda case: (
        not getattr(case.policy.batching.execution, "plans_ahead", 0)
        and not (case.policy.eviction == Resident() and getattr(case.policy.batching, "max_wait", 0))
    )
)


@stable
@given(at_once)
def test_what_is_free_is_what_the_steps_say(case):
    """The record of steps counts blocks apart from the audit; in between there is KV under way, or of callers."""
    tables = without_calls(case).run(Record.STEPS, audit=True)
    steps, audit = tables.steps, tables.audit
    for device in case.cluster.devices:
        mine = steps["replica"] == device.name
        used = device.block_size * (steps["blocks_used"] * steps["seconds"])[mine].sum()
        uses = audit["token_seconds"][audit["replica"] == device.name]
        if uses[Use.TRANSFER] == 0:
            assert uses[: Use.FREE].sum() == pytest.approx(used, rel=1e-9, abs=1e-9)


# By hand: a step takes a second


def audit_of(requests, kv_tokens=16, block_size=1, horizon=None, devices=("gpu",), caching=False, **parts):
    """The token-seconds in each use that is not 0, by name; of the first device."""
    profile = LinearProfile(1.0, 0.0)
    changes = {"profile": profile, "kv_tokens": kv_tokens, "block_size": block_size, "prefix_caching": caching}
    cluster = Cluster(tuple(make_device(name, max_model_len=kv_tokens, **changes) for name in devices))
    table = simulate(requests, make_policy(**parts), cluster, OraclePredictor(), horizon=horizon, audit=True).audit
    rows = zip(table["use"].tolist(), table["token_seconds"].tolist(), strict=True)
    return {use: held for use, held in [*rows][: len(Use)] if held}


def test_a_job_in_blocks_of_four():
    """Half a second nobody; then a prompt of 4 in one block, and answers to 5 and 6 in two."""
    found = audit_of(make_requests([0.5], [4], [3]), block_size=4)
    assert found == {"prefill": 4, "decode": 5 + 6, "fragmentation": 3 + 2, "free": 8 + 12 + 8 + 8}


def test_a_horizon_cuts_a_step():
    found = audit_of(make_requests([0.5], [4], [3]), block_size=4, horizon=2.25)
    assert found == {"prefill": 4, "decode": 0.75 * 5, "fragmentation": 0.75 * 3, "free": 8 + 12 + 0.75 * 8}


def test_all_is_free_after_the_last_step_up_to_the_horizon():
    found = audit_of(make_requests([0], [4], [1]), horizon=10.0)
    assert found == {"prefill": 4, "free": 12 + 9 * 16}


@pytest.mark.parametrize(
    ("eviction", "uses"),
    [
        (Resident(), {"decode": 39, "waiting": 6 + 6, "fragmentation": 1 + 1}),  # the block of the token it did not get
        (Recompute(), {"decode": 32, "recompute": 7}),
        (Swap(), {"decode": 39}),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_job_that_stops_for_another(eviction, uses):
    """4, 5 and 6 tokens of the first; 3 and 4 of the second in its place; 7, 8 and 9 of the first."""
    batching = Preemptive(max_num_seqs=1)
    found = audit_of(make_requests([0, 2.5], [4, 3], [6, 2]), order=SRPT(), batching=batching, eviction=eviction)
    uses = {"prefill": 4 + 3, **uses}
    assert found == {**uses, "free": 8 * 16 - sum(uses.values())}


def test_of_a_prompt_that_was_dropped_on_the_way_what_there_was_is_computed_anew():
    """2 and 4 tokens; 1 of another; 2 and 4 anew, then 6 of the prompt, and 7."""
    batching = Preemptive(max_num_seqs=1, max_num_batched_tokens=2)
    requests = make_requests([0, 1.5], [6, 1], [2, 1])
    found = audit_of(requests, order=SRPT(), batching=batching, eviction=Recompute())
    uses = {"prefill": 2 + 4 + 1 + 6, "recompute": 2 + 4, "decode": 7}
    assert found == {**uses, "free": 7 * 16 - sum(uses.values())}


def test_the_padding_of_a_static_batch():
    """Rows of 2 and 4 tokens, as wide as 4, 5 and 6: the first is complete after its prompt."""
    found = audit_of(make_requests([0, 0], [2, 4], [1, 3]), kv_tokens=32, block_size=4, batching=Static(2))
    fragmentation = (8 - 6) + (16 - 7) + (16 - 8)
    assert found == {"prefill": 2 + 4, "decode": 2 + 5 + 2 + 6, "fragmentation": fragmentation, "free": 24 + 16 + 16}


def test_what_is_set_aside_for_the_longest_answer():
    requests = make_requests([0], [4], [3], max_tokens=8)
    found = audit_of(requests, block_size=4, batching=Continuous(reserve_output=True))
    assert found == {"prefill": 4, "decode": 5 + 6, "fragmentation": 8 + 7 + 6, "free": 3 * 4}


def test_a_block_that_two_share_is_of_the_one_that_decodes_and_what_is_only_known_is_free():
    """9 tokens; 10, and the ninth of another whose first 8 are shared; 11; then nobody."""
    ids = tuple(range(9))
    requests = [Request(0, 0.0, 9, Truth(3), prompt_ids=ids), Request(1, 0.5, 9, Truth(1), prompt_ids=ids)]
    found = audit_of(requests, kv_tokens=24, block_size=4, caching=True, horizon=5.0)
    uses = {"prefill": 9 + 1, "decode": 10 + 11, "fragmentation": 3 + (2 + 3) + 1}
    assert found == {**uses, "free": 12 + 8 + 12 + 2 * 24}


def test_a_replica_counts_until_the_last_step_of_any():
    found = audit_of(make_requests([0, 0], [4, 4], [1, 3]), devices=("a", "b"))
    assert found == {"prefill": 4, "free": 12 + 2 * 16}


def test_a_run_without_a_step_has_no_shares():
    cluster = Cluster((make_device(kv_tokens=16, max_model_len=16),))
    table = simulate(make_requests([0], [99], [9]), make_policy(), cluster, OraclePredictor(), audit=True).audit
    assert set(table["token_seconds"].tolist()) == {0.0}
    assert np.isnan(table["share"]).all()


def held_up(requests, profile, host=None, **parts):
    """The token-seconds that steps took longer, in each use in which there are any."""
    changes = {"kv_tokens": 64, "block_size": 1, "max_model_len": 64, "kv_bytes_per_token": 1}
    device = make_device(profile=profile, host=host or HostMemory(), **changes)
    table = simulate(requests, make_policy(**parts), Cluster((device,)), OraclePredictor(), audit=True).audit
    rows = zip(table["use"].tolist(), table["held_up"].tolist(), strict=True)
    return {use: pytest.approx(held) for use, held in rows if held and use != "free"}


CALLS = Request(0, 0.0, 4, Truth(2, pauses=(Pause(1, 8.5, 2),)))  # of its 7 tokens 4 may be computed anew, 3 are new
BESIDE = Request(1, 0.0, 2, Truth(20))
STEPS = LinearProfile(1.0, 0.125)


def test_a_step_takes_longer_for_what_it_computes_anew():
    """It calls at 1.75 s, and joins at 10.75 s the other, which has emitted 9 tokens: half a second longer."""
    assert held_up([CALLS], STEPS, eviction=Recompute()) == {"recompute": 7 * 0.5}
    assert held_up([CALLS, BESIDE], STEPS, eviction=Recompute()) == {"recompute": 7 * 0.5, "decode": (2 + 9) * 0.5}
    assert held_up([CALLS, BESIDE], STEPS, eviction=Resident()) == {}


def test_a_chunk_is_computed_anew_as_far_as_it_had_been():
    """Chunks of 3: all of them anew, which is all that is done; one of them; none."""
    found = held_up([CALLS], STEPS, eviction=Recompute(), batching=Continuous(max_num_batched_tokens=3))
    assert found == {"recompute": 3 * 1.375 + 6 * 0.125}


@pytest.mark.parametrize(
    ("profile", "host"),
    [
        (LinearProfile(1.0, 0.125, per_moved=0.25), None),
        (LinearProfile(1.0, 0.125, per_moved=9.0), HostMemory(link=Link(0.0, 4.0))),  # a byte a token
    ],
)
def test_a_step_takes_longer_for_the_copies_that_it_waits_for(profile, host):
    """4 tokens take a second: out beside the other's 3, and back at 10.625 s beside its 10, with the 3 new ones."""
    assert held_up([CALLS, BESIDE], profile, host, eviction=Swap()) == {"decode": 3 + 10, "prefill": 7}


def holding(tokens: int) -> tuple[Batch, Job]:
    """A cache of four blocks of four, and a job that holds the blocks of so many tokens."""
    kv = KVCache(4, 4)
    (request,) = make_requests([0], [tokens], [1])
    job = Job(request, OraclePredictor().predict(request))
    kv.allocate(job, tokens)
    job.base_computed = tokens
    return Batch(kv, GrowingLockstep(kv)), job


def test_kv_that_is_sent_is_in_transfer():
    batch, job = holding(6)
    audit = Audit("gpu", batch, (), (), (job,))
    audit.spend(None, 2.0)
    assert {use: held for use, held in zip(Use, audit.token_seconds, strict=True) if held} == {
        Use.TRANSFER: 12.0,
        Use.FRAGMENTATION: 4.0,
        Use.FREE: 16.0,
    }


def test_kv_that_is_sent_to_another_replica_stays_until_it_is_there():
    """Its prompt takes a step; six tokens of a byte each take three seconds, two of which a step goes on besides."""
    profile = LinearProfile(1.0, 0.0)
    changes = {"profile": profile, "kv_tokens": 16, "block_size": 1, "max_model_len": 16, "kv_bytes_per_token": 1}
    devices = tuple(make_device(kind, kind, **changes) for kind in ("prefill", "decode"))
    cluster = Cluster(devices, Link(1.0, 3.0))
    policy = make_policy(routing=Disaggregation())
    table = simulate(make_requests([0, 2], [6, 2], [3, 1]), policy, cluster, OraclePredictor(), audit=True).audit
    held = dict(zip(table["use"].tolist(), table["token_seconds"].tolist()[: len(Use)], strict=False))
    assert {use: seconds for use, seconds in held.items() if seconds} == {
        "prefill": 6 + 2, "transfer": 6 * 3, "free": 6 * 16 - 8 - 18,
    }  # fmt: skip


@pytest.mark.parametrize("copying", ["blocking", "overlapped"])
def test_kv_that_goes_to_the_host_and_back_is_in_transfer(copying):
    """Out from 3 s to 5 and back from 5 to 7 where steps go on, as in test_host.py; elsewhere a step waits."""
    host = HostMemory(link=Link(0.5, 4.0), copying=copying)
    profile = LinearProfile(1.0, 0.0)
    device = make_device(profile=profile, kv_tokens=32, block_size=1, max_model_len=32, kv_bytes_per_token=1, host=host)
    policy = make_policy(order=SRPT(), batching=Preemptive(max_num_seqs=1), eviction=Swap())
    requests = make_requests([0, 2.5], [4, 3], [6, 2])
    table = simulate(requests, policy, Cluster((device,)), OraclePredictor(), audit=True).audit
    transfer = dict(zip(table["use"].tolist(), table["token_seconds"].tolist(), strict=True))["transfer"]
    assert transfer == (6 * 2 + 6 * 2 if copying == "overlapped" else 0)


@pytest.mark.parametrize(("lost", "total"), [(0, 8), (1, 4), (-1, 12)])
def test_blocks_that_nobody_accounts_for_end_the_run(lost, total):
    batch, _ = holding(6)
    batch.kv.free -= lost
    with pytest.raises(RuntimeError, match=rf"the KV of gpu after 0.0 s adds up to {total} of 16 tokens: decode 0, "):
        Audit("gpu", batch, waiting=()).spend(None, 2.0)
