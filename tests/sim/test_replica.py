"""A replica and a cluster by example, computed by hand: a step takes 1 s and 0.01 s a token unless a test says more."""

import dataclasses
import math
from dataclasses import dataclass, field

import numpy as np
import pytest

from policies.batching.continuous import Continuous
from policies.batching.static import Static
from policies.eviction.recompute import Recompute
from policies.eviction.swap import Swap
from policies.order.fifo import FIFO
from policies.order.luf import LUF
from policies.predictor.oracle import OraclePredictor
from policies.routing.disaggregation import Disaggregation
from sim import (
    Cluster,
    Hold,
    IterationLevel,
    Leg,
    Link,
    Overhead,
    Phases,
    Prediction,
    Record,
    Request,
    RequestLevel,
    Truth,
    Unservable,
    simulate,
)
from sim.engine.kv import KVCache
from sim.policy import Order, Predictor
from tests.conftest import LinearProfile, make_device, make_policy, make_requests

PROFILE = LinearProfile(fixed=1.0, per_token=0.01, per_moved=0.1)


def device(name="gpu", kind="gpu", **changes):
    return make_device(name, kind, **{"profile": PROFILE, **changes})


def serve(requests, *devices, link=None, predictor=None, horizon=None, unservable="reject", **parts):
    """The tables of `requests` on `devices` (one plain one, if none is given) under FIFO and the `parts` given."""
    cluster = Cluster(devices or (device(),), link)
    how = {"horizon": horizon, "record": Record.DECISIONS, "unservable": unservable}
    return simulate(requests, make_policy(**parts), cluster, predictor or OraclePredictor(), **how)


def instants(tables, name):
    return pytest.approx(tables.requests[name].tolist())


# Static batching


def test_a_static_batch_costs_as_if_every_row_were_the_widest():
    tables = serve(make_requests([0, 0], [3, 5], [2, 4], max_tokens=4), batching=Static(2))
    assert tables.steps["prefill_tokens"].tolist() == [10, 0, 0, 0]
    assert tables.steps["decode_jobs"].tolist() == [0, 2, 2, 2]  # the first answer is complete after two; it pads
    assert tables.steps["decode_context"].tolist() == [0, 12, 14, 16]
    assert tables.steps["seconds"].tolist() == pytest.approx([1.10, 1.02, 1.02, 1.02])


def test_a_static_batch_answers_at_its_end_and_then_the_next_one_starts():
    tables = serve(make_requests([0, 0, 0.5], [3, 5, 5], [2, 4, 1], max_tokens=4), batching=Static(2))
    assert instants(tables, "finished") == [4.16, 4.16, 5.21]
    assert instants(tables, "first_scheduled") == [0, 0, 4.16]


def test_a_static_batch_is_limited_by_the_memory_that_its_longest_answers_may_need():
    short = device(kv_tokens=20, block_size=4)  # five blocks; each row may need 4 + 4 tokens, two blocks
    tables = serve(make_requests([0] * 3, [4] * 3, [1] * 3, max_tokens=4), short, batching=Static(3))
    assert tables.steps["running"].tolist() == [2, 1]
    assert tables.steps["blocks_used"].tolist() == [2, 1]


def test_a_batch_that_is_not_full_waits_for_its_oldest_member_to_have_waited():
    alone = serve(make_requests([1.0], [4], [1]), batching=Static(2, max_wait=2.0))
    assert instants(alone, "first_scheduled") == [3.0]
    filled = serve(make_requests([1.0, 2.0], [4, 4], [1, 1]), batching=Static(2, max_wait=2.0))
    assert instants(filled, "first_scheduled") == [2.0, 2.0]


# Continuous batching


def test_continuous_batching_cuts_a_prompt_to_the_budget_and_fills_the_rest_with_the_next():
    tables = serve(make_requests([0, 0], [10, 4], [3, 2]), batching=Continuous(max_num_batched_tokens=8))
    assert granted(tables) == [{0: 8}, {0: 2, 1: 4}, {0: 1, 1: 1}, {0: 1}]
    assert tables.steps["end"].tolist() == pytest.approx([1.08, 2.14, 3.16, 4.17])
    assert instants(tables, "first_token") == [2.14, 2.14]
    assert instants(tables, "finished") == [4.17, 3.16]


