"""The engine against queueing theory: a step gives each running job a token, so sizes are whole numbers of steps.

`tokenyard engine theory` makes the same comparisons from longer runs; tests/experiments/engine/test_queueing.py is
about the theory.
"""

import heapq
import json
from dataclasses import replace

import numpy as np
import pytest
from hydra.utils import instantiate
from numpy.typing import NDArray

from experiments.engine import theory
from experiments.engine.queueing import means
from experiments.engine.queueing.disciplines import DISCIPLINES, QUANTUM, TOKENS, guessing, limited, places
from experiments.engine.queueing.laws import LAWS
from experiments.engine.theory import EVERYWHERE, ROWS, STRAYS, Comparison, Row, Run, comparisons, one_run
from sim import Pause
from sim.metrics import response_time, serving_time
from tests.door import composed

FEW_LAWS = [row for row in ROWS if row.law not in ("Uniform", "Erlang-2")]
PLAIN = [row for row in FEW_LAWS if row.policy != "Gittins" and DISCIPLINES[row.policy].calls is None]
QUICK = [row for row in PLAIN if row.load in (0.5, 8.0)]  # Gittins's ranks are dear: make check has its rows
CALLING = [Row("Exp", 0.5, "FCFS, calls")]
SPARED = [Row("Exp", 0.8, policy) for c in (0.2, 1.0) for policy in limited(c)]
MANY_SERVERS = [row for row in ROWS if row.policy in ("M/M/4", "M/M/16")]


def named(row: Row) -> str:
    return f"{row.law} {row.load} {row.policy}"


@pytest.fixture(scope="module")
def found() -> dict[Row, Comparison]:
    return {told.row: told for told in comparisons([*QUICK, *SPARED, *CALLING], runs=20, requests=600)}


@pytest.mark.parametrize("row", [*QUICK, *SPARED, *CALLING], ids=named)
def test_the_mean_response_is_that_of_theory(found, row):
    assert found[row].verdict in ("agrees", "strays")
    assert found[row].standard_error < 0.06 * row.exact


@pytest.mark.parametrize("c", [0.0, 0.8])
def test_limited_preemption_is_run_by_trail_as_it_ships(c):
    policy, (known, guessed) = instantiate(composed("policy=trail").policy), limited(c)
    for queue in (DISCIPLINES[known], DISCIPLINES[guessed]):
        assert queue.order == policy.order
        alone = {"max_num_seqs": 1, "max_num_batched_tokens": None, "plans_ahead": 0}
        assert queue.batching == replace(policy.batching, share=c, **alone)


def test_few_rows_stray(found):
    assert [told.verdict for told in found.values()].count("strays") <= STRAYS


def test_the_check_can_fail(found):
    """What differs from first come, first served, by a fifth of its mean is told from it."""
    single = [row for row in QUICK if DISCIPLINES[row.policy].servers == 1]
    far = [row for row in single if abs(means.fcfs(LAWS[row.law], row.load) - row.exact) > 0.2 * row.exact]
    assert {row.policy for row in far} == {row.policy for row in single} - {"FCFS"}
    otherwise = [(row, replace(row, policy="FCFS")) for row in far]
    assert {replace(found[row], row=other).verdict for row, other in otherwise} == {"differs"}


@pytest.mark.parametrize(
    ("off", "error", "verdict"),
    [
        (0.009, 1e-6, "agrees"), (0.019, 0.01, "agrees"), (0.021, 0.01, "strays"), (0.039, 0.01, "strays"),
        (-0.041, 0.01, "differs"), (-0.011, 0.001, "differs"),
    ],
)  # fmt: skip
def test_a_verdict_is_by_one_percent_and_by_standard_errors(off, error, verdict):
    row = Row("H2", 0.5, "FCFS")
    told = Comparison(row, (1 + off) * row.exact, error * row.exact, 14)
    assert told.verdict == verdict
    assert replace(told, bounded=False).verdict == "work out of bounds"


def test_the_table_is_wide_enough():
    """Each policy for one server under five laws at three loads; nothing twice."""
    assert len({*ROWS}) == len(ROWS) >= 60
    for policy, discipline in DISCIPLINES.items():
        rows = {(row.law, row.load) for row in ROWS if row.policy == policy}
        limits = policy.startswith("SPRPT") and policy not in EVERYWHERE
        loads = {"M/G/infinity": {8.0}, "PS, calls": {0.5, 0.8}, "Gittins": {0.5, 0.8}}.get(
            policy, {0.8} if limits else {0.5, 0.8, 0.9}
        )
        assert {load for _, load in rows} == loads
        few = (
            {"Exp"} if policy.startswith(("M/M/", "FCFS, calls")) else {"Exp", "bounded Pareto"} if limits else {*LAWS}
        )
        assert {law for law, _ in rows} == few
        assert discipline.exact(LAWS["Exp"], 0.5) >= 1.0


