"""Passes that emit several tokens, or none: by hand, and what holds of every run of a random case."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.batching.continuous import Continuous
from policies.batching.static import Static
from policies.predictor.oracle import OraclePredictor
from sim import Cluster, Decoding, Passes, Pause, Record, Request, Truth, simulate
from tests.cases import (
    EVEN,
    NEVER,
    Case,
    Hopping,
    InVain,
    OneByOne,
    Proposing,
    cases,
    chunked,
    examples,
    hopping,
    plain,
    stable,
    stepwise,
    unchunked,
    without_calls,
)
from tests.conftest import LinearProfile, make_device, make_policy, make_requests

often = settings(stable, max_examples=examples(100))
SECOND = LinearProfile(fixed=1.0, per_token=0.0)


@dataclasses.dataclass(frozen=True)
class Told(Decoding):
    """The same passes for each request, (emits, proposed), from when it begins to decode."""

    told: tuple[tuple[int, int], ...]
    lookahead: int = 4
    round_seconds: float = 0.0

    def passes(self, request, emitted):
        return Passes(*zip(*self.told, strict=True))

    def priced(self, target):
        return Proposing(target, self.round_seconds)


def serve(decoding, *lives, batching=None, profile=SECOND, record=Record.DECISIONS, leap=True, **device):
    """The tables of requests (arrival, prompt, output, pauses...) on a device whose every step takes a second."""
    requests = [
        Request(number, float(arrival), prompt, Truth(output, (), tuple(Pause(*one) for one in pauses)))
        for number, (arrival, prompt, output, *pauses) in enumerate(lives)
    ]
    made = make_device(profile=profile, decoding=decoding, **device)
    policy = make_policy(batching=batching or Continuous())
    return simulate(requests, policy, Cluster((made,)), OraclePredictor(), record=record, leap=leap, audit=True)


def test_a_pass_emits_what_it_keeps_and_the_last_is_cut():
    """The prompt's pass emits the first of nine, then three, none and four of five, and the rest of two."""
    tables = serve(Told(((3, 2), (0, 1), (4, 4), (2, 1))), (0, 8, 9))
    assert tables.requests["finished"].tolist() == [5.0]
    assert (tables.requests["passes"][0], tables.requests["proposed_tokens"][0]) == (4, 8)
    assert tables.steps["decode_context"].tolist() == [0, 9, 12, 12, 16]
    assert [granted for decision in tables.decisions for _, granted in decision.granted] == [8, 3, 2, 5, 2]


def test_nothing_is_proposed_beyond_the_longest_answer():
    """Of six tokens that the client allows three are left when the second pass begins: two beyond the one owed."""
    requests = [Request(0, 0.0, 4, Truth(6), max_tokens=6)]
    device = make_device(profile=SECOND, decoding=Told(((2, 4), (3, 4))))
    tables = simulate(requests, make_policy(), Cluster((device,)), OraclePredictor(), record=Record.DECISIONS)
    assert [granted for decision in tables.decisions for _, granted in decision.granted] == [4, 5, 3]


def test_each_round_of_proposing_takes_its_time_as_long_as_one_job_has_so_many():
    decoding = Told(((3, 2), (2, 1), (5, 4)), round_seconds=0.25)
    assert serve(decoding, (0, 8, 11)).requests["finished"].tolist() == [1 + 1.5 + 1.25 + 2.0]
    two = serve(decoding, (0, 8, 11), (1.75, 8, 11)).requests["finished"]  # the other decodes a pass later
    assert two.tolist() == [1 + 1.5 + (1.0 + 0.25) + 2.0, 3.75 + 2.0 + 1.25 + 2.0]


def test_a_call_cuts_a_pass_and_what_comes_after_it_begins_anew():
    tables = serve(Told(((3, 2), (3, 2), (3, 2))), (0, 8, 9, (3, 2.0, 4)))
    # 1 by the prompt at 1 s, 2 of 3 at 2 s, the call until 4 s, one by what came back at 5 s, 3 and 2 of 3
    assert tables.requests["finished"].tolist() == [7.0]
    assert (tables.requests["passes"][0], tables.requests["proposed_tokens"][0]) == (3, 6)


def test_proposals_that_do_not_fit_the_budget_are_cut_and_the_token_that_is_owed_comes():
    tables = serve(Told(((0, 4),) * 9 + ((9 % 5, 4),) * 3), (0, 4, 3), batching=Continuous(max_num_batched_tokens=4))
    assert [granted for decision in tables.decisions for _, granted in decision.granted] == [4, 4, 4]
    assert tables.requests["finished"].tolist() == [3.0]


def test_what_is_proposed_takes_blocks_and_a_request_without_room_for_it_is_rejected():
    """At its last pass 12 tokens are computed, one is owed and three are proposed: four blocks of four."""
    decoding = Told(((1, 3),) * 9, lookahead=3)
    fits, not_fits = (serve(decoding, (0, 8, 6), block_size=4, kv_tokens=tokens) for tokens in (16, 12))
    assert fits.requests["status"].tolist() == ["finished"]
    assert not_fits.requests["status"].tolist() == ["rejected"]
    assert "needs 16 tokens of KV, gpu has 12" in not_fits.rejection


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (((2, 0),), "pass 0 proposes 0 tokens, 0 to 4, and emits 2, at most one more"),
        (((1, 1), (1, 5)), "pass 1 proposes 5 tokens, 0 to 4, and emits 1"),
        (((1, 1),), "emit 1 of 4 tokens"),
    ],
)
def test_passes_that_cannot_be_are_refused(told, why):
    with pytest.raises(RuntimeError, match=f"Told.passes.*{why}"):
        serve(Told(told), (0, 8, 5))