def test_an_arrival_at_the_very_end_of_a_step_is_in_the_next():
    whole = device(profile=LinearProfile(fixed=1.0, per_token=0.0))
    tables = serve(make_requests([0, 1.5, 2.0], [1, 1, 1], [4, 1, 1]), whole)
    assert tables.requests["first_scheduled"].tolist() == [0.0, 2.0, 2.0]


def granted(tables):
    return [dict(decision.granted) for decision in tables.decisions]


def short_of_memory(eviction):
    requests = make_requests([0, 0], [4, 4], [4, 3])  # ten tokens of KV are full after two steps
    return serve(requests, device(kv_tokens=10, block_size=1), eviction=eviction)


def test_a_victim_whose_kv_was_dropped_computes_it_again():
    tables = short_of_memory(Recompute())
    assert tables.requests["preemptions"].tolist() == [0, 1]
    assert granted(tables) == [{0: 4, 1: 4}, {0: 1, 1: 1}, {0: 1}, {0: 1}, {1: 6}]
    assert [decision.preempted for decision in tables.decisions] == [(), (), (1,), (), ()]
    assert tables.steps["moved_tokens"].sum() == 0
    assert instants(tables, "finished") == [4.12, 5.18]


def test_a_victim_whose_kv_was_swapped_is_charged_for_both_ways_and_computes_nothing_again():
    tables = short_of_memory(Swap())
    assert granted(tables) == [{0: 4, 1: 4}, {0: 1, 1: 1}, {0: 1}, {0: 1}, {1: 1}]
    assert tables.steps["moved_tokens"].tolist() == [0, 0, 5, 0, 5]
    assert instants(tables, "finished") == [4.62, 6.13]


def test_of_a_victim_whose_kv_was_swapped_none_is_computed_on_the_device_until_it_is_back():
    seen = []

    class Watching(Order):
        def rank(self, job, now):
            seen.append((job.request.id, job.host_tokens, job.computed))
            return job.request.arrival

    requests = make_requests([0, 0], [4, 4], [4, 3])
    serve(requests, device(kv_tokens=10, block_size=1), eviction=Swap(), order=Watching())
    assert [one for one in seen if one[1]] == [(1, 5, 0)] * 3
    assert (1, 0, 5) in seen


def test_nothing_is_admitted_in_a_step_in_which_something_was_preempted():
    requests = make_requests([0, 0, 1.5], [4, 4, 2], [3, 4, 1])  # the last would fit where the victim was
    tables = serve(requests, device(kv_tokens=10, block_size=1), order=LUF())
    assert granted(tables)[2] == {0: 1}
    assert [decision.preempted for decision in tables.decisions][2] == (1,)
    assert instants(tables, "first_scheduled") == [0, 0, 3.11]


def test_the_tokens_of_a_victim_go_to_the_jobs_after_it():
    requests = make_requests([0, 0.5, 1.5], [1, 1, 18], [9, 8, 1])
    batching = Continuous(max_num_batched_tokens=4)
    tables = serve(requests, device(kv_tokens=24, block_size=1), order=LUF(), batching=batching)
    assert granted(tables)[6:8] == [{0: 1, 1: 1, 2: 2}, {1: 1, 2: 3}]
    assert [decision.preempted for decision in tables.decisions][7] == (0,)


@dataclass(frozen=True)
class Everybody(Continuous):
    """Continuous batching with the execution given."""

    chosen: IterationLevel = field(default_factory=lambda: IterationLevel(max_num_seqs=8, window=8))

    def __post_init__(self):
        object.__setattr__(self, "execution", self.chosen)