@pytest.mark.parametrize("law", LAWS)
def test_the_quanta_of_fb_are_so_small_that_they_might_vanish(law):
    assert QUANTUM / TOKENS == 0.1
    for load in (0.5, 0.8, 0.9):
        assert Row(law, load, "FB").exact == pytest.approx(means.fb(LAWS[law], load), rel=0.006)


def test_known_sizes_make_sjf_and_srpt_of_limited_preemption():
    assert Row("Exp", 0.8, "SPRPT 0.0").exact == pytest.approx(Row("Exp", 0.8, "SJF").exact, rel=1e-6)
    assert Row("Exp", 0.8, "SPRPT 1.0").exact == pytest.approx(Row("Exp", 0.8, "SRPT").exact, rel=1e-6)


def test_the_command_prints_a_json_object_a_line(capsys):
    assert theory.main(["--json", "--policy", "M/G/infinity", "--requests", "300", "--runs", "10"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    keys = ["law", "load", "policy", "simulated", "standard_error", "interval", "exact"]
    assert [list(row) for row in rows] == [keys] * len(LAWS)
    assert [(row["law"], row["load"], row["policy"]) for row in rows] == [(law, 8.0, "M/G/infinity") for law in LAWS]
    assert all(row["interval"][0] < row["simulated"] < row["interval"][1] for row in rows)


@pytest.mark.parametrize(
    ("offs", "status"),
    [
        ([0.0, 0.0, 0.03, 0.03, 0.03], 0), ([0.0, 0.03, 0.03, 0.03, 0.03], 1), ([0.0, 0.0, 0.0, 0.0, 0.05], 1),
    ],
)  # fmt: skip
def test_the_command_fails_if_many_stray_or_one_differs(capsys, monkeypatch, offs, status):
    told = [Comparison(row, (1 + off) * row.exact, 0.01 * row.exact, 14) for row, off in zip(ROWS, offs, strict=False)]
    monkeypatch.setattr(theory, "comparisons", lambda *settings: told)
    assert theory.main([]) == status
    verdicts = [line.split()[-1] for line in capsys.readouterr().out.splitlines()[1:]]
    assert verdicts == [{0.0: "agrees", 0.03: "strays", 0.05: "differs"}[off] for off in offs]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (["--runs", "9"], "--runs must be at least 10, got 9"),
        (["--requests", "99"], "--requests must be at least 100, got 99"),
        (["--policy", "LIFO"], "invalid choice: 'LIFO'"),
    ],
)
def test_a_setting_that_is_wrong_is_named(capsys, wrong, says):
    with pytest.raises(SystemExit):
        theory.main(wrong)
    assert says in capsys.readouterr().err


def replayed(arrivals: NDArray, seconds: NDArray, servers: int) -> NDArray:
    """Each job's response (s) where so many servers serve first come, first served (Kiefer and Wolfowitz)."""
    free = [0.0] * servers
    responses = []
    for arrival, service in zip(arrivals.tolist(), seconds.tolist(), strict=True):
        finish = max(arrival, heapq.heappop(free)) + service
        heapq.heappush(free, finish)
        responses.append(finish - arrival)
    return np.array(responses)


@pytest.mark.parametrize("law", LAWS)
def test_one_server_answers_each_job_when_lindley_says(law):
    row = Row(law, 0.9, "FCFS")
    gaps, sizes, found = row.drawn(seed=0, requests=2000)
    tables = row.serve(gaps, sizes, seed=0)
    assert response_time(tables.requests) == pytest.approx(found + sizes, rel=1e-9)
    assert response_time(tables.requests) == pytest.approx(replayed(tables.requests["arrival"], sizes, 1), rel=1e-9)
    assert tables.iterations == sizes.sum()  # it works as long as there is work, and no longer


def networked(arrivals: NDArray, sizes: NDArray, calls: list[tuple[Pause, ...]]) -> NDArray:
    """Each job's response (s) without its calls where one server serves first come, first served, between calls."""
    ends = [(*(pause.emitted for pause in own), size) for own, size in zip(calls, sizes.tolist(), strict=True)]
    coming = [(arrival, number, 0) for number, arrival in enumerate(arrivals.tolist())]
    heapq.heapify(coming)
    free, responses = 0.0, -arrivals
    while coming:
        since, number, part = heapq.heappop(coming)
        free = max(free, since) + ends[number][part] - (ends[number][part - 1] if part else 0)
        if part < len(calls[number]):
            seconds = calls[number][part].seconds
            responses[number] -= seconds
            heapq.heappush(coming, (free + seconds, number, part + 1))
        else:
            responses[number] += free
    return responses


