"""INFERCEPT's decisions on five jobs whose wastes `test_waste` works out by hand, and its parts beside them."""

import math
from dataclasses import replace
from itertools import zip_longest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.eviction.durations import Elapsed, Foreseen
from policies.eviction.heuristic_preserve import HeuristicPreserve
from policies.eviction.min_waste import MinWaste
from policies.eviction.min_waste_released import MinWasteReleased
from policies.eviction.swap_within_budget import SwapWithinBudget
from policies.eviction.waste import Costs
from policies.order.fifo import FIFO
from policies.order.tail import Tail
from policies.predictor.oracle import OraclePredictor
from sim import Keep, Pause, PredictedPause, Prediction, Request, Truth
from sim.job import Job
from sim.policy import Cause, Load
from tests.cases import MAX_TOKENS, ahead, cases, continuous, examples, preemptive, stable
from tests.policies.test_waste import COSTS, FIVE, OTHERS, RUNNING
from tests.sim.test_leaping import assert_leap_equals_step

NOW = 50.0
LOAD = Load(10, 1000, 100, 500, 500, block_size=100, running_tokens=OTHERS, pending_tokens=RUNNING)
MIN_WASTE, PARTS = MinWaste(COSTS, duration=Foreseen()), SwapWithinBudget(COSTS)
HEURISTIC = HeuristicPreserve(COSTS, seconds=0.4)
RELEASED = MinWasteReleased(COSTS, Foreseen(), swap_slope=0.5, swap_base=900.0)


def job(number, context, blocks=0, host_tokens=0, **state):
    made = Job(Request(number, float(number), context, Truth(9)), Prediction(9.0, 9.0))
    made.blocks, made.host_tokens, made.base_computed = blocks, host_tokens, context if blocks else 0
    for name, value in state.items():
        setattr(made, name, value)
    return made


def calling(number, context, seconds, elapsed=0.0, **state):
    """A job whose first call began `elapsed` s ago, and takes `seconds` from now on."""
    made = job(number, context, **{"blocks": -(-context // LOAD.block_size), **state})
    made.prediction = Prediction(9.0, 9.0, pauses=(PredictedPause(1, elapsed + seconds),))
    made.calls, made.paused = 1, NOW - elapsed
    return made


def five():
    return [calling(number, context, seconds) for number, (context, seconds, *_) in enumerate(FIVE)]


RUNS = [job(9, OTHERS, blocks=28, admission=1)]  # as of when it began to decode


def told(eviction, idle, jobs=(), load=LOAD):
    """What a review says of each, by its number, in the order in which it does."""
    review = eviction.review(idle, [*RUNS, *jobs, *idle], load, NOW)
    return {one.request.id: keep.value for one, keep in review.moves}


def test_least_waste_of_five_jobs():
    """min(kept, dropped in chunks): 405 dropped, 30 kept, 400 kept, 61 dropped, .18 kept; 400 tokens hide.

    The budget is open until the first of them has gone.
    """
    assert told(MIN_WASTE, five()) == {0: "swap", 3: "drop"}
    assert told(MIN_WASTE, five(), load=LOAD._replace(leaving=4)) == {0: "drop", 3: "drop"}, "400 are under way"
    assert told(MIN_WASTE, five(), load=LOAD._replace(returning_tokens=400)) == {0: "drop", 3: "drop"}
    assert told(MIN_WASTE, five(), load=LOAD._replace(free_on_host=8)) == {0: "drop", 3: "swap", 1: "swap"}, (
        "for 9 blocks"
    )


def test_a_budget_that_is_large_takes_all_but_those_that_waste_nothing():
    jobs = [*five(), calling(5, 600, 0.0)]
    fast = MinWaste(replace(COSTS, swap_token_seconds=1e-7), duration=Foreseen())
    assert [*told(fast, jobs).items()] == [(number, "swap") for number in (0, 2, 3, 1, 4)]


def test_without_a_duration_what_is_not_swapped_is_dropped():
    """By falling waste of a chunked discard: 891, 475, 405, 126, 61."""
    assert told(PARTS, five()) == {4: "swap", 2: "drop", 0: "drop", 1: "drop", 3: "drop"}
    assert [*told(PARTS, five())] == [4, 2, 0, 1, 3]


def test_the_heuristic_keeps_what_is_short():
    assert told(HEURISTIC, five()) == {0: "swap", 3: "drop"}
    later = [calling(0, 900, 0.3, elapsed=0.2)]
    assert told(HEURISTIC, later) == {0: "swap"}, "it takes half a second in all"


def test_the_release_drops_all_candidates_but_the_worst():
    """w_d < w_p: 225 < 1800, 0 < 30, 391 < 400, 31 < 3000, not 675 < .18; the worst is 391."""
    assert told(RELEASED, five()) == {0: "drop", 1: "drop", 3: "drop"}


@pytest.mark.parametrize(
    ("free", "room", "found"),
    [
        (10, 500, {}),  # 10 and 13 blocks come free, of which 20 are needed
        (3, 500, {2: "swap"}),  # the cap: 1.5 * 400 + 900 - 300 / 2 = 1350 tokens
        (3, 9, {2: "drop"}),  # the host has no room, and nobody calls from there
    ],
)
def test_the_release_gives_its_target_up_when_the_first_in_line_lacks_blocks(free, room, found):
    waits = [job(7, 2000), job(8, 100)]
    load = LOAD._replace(free_blocks=free, free_on_host=room)
    assert told(RELEASED, five(), waits, load) == {0: "drop", 1: "drop", 3: "drop", **found}


def test_the_release_drops_the_longest_call_of_the_host_for_its_target():
    hosted = [calling(5, 300, 2.0, blocks=0, host_tokens=300), calling(6, 300, 1.0, blocks=0, host_tokens=300)]
    load = LOAD._replace(free_blocks=3, free_on_host=8)
    assert told(RELEASED, [*five(), *hosted], [job(7, 2000)], load) == {
        0: "drop", 1: "drop", 3: "drop", 5: "drop", 2: "swap",
    }  # fmt: skip


def test_the_release_swaps_no_more_than_its_cap():
    load = LOAD._replace(free_blocks=3)
    capped = MinWasteReleased(COSTS, Foreseen(), swap_slope=-1.0, swap_base=249.0)  # 249 - 150: not a block
    assert 2 not in told(capped, five(), [job(7, 2000)], load)
    assert 2 not in told(RELEASED, five(), [job(7, 2100)], load._replace(leaving=13)), "13 blocks: all the cap"


def test_the_release_discards_who_waits_on_the_host_if_nobody_else_waits():
    back, new = job(5, 300, host_tokens=300), job(6, 300)
    review = RELEASED.review([back], [*RUNS, back], LOAD, NOW)
    assert (review.moves, review.steps) == ([(back, Keep.DROP)], 1)
    assert not RELEASED.review([back], [*RUNS, back, new], LOAD, NOW).moves
    on_its_way = job(7, 300, blocks=3, host_tokens=300)
    assert not RELEASED.review([], [*RUNS, on_its_way], LOAD, NOW).moves


@pytest.mark.parametrize("eviction", [MIN_WASTE, PARTS, HEURISTIC, RELEASED])
def test_whose_memory_is_needed_is_swapped_if_it_calls_out(eviction):
    calls, runs = calling(0, 900, 1.0), RUNS[0]
    assert eviction.on_stop(calls, Cause.PAUSE, LOAD, NOW) is Keep.KEEP
    assert eviction.on_stop(calls, Cause.PRESSURE, LOAD, NOW) is Keep.SWAP
    assert eviction.on_stop(calls, Cause.PRESSURE, LOAD._replace(free_on_host=8), NOW) is Keep.DROP
    assert eviction.on_stop(runs, Cause.PRESSURE, LOAD, NOW) is Keep.DROP
    assert eviction.review([], [runs], LOAD, NOW).steps == math.inf, "as long as nobody calls"
    assert eviction.review([calls], [runs, calls], LOAD, NOW).steps == 1


def test_durations():
    calls = calling(0, 900, 2.0, elapsed=3.0)
    assert (Elapsed().left(calls, NOW), Foreseen().left(calls, NOW)) == (3.0, 2.0)
    assert Foreseen().left(calls, NOW + 9.0) == 0.0, "it takes longer than predicted"
    calls.prediction = Prediction(9.0, 9.0)
    with pytest.raises(ValueError, match="tells of 0 calls, and it makes number 1: this eviction needs a predictor"):
        Foreseen().left(calls, NOW)


def test_who_has_called_joins_the_tail():
    request = Request(0, 4.0, 5, Truth(9, pauses=(Pause(2, 3.0, 1),)))
    returns = Job(request, Prediction(9.0, 9.0))
    assert Tail().rank(returns, 5.0) == 4.0
    returns.call(6.0)
    returns.resume(9.0)
    assert Tail().rank(returns, 10.0) == 9.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SwapWithinBudget(COSTS, every=0), "every must be at least 1 step, got 0"),
        (lambda: MinWasteReleased(COSTS, Elapsed(), 0.0, 0.0, every=0), "every must be at least 1 step, got 0"),
        (lambda: HeuristicPreserve(COSTS, seconds=-1.0), "seconds must not be negative, got -1.0"),
    ],
)
def test_a_wrong_value_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