@pytest.mark.parametrize(("skip", "starts"), [(False, [0, 4.07, 4.07]), (True, [0, 4.09, 1.04])])
def test_a_job_that_does_not_fit_stops_admission_unless_it_may_be_skipped(skip, starts):
    batching = Everybody(chosen=IterationLevel(max_num_seqs=8, window=8, skip_unfit=skip))
    requests = make_requests([0, 0.5, 0.5], [4, 8, 1], [4, 1, 2])
    tables = serve(requests, device(kv_tokens=12, block_size=1), batching=batching)
    assert instants(tables, "first_scheduled") == starts


# What deciding and predicting cost


class Fickle(Order):
    """First in, first out, without saying that ranks stay."""

    def rank(self, job, now):
        return job.request.arrival


@pytest.mark.parametrize(("order", "first_overhead"), [(FIFO(), 0.7), (Fickle(), 0.9)])
def test_decisions_and_ranks_are_charged_to_the_clock(order, first_overhead):
    """Two ranks as the jobs come, two more for an order whose ranks change; the second step decides nothing."""
    tables = serve(make_requests([0, 0], [4, 4], [2, 1]), order=order, overhead=Overhead(0.5, 0.1))
    assert tables.steps["overhead_seconds"].tolist() == pytest.approx([first_overhead, 0])
    assert tables.steps["end"].tolist() == pytest.approx([1.08 + first_overhead, 2.09 + first_overhead])
    assert instants(tables, "overhead_seconds") == [first_overhead] * 2


def test_a_job_is_charged_the_decisions_made_while_it_was_there():
    tables = serve(make_requests([0, 1.0], [1, 1], [3, 1]), overhead=Overhead(decision_seconds=0.5))
    assert instants(tables, "overhead_seconds") == [1.0, 0.5]


@dataclass(frozen=True)
class Slow(Predictor):
    seconds: float = 0.3

    def predict(self, request):
        return Prediction(length=1.0, uncertainty=1.0, seconds=self.seconds)


def test_one_worker_predicts_one_request_after_the_other():
    tables = serve(make_requests([0, 0, 5], [1] * 3, [1] * 3), predictor=Slow())
    assert instants(tables, "queued") == [0.3, 0.6, 5.3]


@pytest.mark.parametrize("wrong", [(math.nan, 1.0), (1.0, math.inf), (-1.0, 1.0), (1.0, 1.0, math.nan), (1, 1, -0.1)])
def test_a_prediction_that_is_not_finite_or_is_negative_is_refused(wrong):
    class Wrong(Predictor):
        def predict(self, request):
            return Prediction(*wrong)

    with pytest.raises(ValueError, match=f"request 0: a prediction must be finite and not negative, got .*{wrong[-1]}"):
        serve(make_requests([0], [1], [1]), predictor=Wrong())


class Unordered:
    def rank(self, job, now):
        return 0.0


class Unpredicting:
    def predict(self, request):
        return Prediction(1.0, 1.0)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"order": Unordered()}, "an order must be a sim.policy.Order, Unordered is none"),
        ({"predictor": Unpredicting()}, "a predictor must be a sim.policy.Predictor, Unpredicting is none"),
    ],
)
def test_an_order_and_a_predictor_have_all_that_is_asked_of_them(parts, message):
    with pytest.raises(TypeError, match=message):
        serve([], **parts)


# Devices


def test_a_devices_own_batching_overrides_the_policys():
    tables = serve(make_requests([0, 0], [4, 4], [2, 2]), device(batching=Static(1)), batching=Continuous())
    assert instants(tables, "first_scheduled") == [0, 2.05]