@pytest.mark.parametrize(
    ("batching", "why"),
    [(Static(batch_size=2), "an iteration-level one"), (Continuous(plans_ahead=1), "one whose plans_ahead is 0")],
)
def test_a_batching_that_cannot_take_several_tokens_a_pass_is_refused(batching, why):
    with pytest.raises(ValueError, match=f"OneByOne on gpu needs another batching than .*: {why}"):
        serve(OneByOne(), (0, 8, 5), batching=batching)


def without_passes(tables):
    requests = {name: column for name, column in tables.requests.items() if name not in ("passes", "proposed_tokens")}
    return dataclasses.replace(tables, requests=requests)


def as_without(case, decoding):
    devices = tuple(dataclasses.replace(device, decoding=decoding) for device in case.cluster.devices)
    return dataclasses.replace(case, cluster=dataclasses.replace(case.cluster, devices=devices))


@often
@given(cases(stepwise.filter(lambda one: not one.execution.plans_ahead), decodings=NEVER), st.booleans())
def test_a_token_a_pass_is_plain_decoding_to_the_last_bit(case, leap):
    ones = as_without(case, OneByOne()).run(leap=leap)
    assert plain(without_passes(ones)) == plain(without_passes(case.run(leap=leap)))


@often
@given(cases(unchunked, ample=True, decodings=NEVER))
def test_proposals_that_cost_nothing_and_are_never_taken_are_plain_decoding_to_the_last_bit(case):
    case = case.with_batching(max_num_batched_tokens=4096)  # what is proposed takes of it
    vain, bare = (one.run(Record.STEPS) for one in (as_without(case, InVain()), case))
    steps = vain.steps | {"blocks_used": bare.steps["blocks_used"]}  # and of the memory
    assert plain(without_passes(dataclasses.replace(vain, steps=steps))) == plain(without_passes(bare))


@often
@given(cases(stepwise, decodings=hopping))
def test_every_answer_is_emitted_whole_whatever_its_passes_are(case):
    tables = case.run(Record.REQUESTS)
    assert set(tables.requests["status"]) == {"finished"}
    served = case.run(leap=False, record=Record.REQUESTS)
    assert plain(tables) == plain(served)


@often
@given(cases(chunked, ample=True, caching=False, decodings=hopping).map(without_calls))
def test_with_memory_for_all_the_passes_of_an_answer_do_not_depend_on_the_schedule(case):
    """Unless the budget cuts them: then they begin anew."""
    wide = case.with_batching(max_num_batched_tokens=4096, long_prefill_token_threshold=0)
    alone = dataclasses.replace(wide, policy=dataclasses.replace(wide.policy, batching=Continuous(max_num_seqs=1)))
    for name in ("passes", "proposed_tokens"):
        assert wide.run().requests[name].tolist() == alone.run().requests[name].tolist()


@often
@given(cases(stepwise, decodings=hopping))
def test_the_memory_of_proposals_is_accounted_for(case):
    leaped, stepped = (case.run(audit=True, leap=leap).audit for leap in (True, False))
    for name, column in leaped.items():
        if column.dtype.kind == "f":
            assert np.allclose(column, stepped[name], rtol=1e-9, atol=1e-9, equal_nan=True), name


def test_several_tokens_a_pass_on_several_replicas_leap_as_they_step():
    requests = make_requests(np.arange(12) * 0.3, [7] * 12, [23] * 12, max_tokens=24)
    devices = tuple(make_device(name, profile=EVEN, decoding=Hopping(3, True)) for name in "ab")
    case = Case(requests, make_policy(), Cluster(devices), OraclePredictor())
    assert plain(case.run()) == plain(case.run(leap=False))
    assert case.run().iterations < 12 * 22


@pytest.mark.parametrize("told", [[1.5] * 4, [float("nan")] * 4, ["1"] * 4, None, [2**70] * 4, [[1], [1, 1]]])
def test_passes_that_are_no_whole_numbers_are_refused(told):
    class Odd(Told):
        def passes(self, request, emitted):
            return told, told

    with pytest.raises(RuntimeError, match=r"Odd.passes\(.*\) are no whole numbers"):
        serve(Odd(()), (0, 8, 5))


def test_what_prices_no_proposals_is_refused_by_its_name():
    class Unpriced(Told):
        def priced(self, target):
            return target

    with pytest.raises(TypeError, match=r"Unpriced.priced gives LinearProfile"):
        serve(Unpriced(((1, 0),)), (0, 8, 5))


def test_passes_that_cannot_be_cut_wait_for_a_step_that_has_room():
    """Two jobs of three in flight each, six tokens a step: beside a prompt of four one of them waits."""
    decoding = dataclasses.replace(Hopping(2, even=True), divisible=False)
    lives = [(0, 2, 9), (0, 2, 9), (1.5, 4, 2)]
    tables = serve(decoding, *lives, batching=Continuous(max_num_batched_tokens=6))
    for decision in tables.decisions:
        assert sum(tokens for _, tokens in decision.granted) <= 6
        assert {tokens for _, tokens in decision.granted} <= {1, 2, 3, 4}
    assert set(tables.requests["status"]) == {"finished"}
    with pytest.raises(ValueError, match="must hold a pass of Hopping on gpu, 3 tokens, got 2"):
        serve(decoding, *lives, batching=Continuous(max_num_batched_tokens=2))
