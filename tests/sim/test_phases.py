"""What a step may hold, by example computed by hand: a step takes 1 s and 0.01 s a token unless a test says more."""

import pytest

from policies.batching.continuous import Continuous
from policies.predictor.oracle import OraclePredictor
from sim import Cluster, Record, simulate
from tests.conftest import LinearProfile, make_device, make_policy, make_requests


def serve(requests, batching, **changes):
    device = make_device(profile=LinearProfile(fixed=1.0, per_token=0.01), **{"block_size": 1, **changes})
    policy = make_policy(batching=batching)
    return simulate(requests, policy, Cluster((device,)), OraclePredictor(), record=Record.DECISIONS)


def granted(tables):
    return [dict(decision.granted) for decision in tables.decisions]


def instants(tables, name):
    return pytest.approx(tables.requests[name].tolist())


LONG_BESIDE_SHORT = make_requests([0, 0], [14, 2], [2, 5])


@pytest.mark.parametrize("phases", ["mixed", "decode_first"])
def test_a_decode_gets_its_token_in_each_step_of_a_long_prefill_that_was_there_before_it(phases):
    batching = Continuous(max_num_batched_tokens=6, long_prefill_token_threshold=4, phases=phases)
    tables = serve(LONG_BESIDE_SHORT, batching)
    assert granted(tables) == [{0: 4, 1: 2}, {0: 4, 1: 1}, {0: 4, 1: 1}, {0: 2, 1: 1}, {0: 1, 1: 1}]
    assert instants(tables, "first_token") == [4.19, 1.06]


def test_whole_prefills_stop_the_decoding_of_the_others_in_the_step_of_their_own():
    requests = make_requests([0, 1.5, 1.6], [4, 6, 3], [4, 2, 2])
    batching = Continuous(max_num_batched_tokens=40, chunked_prefill=False, phases="exclusive")
    tables = serve(requests, batching)
    assert granted(tables) == [{0: 4}, {0: 1}, {1: 6, 2: 3}, {0: 1, 1: 1, 2: 1}, {0: 1}]
    assert tables.steps["end"].tolist() == pytest.approx([1.04, 2.05, 3.14, 4.17, 5.18])
    assert tables.steps["decode_jobs"].tolist() == [0, 1, 0, 3, 1]
    assert instants(tables, "finished") == [5.18, 4.17, 4.17]
    mixed = serve(requests, Continuous(max_num_batched_tokens=40, chunked_prefill=False))
    assert granted(mixed) == [{0: 4}, {0: 1}, {0: 1, 1: 6, 2: 3}, {0: 1, 1: 1, 2: 1}]


def test_a_whole_prefill_that_does_not_fit_the_budget_waits_for_the_next_step():
    requests = make_requests([0, 0, 0], [5, 4, 3], [2, 2, 2])
    tables = serve(requests, Continuous(max_num_batched_tokens=8, chunked_prefill=False, phases="exclusive"))
    assert granted(tables) == [{0: 5}, {1: 4, 2: 3}, {0: 1, 1: 1, 2: 1}]


def test_without_a_place_there_is_only_decoding():
    requests = make_requests([0, 0], [5, 4], [3, 1])
    tables = serve(requests, Continuous(max_num_seqs=1, chunked_prefill=False, phases="exclusive"))
    assert granted(tables) == [{0: 5}, {0: 1}, {0: 1}, {1: 4}]


def test_memory_for_the_longest_answer_limits_the_batch_and_is_held_from_the_first_step():
    requests = make_requests([0] * 3, [4] * 3, [2] * 3, max_tokens=12)  # 4 + 12 tokens are set aside for each
    tables = serve(requests, Continuous(reserve_output=True), kv_tokens=40)
    assert tables.steps["running"].tolist() == [2, 2, 1, 1]
    assert tables.steps["blocks_used"].tolist() == [32, 32, 16, 16]
    assert instants(tables, "first_scheduled") == [0, 0, 2.10]
    paged = serve(requests, Continuous(), kv_tokens=40)
    assert paged.steps["running"].tolist() == [3, 3]
    assert paged.steps["blocks_used"].tolist() == [12, 15]


def test_memory_for_the_longest_answer_is_bounded_by_the_model_where_the_client_says_nothing():
    tables = serve(
        make_requests([0, 0], [4, 4], [2, 2]), Continuous(reserve_output=True), kv_tokens=60, max_model_len=30
    )
    assert tables.steps["blocks_used"].tolist() == [60, 60]


@pytest.mark.parametrize(("prompt", "start"), [(30, 0.0), (31, 2.61)])
def test_an_admission_beside_others_leaves_the_watermark_free(prompt, start):
    """Of 100 blocks 60 are taken, and a tenth is to be left: 10 of 101, for vLLM counts its null block too."""
    requests = make_requests([0, 0], [60, prompt], [2, 1])
    tables = serve(requests, Continuous(watermark=0.1), kv_tokens=100)
    assert tables.requests["first_scheduled"].tolist() == pytest.approx([0.0, start])
    assert serve(requests, Continuous(), kv_tokens=100).requests["first_scheduled"].tolist() == [0, 0]


def test_who_runs_alone_may_take_what_the_watermark_keeps_from_others():
    tables = serve(make_requests([0], [95], [5]), Continuous(watermark=0.5), kv_tokens=100)
    assert tables.requests["status"].tolist() == ["finished"]
    assert tables.steps["blocks_used"].max() == 99


def test_the_last_of_a_long_prefill_is_not_cut_when_nobody_else_is_there():
    alone = serve(make_requests([0], [14], [1]), Continuous(long_prefill_token_threshold=4))
    assert granted(alone) == [{0: 14}]
    joined = serve(make_requests([0, 1.0], [14, 2], [1, 1]), Continuous(8, 10, long_prefill_token_threshold=4))
    assert granted(joined) == [{0: 10}, {0: 4, 1: 2}]