@pytest.mark.parametrize(
    ("changes", "batching", "message"),
    [
        ({"max_model_len": 29}, Continuous(), "request 0 needs 30 tokens, gpu allows max_model_len=29"),
        ({"kv_tokens": 28, "block_size": 4}, Continuous(), "request 0 needs 29 tokens of KV, gpu has 28"),
        ({"kv_tokens": 28, "block_size": 4}, Static(1), "request 0 needs 29 tokens of KV, gpu has 28"),
        (
            {"kv_tokens": 32, "block_size": 4},
            Continuous(reserve_output=True),
            "request 0 needs 40 tokens of KV, gpu has 32",
        ),
        (
            {},
            Continuous(max_num_batched_tokens=19, chunked_prefill=False),
            "request 0 may need an unchunked prefill of 29 tokens, gpu runs max_num_batched_tokens=19",
        ),
    ],
    ids=["model", "memory", "static", "reservation", "budget"],
)
def test_a_request_that_can_never_fit_is_rejected_as_it_comes_or_fails_the_run(changes, batching, message):
    requests = make_requests([0, 0.5], [20, 4], [10, 3], max_tokens=20)
    table = serve(requests, device(**changes), batching=batching).requests
    assert table["status"].tolist() == ["rejected", "finished"]
    assert table["replica"].tolist() == ["", "gpu"]
    assert table["first_scheduled"][1] == 0.5
    with pytest.raises(Unservable, match=message):
        serve(requests, device(**changes), batching=batching, unservable="fail")


@pytest.mark.parametrize(
    ("batching", "changes"),
    [
        (Continuous(), {"max_model_len": 30, "kv_tokens": 29, "block_size": 1}),  # the last token needs no KV
        (Static(4), {"max_model_len": 30, "kv_tokens": 29, "block_size": 1}),
        (Continuous(reserve_output=True), {"kv_tokens": 40, "block_size": 1}),
        (Continuous(max_num_batched_tokens=29, chunked_prefill=False), {}),
    ],
)
def test_a_request_that_just_fits_is_served(batching, changes):
    table = serve(make_requests([0], [20], [10], max_tokens=20), device(**changes), batching=batching).requests
    assert table["status"].tolist() == ["finished"]


@pytest.mark.parametrize("unservable", ["drop", "", None, True])
def test_what_becomes_of_the_unservable_is_one_of_two(unservable):
    with pytest.raises(ValueError, match=f"unservable must be reject or fail, got {unservable!r}"):
        serve([], unservable=unservable)


def test_a_request_is_rejected_after_its_prediction_has_taken_its_time():
    table = serve(make_requests([0, 0], [20, 4], [10, 1]), device(max_model_len=29), predictor=Slow()).requests
    assert table["status"].tolist() == ["rejected", "finished"]
    assert table["queued"].tolist() == pytest.approx([math.nan, 0.6], nan_ok=True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: device(kv_tokens=0), "device gpu: kv_tokens must be positive, got 0"),
        (
            lambda: device(kv_tokens=10),
            "device gpu: kv_tokens must hold at least one block of block_size=16 tokens, got 10",
        ),
        (lambda: device(block_size=16.5), "device gpu: block_size must be a whole number of tokens, got 16.5"),
        (lambda: device(max_model_len=math.inf), "device gpu: max_model_len must be a whole number of tokens, got inf"),
        (lambda: device(kv_bytes_per_token=-1), "device gpu: kv_bytes_per_token must not be negative, got -1"),
        (lambda: Cluster(()), "distinct names, got \\[\\]"),
        (lambda: Cluster((device(), device())), "distinct names, got \\['gpu', 'gpu'\\]"),
        (lambda: Link(-1.0, 1.0), "latency of a link must not be negative, got -1.0 s"),
        (lambda: Link(0.0, 0.0), "bytes_per_second of a link must be positive, got 0.0"),
        (lambda: KVCache(0, 16), "blocks must be positive, got 0"),
        (lambda: KVCache(4, 0), "block_size must be positive, got 0"),
        (lambda: Truth(0), "output_tokens must be at least 1, got 0"),
        (lambda: Request(7, -1.0, 1, Truth(1)), "request 7: arrival must be finite and not negative, got -1.0"),
        (lambda: Request(7, 0.0, 0, Truth(1)), "request 7: prompt_tokens must be at least 1, got 0"),
        (lambda: Request(7, 0.0, 1, Truth(5), max_tokens=4), "request 7: output_tokens 5 exceed max_tokens 4"),
        (lambda: Overhead(-1.0), "overhead.decision_seconds must be finite and not negative, got -1.0"),
        (lambda: Overhead(0.0, math.nan), "overhead.rank_seconds must be finite and not negative, got nan"),
        (lambda: Link(math.nan, 1.0), "latency of a link must not be negative, got nan s"),
        (lambda: IterationLevel(max_num_seqs=0), "max_num_seqs must be positive, got 0"),
        (lambda: IterationLevel(1, window=0), "window must be positive, got 0"),
        (lambda: IterationLevel(max_num_seqs=1, watermark=1.0), "watermark must be a share in \\[0, 1\\), got 1.0"),
        (lambda: IterationLevel(1, watermark=math.nan), "watermark must be a share in \\[0, 1\\), got nan"),
        (lambda: IterationLevel(max_num_seqs=1, phases=Phases.EXCLUSIVE), "it needs chunked_prefill=false"),
        (
            lambda: IterationLevel(1, chunked_prefill=False, long_prefill_token_threshold=4, phases=Phases.EXCLUSIVE),
            "and no threshold",
        ),
        (lambda: RequestLevel(0, window=1), "max_num_seqs must be positive, got 0"),
        (lambda: RequestLevel(1, window=1.5), "window must be a whole number, got 1.5"),
        (lambda: IterationLevel(max_num_seqs=1.5), "max_num_seqs must be a whole number, got 1.5"),
        (lambda: IterationLevel(max_num_seqs=math.nan), "max_num_seqs must be a whole number, got nan"),
        (lambda: Continuous(phases="both"), "phases must be mixed, decode_first, exclusive, by_rank, got 'both'"),
        (lambda: Truth(2, (7,)), "1 output_ids for 2 output_tokens"),
        (
            lambda: Request(7, 0.0, 3, Truth(1), prompt_ids=(1, 2)),
            "request 7: 2 prompt_ids of 1 tokens each do not make 3",
        ),
        (
            lambda: Request(7, 0.0, 4, Truth(1, (7,)), prompt_ids=(1, 2), id_tokens=2),
            "output_ids need id_tokens=1, got 2",
        ),
    ],
)
def test_a_wrong_value_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# The run