def test_one_server_and_calls_answer_each_job_as_a_network_of_queues_does():
    row = Row("Exp", 0.9, "FCFS, calls")
    gaps, sizes, _ = row.drawn(seed=0, requests=1000)
    calls = row.calls(sizes, seed=0)
    assert sum(map(len, calls)) > 1.9 * len(sizes)
    tables = row.serve(gaps, sizes, seed=0)
    arrivals = tables.requests["arrival"]
    assert serving_time(tables.requests) == pytest.approx(networked(arrivals, sizes, calls), rel=1e-9)
    assert (networked(arrivals, sizes, calls) != networked(arrivals, sizes, [()] * len(sizes))).mean() > 0.9


def test_that_network_is_jacksons():
    """Of ten runs: its mean is within three standard errors, which are 3 % of it at most."""
    row, found = Row("Exp", 0.5, "FCFS, calls"), []
    for seed in range(10):
        gaps, sizes, _ = row.drawn(seed, requests=3000)
        responses = networked(np.append(0.0, np.cumsum(gaps[:-1])), sizes, row.calls(sizes, seed))
        found.append(responses[300:3000].mean() / TOKENS)
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert error < 0.03 * row.exact
    assert np.mean(found) == pytest.approx(row.exact, abs=3 * error)


def test_a_run_of_one_server_is_of_whole_busy_cycles():
    row = Row("H2", 0.9, "SJF")
    gaps, sizes, found = row.drawn(seed=3, requests=500)
    assert found[0] == 0
    assert len(sizes) == 500 or found[500:].min() > 0
    assert found[-1] + sizes[-1] <= gaps[-1]
    assert (sizes >= 1).all()
    assert (sizes == sizes.round()).all()


@pytest.mark.parametrize("policy", ["PS", "M/M/4"])
@pytest.mark.parametrize("law", ["Exp", "bounded Pareto"])
def test_a_token_is_so_small_that_a_sixteenth_of_it_changes_nothing(law, policy):
    row = Row(law, 0.9, policy)
    gaps, sizes, _ = row.drawn(seed=0, requests=1500)
    coarse, fine = (response_time(row.serve(finer * gaps, finer * sizes, 0).requests) / finer for finer in (1, 16))
    assert coarse.mean() == pytest.approx(fine.mean(), rel=1e-3)
    assert (coarse != fine).any()


@pytest.mark.parametrize("row", MANY_SERVERS, ids=named)
def test_many_servers_answer_each_job_within_a_step_of_what_a_queue_of_their_own_says(row):
    gaps, sizes, _ = row.drawn(seed=0, requests=4000)
    table = row.serve(gaps, sizes, seed=0).requests
    late = response_time(table) - replayed(table["arrival"], sizes, row.discipline.servers)
    assert late.min() > -1e-4
    assert late.max() < 1 + 1e-4


@pytest.mark.parametrize("order", ["FCFS", "SJF", "guessed"])
@pytest.mark.parametrize("law", LAWS)
def test_work_in_several_servers_is_within_its_bounds_under_any_order(monkeypatch, law, order):
    guessed = replace(DISCIPLINES["SJF"], predictor=guessing)
    discipline = replace(DISCIPLINES.get(order, guessed), batching=places(5), servers=5)
    monkeypatch.setitem(DISCIPLINES, "M/G/5", discipline)
    assert one_run(Row(law, 0.9, "M/G/5"), seed=1, requests=2000).bounded


def test_work_out_of_bounds_is_told():
    """Nine jobs at once on four servers, and the same 200 tokens later than it could have been."""
    row = Row("Exp", 0.5, "M/M/4")
    table = row.serve(np.zeros(9), np.full(9, 50.0), seed=0).requests
    assert theory.within(table, 4)
    late = {**table, **{name: table[name] + 200.0 for name in ("first_scheduled", "finished")}}
    assert not theory.within(late, 4)


def test_who_is_there_when_a_job_comes_is_counted():
    """One that ends at that very instant is not."""
    assert theory.jobs_met(np.array([0.0, 1.0, 2.0, 5.0]), np.array([5.0, 2.0, 9.0, 6.0])).tolist() == [0, 1, 1, 1]


def test_runs_weigh_as_their_jobs():
    """Without noise or luck the mean is that over all jobs."""
    runs = [Run(jobs, total, (0.0,)) for jobs, total in ((100, 150.0), (300, 550.0), (200, 500.0))]
    assert theory.compared(ROWS[0], runs).simulated == pytest.approx(2.0)
    assert theory.compared(ROWS[0], runs).degrees == 2