costs = st.sampled_from([Costs(1e-3, 0.0625, 1e-3, 20), Costs(1e-3, 0.0625, 0.1, 20), Costs(0.01, 0.01, 0.01, 8)])
durations = st.sampled_from([Elapsed(), Foreseen()])
evictions = (
    st.builds(SwapWithinBudget, costs)
    | st.builds(MinWaste, costs, duration=durations)
    | st.builds(HeuristicPreserve, costs, seconds=st.sampled_from([0.0, 0.0625, 0.5]))
    | st.builds(MinWasteReleased, costs, durations, st.just(0.0), st.sampled_from([0.0, 100.0]))
)
pauses = st.dictionaries(st.integers(1, MAX_TOKENS - 1), st.sampled_from([0.0, 0.004, 0.0625, 0.3, 2.0]), max_size=3)


@settings(stable, max_examples=examples(80))
@given(
    cases(continuous | preemptive | ahead), st.lists(pauses, max_size=14), evictions, st.sampled_from([Tail(), FIFO()])
)
def test_leap_equals_step_and_the_audit_closes(case, drawn, eviction, order):
    """Whatever is kept, dropped and swapped of jobs that call out."""
    requests = [with_calls(*pair) for pair in zip_longest(case.requests, drawn[: len(case.requests)], fillvalue={})]
    policy = replace(case.policy, eviction=eviction, order=order)
    case = replace(case, requests=requests, policy=policy, predictor=OraclePredictor())
    assert_leap_equals_step(case)
    leaped, stepped = (case.run(audit=True, leap=leap).audit for leap in (True, False))
    assert repr(leaped) == repr(stepped)
    assert leaped["token_seconds"].sum() == pytest.approx(leaped["kv_tokens"][0] * leaped["seconds"][0], rel=1e-9)
    assert (leaped["held_up"] <= leaped["token_seconds"]).all()


def with_calls(request, drawn):
    """`request` that calls after so many tokens, for so long (s), as far as its answer goes; nothing comes back."""
    calls = tuple(Pause(*pause, 0) for pause in sorted(drawn.items()) if pause[0] < request.truth.output_tokens)
    return replace(request, truth=replace(request.truth, pauses=calls))