def test_what_a_horizon_cuts_is_censored():
    table = serve(make_requests([0, 0.2], [4, 4], [1, 9]), horizon=2.5).requests
    assert table["status"].tolist() == ["finished", "censored"]
    assert table["first_token"].tolist() == pytest.approx([1.04, 2.08])
    assert np.isnan(table["finished"]).tolist() == np.isnan(table["overhead_seconds"]).tolist() == [False, True]


class Nowhere:
    def route(self, job, cluster):
        return ()


def test_a_request_without_a_leg_is_rejected():
    table = serve(make_requests([0.5], [4], [2]), routing=Nowhere()).requests
    assert table["status"].tolist() == ["rejected"]
    assert np.isnan([table[name][0] for name in ("queued", "first_scheduled", "first_token", "finished")]).all()


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        (make_requests([1.0, 0.5], [1, 1], [1, 1]), "request 1 arrives at 0.5 s, after one at 1.0 s"),
        ([Request(3, 0.0, 1, Truth(1))] * 2, "two requests have the id 3"),
        ([Request(number, 0.0, 1, Truth(1)) for number in (0, 1, 1)], "two requests have the id 1"),
        ([Request(number, 0.0, 1, Truth(1)) for number in (0, 1, 5, 2, -1, 5)], "two requests have the id 5"),
        ([Request(number, 0.0, 1, Truth(1)) for number in (0, 1, 5, 2, 3, 2)], "two requests have the id 2"),
    ],
)
def test_a_trace_out_of_order_or_with_an_id_twice_is_refused(requests, message):
    with pytest.raises(ValueError, match=message):
        serve(requests)


def test_progress_is_told_of_each_end():
    ends = []
    policy, cluster = make_policy(), Cluster((device(),))
    simulate(make_requests([0, 1], [1, 1], [1, 1]), policy, cluster, OraclePredictor(), progress=lambda: ends.append(1))
    assert len(ends) == 2


# Two legs


PAIR = (device("p", "prefill", kv_bytes_per_token=10), device("d", "decode", kv_bytes_per_token=10))


