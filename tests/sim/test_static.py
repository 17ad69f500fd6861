"""Static batches by example: how many rows one takes, what its KV is, and that it shows nothing before its end."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from policies.batching.continuous import Continuous
from policies.batching.static import Static
from policies.predictor.oracle import OraclePredictor
from policies.routing.disaggregation import Disaggregation
from sim import Cluster, Link, Record, Request, RequestLevel, Step, Truth, simulate
from sim.metrics import summary
from tests.conftest import LinearProfile, make_device, make_policy, make_requests

CONST = LinearProfile(fixed=0.01, per_token=0.0)  # every step takes 10 ms


def device(name="gpu", kind="gpu", **changes):
    return make_device(name, kind, **{"profile": CONST, "max_model_len": 4096, "block_size": 1, **changes})


def serve(requests, *devices, link=None, **parts):
    policy = make_policy(**{"batching": Static(8), **parts})
    return simulate(requests, policy, Cluster(devices or (device(),), link), OraclePredictor(), record=Record.STEPS)


def first_batch(requests, **changes):
    """How many rows the first batch has."""
    return serve(requests, device(**changes)).steps["running"].tolist()[0]


PROMPTS = range(100, 108)


@pytest.mark.parametrize("max_tokens", [None, 5, 3000, 100_000])
def test_a_batch_is_as_large_as_it_may_whether_or_not_a_client_says_how_long_an_answer_may_be(max_tokens):
    table = serve(make_requests([0] * 8, PROMPTS, [5] * 8, max_tokens=max_tokens)).requests
    assert table["finished"].tolist() == pytest.approx([0.05] * 8)


def test_a_static_batch_shows_neither_a_first_token_nor_a_time_per_token():
    table = serve(make_requests([0] * 8, PROMPTS, [5] * 8, max_tokens=5)).requests
    found = summary(table, warmup=0.0)
    assert np.isnan(table["first_token"]).all()
    assert found["response_time_mean"] == pytest.approx(0.05)
    assert found["normalized_latency_mean"] == pytest.approx(0.01)
    assert np.isnan([found[f"{name}_{part}"] for name in ("ttft", "tpot") for part in ("mean", "p99", "max")]).all()
    assert (found["ttft_requests"], found["tpot_requests"]) == (0, 0)


def test_nobody_is_put_in_a_batch_in_which_the_model_would_cut_an_answer_short():
    for rows in ([(12, 4), (2, 8)], [(2, 8), (12, 4)]):
        requests = make_requests([0, 0], *zip(*rows, strict=True))
        assert first_batch(requests, max_model_len=20) == 2
        assert first_batch(requests, max_model_len=19) == 1


def test_what_a_client_allows_is_bounded_by_what_the_model_leaves_the_padded_row():
    """Two rows of 12 prompt tokens; of the room behind them up to 20 tokens the last one needs no KV."""
    requests = make_requests([0, 0], [12, 2], [4, 4], max_tokens=1000)
    assert first_batch(requests, max_model_len=20, kv_tokens=38) == 2
    assert first_batch(requests, max_model_len=20, kv_tokens=37) == 1


def test_where_a_client_allows_anything_a_batch_is_split_that_would_outgrow_the_memory():
    requests = make_requests([0, 0, 0], [4, 2, 4], [3, 5, 1])  # each row ends with 4 + 5 - 1 tokens of KV
    assert first_batch(requests, kv_tokens=24) == 3
    tables = serve(requests, device(kv_tokens=23))
    assert tables.steps["running"].tolist() == [2, 2, 2, 2, 2, 1]
    assert tables.steps["blocks_used"].tolist() == [8, 10, 12, 14, 16, 4]
    assert tables.requests["preemptions"].sum() == 0


def test_a_row_runs_alone_whose_client_allows_more_than_memory_holds():
    tables = serve(make_requests([0, 0], [4, 4], [3, 3], max_tokens=50), device(kv_tokens=8))
    assert tables.requests["finished"].tolist() == pytest.approx([0.03, 0.06])


def test_a_row_is_as_wide_as_those_that_are_in_the_batch_and_no_wider():
    """The third would not fit; the first two are padded to the second."""
    tables = serve(make_requests([0] * 3, [4, 6, 90], [1] * 3), device(kv_tokens=100))
    assert tables.steps["prefill_tokens"].tolist() == [12, 90]


def test_rows_of_a_static_batch_share_no_prefix():
    requests = [Request(number, 0.0, 32, Truth(2), prompt_ids=tuple(range(32))) for number in range(3)]
    shared = device(prefix_caching=True, block_size=4, kv_tokens=400)
    assert serve(requests, shared, batching=Static(1)).steps["prefill_tokens"].sum() == 96
    assert serve(requests, shared, batching=Continuous(max_num_seqs=1)).steps["prefill_tokens"].sum() < 96


@dataclass(frozen=True)
class Generous(Static):
    """Selects whoever waits, more than there are seats for."""

    def __post_init__(self):
        object.__setattr__(self, "execution", RequestLevel(self.batch_size, window=8))

    def select(self, waiting, running, now):
        return waiting


def test_rows_are_not_padded_to_one_for_which_there_is_no_seat():
    tables = serve(make_requests([0] * 3, [4, 6, 90], [1] * 3), batching=Generous(2))
    assert tables.steps["prefill_tokens"].tolist() == [12, 90]


PAIR = (device("p", "prefill", kv_bytes_per_token=10), device("d", "decode", kv_bytes_per_token=10))


def test_a_leg_that_ends_with_the_first_token_shows_it_from_a_static_batch_too():
    tables = serve(make_requests([0, 0], [5, 9], [3, 3]), *PAIR, link=Link(1.0, math.inf), routing=Disaggregation())
    assert tables.requests["first_token"].tolist() == pytest.approx([0.01, 0.01])
    assert tables.requests["finished"].tolist() == pytest.approx([1.03, 1.03])


@dataclass(frozen=True)
class Measured(LinearProfile):
    """A profile that knows prefills of at most `most` tokens."""

    most: int = 30

    def step_time(self, step: Step) -> float:
        if step.prefill_tokens > self.most:
            raise ValueError(f"asked for {step.prefill_tokens} tokens, measured up to {self.most}")
        return super().step_time(step)


def test_a_batch_has_no_more_rows_than_the_profile_knows_a_prefill_of():
    """Three rows of 12 would be 36 tokens, two are 24; a row that is too long by itself is an error, as in any step."""
    known = device(profile=Measured())
    requests = make_requests([0] * 4, [8, 12, 9, 2], [2] * 4)
    assert serve(requests, known).steps["prefill_tokens"].tolist() == [24, 0, 18, 0]
    with pytest.raises(ValueError, match="asked for 31 tokens, measured up to 30"):
        serve(make_requests([0, 0], [31, 2], [1, 1]), known)


def test_rows_of_a_leg_need_what_is_still_to_come_in_it():
    """To prefill 9 tokens each; then two more of at most four that the client allows, behind 9 and one that came."""
    requests = make_requests([0, 0], [9, 9], [3, 3], max_tokens=5)
    pair = (
        device("p", "prefill", kv_tokens=18),
        device("d", "decode", kv_tokens=26, profile=Measured(0.01, 0.0, most=9)),
    )
    table = serve(requests, *pair, link=Link(0.0, math.inf), routing=Disaggregation()).requests
    assert table["first_token"].tolist() == pytest.approx([0.01, 0.01])
    assert table["finished"].tolist() == pytest.approx([0.03, 0.03])