def test_a_disaggregated_request_takes_its_first_token_from_the_first_device_and_its_kv_over_the_link():
    tables = serve(make_requests([0], [5], [3]), *PAIR, link=Link(0.25, 100.0), routing=Disaggregation())
    assert tables.steps["replica"].tolist() == ["p", "d", "d"]
    assert instants(tables, "first_token") == [1.05]
    assert tables.steps["end"].tolist()[1:] == pytest.approx([2.81, 3.82])  # 0.25 + 50 / 100 s between
    assert tables.requests["replica"].tolist() == ["d"]
    assert tables.requests["queued"].tolist() == [0.0]


def test_the_first_device_is_free_again_while_the_second_decodes():
    pair = (dataclasses.replace(PAIR[0], kv_tokens=16), PAIR[1])  # one prompt at a time
    tables = serve(make_requests([0, 0], [9, 9], [5, 5]), *pair, link=Link(0.0, 1e9), routing=Disaggregation())
    assert instants(tables, "first_token") == [1.09, 2.18]


def test_what_reaches_a_device_at_one_instant_is_planned_together():
    devices = (device("p0", "prefill"), device("p1", "prefill"), device("d", "decode"))
    tables = serve(make_requests([0, 0], [5, 5], [2, 2]), *devices, link=Link(0.0, 1.0), routing=Disaggregation())
    assert tables.steps["replica"].tolist() == ["p0", "p1", "d"]
    assert tables.steps["decode_jobs"].tolist() == [0, 0, 2]


def test_a_request_of_one_token_ends_on_its_first_device():
    tables = serve(make_requests([0], [5], [1]), *PAIR, link=Link(0.25, 100.0), routing=Disaggregation())
    assert instants(tables, "finished") == [1.05]
    assert tables.requests["replica"].tolist() == ["p"]


def test_two_legs_without_a_link_are_an_error():
    with pytest.raises(ValueError, match="request 0 has several legs, and the cluster has no link"):
        serve(make_requests([0], [5], [3]), *PAIR, routing=Disaggregation())


class PrefillAlone:
    def route(self, job, cluster):
        return (Leg(0, prefill_only=True),)


def test_legs_that_do_not_finish_the_request_are_an_error():
    with pytest.raises(RuntimeError, match="request 0 is not complete after its last leg"):
        serve(make_requests([0], [5], [3]), routing=PrefillAlone())


# Batchings that misbehave


@dataclass(frozen=True)
class Misbehaving(Continuous):
    """Continuous batching that answers `answer` when asked with jobs running, or with none."""

    answer: object = ()
    with_running: bool = True

    def select(self, waiting, running, now):
        return self.answer if bool(running) == self.with_running else waiting


@pytest.mark.parametrize(
    ("batching", "message"),
    [
        (Misbehaving(answer=Hold(9.0)), "Misbehaving holds at 1.01 s until 9.0 s while jobs run"),
        (Misbehaving(answer=Hold(0.0), with_running=False), "Misbehaving holds at 0.0 s until 0.0 s"),
        (Misbehaving(answer=(), with_running=False), "2 jobs were never served, first Job\\(id=0"),
        (Misbehaving(answer=Hold(math.inf), with_running=False), "2 jobs were never served"),
    ],
)
def test_a_batching_that_serves_nobody_is_an_error(batching, message):
    with pytest.raises(RuntimeError, match=message):
        serve(make_requests([0, 0.5], [1, 1], [3, 3]), batching=batching)


def test_a_batching_that_admits_nobody_while_jobs_run_is_asked_again_when_one_leaves():
    tables = serve(make_requests([0, 0.5], [1, 1], [3, 1]), batching=Misbehaving(answer=()))
    assert instants(tables, "first_scheduled") == [0, 3.03]


def test_to_hold_for_ever_is_to_wait_for_the_next_arrival():
    class Pairs(Everybody):
        def select(self, waiting, running, now):
            return Hold(math.inf) if len(waiting) < 2 else waiting

    tables = serve(make_requests([0, 3.0], [1, 1], [1, 1]), batching=Pairs())
    assert tables.requests["first_scheduled"].tolist() == [3.0, 3.0]
