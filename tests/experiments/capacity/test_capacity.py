"""tokenyard capacity and tokenyard plan, on tiny traces: the answer is that of trying every rate, and is kept."""

from __future__ import annotations

import sys

import pandas as pd
import pytest

from experiments.capacity import main as capacity
from experiments.capacity import plan
from experiments.capacity.prices import SHIPPED, read_prices
from experiments.capacity.search import Grid
from experiments.run.sweep import LOG_VARIABLE
from experiments.settings import command
from experiments.settings.check import problems

BASE = [
    "predictor=oracle", "policy/batching=continuous", "policy.batching.max_num_seqs=8", "cluster=llama_8b",
    "trace=poisson", "trace.requests=60", "trace.lengths.output.median=20", "slo.ttft_p90=0.5",
    "hydra.launcher.n_jobs=1",
]  # fmt: skip


@pytest.fixture
def typed(monkeypatch, capsys, tmp_path):
    """Does what a command line does: what it printed, or the line that it ended with."""

    def do(verb, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["tokenyard", *arguments, f"results={tmp_path}"])
        monkeypatch.setenv(LOG_VARIABLE, "")
        try:
            verb.main()
        except SystemExit as ended:
            return f"refused: {ended.code}"
        return capsys.readouterr().out

    return do


def test_the_capacity_is_that_of_trying_every_rate(typed, tmp_path):
    asked = [*BASE, "policy=fifo,sjf", "seeds=2", "most=2", "grid=0.2", "curve=3", "name=found"]
    said = typed(capacity, *asked)
    assert "max_num_seqs 8, max_num_batched_tokens 2,048, KV of 467,291 tokens" in said
    assert "cpu" not in said.split("\n\n")[0]  # which serves nothing
    assert "highest rates at which ttft_p90 <= 0.5 s" in said
    assert "seats" in said
    assert (tmp_path / "found" / "capacity.png").stat().st_size > 10_000
    found = pd.read_csv(tmp_path / "found" / "capacity.csv")
    grid = Grid(0.2)
    tries = pd.read_csv(tmp_path / "found" / "capacity-tries.csv")
    for (system, seed), own in tries.groupby(["system", "seed"]):
        rate = found.set_index(["system", "seed"]).loc[(system, seed), "capacity"]
        places = [grid.place(value) for value in own["rate"]]
        low = max(place for place, holds in zip(places, own["holds"], strict=True) if holds)
        assert grid.rate(low) < rate < grid.rate(low + 1)
        assert grid.place(own["rate"][~own["holds"]].min()) == low + 1
    assert "made now and 0 kept" in said
    again = typed(capacity, *asked)
    assert ", 0 made now and" in again
    tighter = typed(capacity, *[one for one in asked if not one.startswith("slo")], "slo.ttft_p90=0.4")
    assert int(tighter.split(" tries, ")[1].split()[0]) < len(tries)  # other bounds, of the same runs


def test_a_system_that_never_holds_says_what_it_misses(typed):
    said = typed(capacity, *BASE, "policy=fifo", "slo.tpot_p50=0.001", "seeds=2", "curve=0", "grid=0.3", "name=never")
    assert "no rate holds: with" in said
    assert "tpot_p50 0.01" in said


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["trace.rate=3"], "trace.rate=3: is what tokenyard capacity looks for"),
        (["load=0.5"], "load=0.5 must be null"),
        (["seeds=0"], "seeds=0 must be a whole number of seeds, at least 1"),
        (["precision=3"], "precision=3 must be a share"),
        (["by=luck"], "by=luck must be time or thinning"),
        (["slo.tftt_p99=1"], "slo.tftt_p99=1: no such bound"),
        (["seed=0,1"], "seed must be the first of the seeds"),
        (["policy=sfj"], "policy=sfj: no such option"),
        (["+percision=0.1"], "percision=0.1 is read by nothing"),
    ],
)
def test_what_cannot_be_searched_is_said_in_one_line(typed, arguments, line):
    said = typed(capacity, *BASE, *arguments)
    assert said.startswith("refused: tokenyard capacity: ")
    assert line in said
    assert said.count("\n") == 0


def test_objectives_that_decide_nothing_are_refused(typed):
    bare = [one for one in BASE if not one.startswith("slo")]
    assert "say what must hold, as slo.ttft_p99=1" in typed(capacity, *bare)
    assert "slo bounds each request alone (ttft <= 1 s)" in typed(capacity, *bare, "slo.ttft=1")


def test_the_plan_has_the_fewest_devices_and_the_cheapest_wins(typed, tmp_path):
    asked = [*BASE, "policy=fifo", "trace.rate=120", "devices=h100_sxm,l40s", "seeds=2", "most=4", "name=planned"]
    said = typed(plan, *asked, "price.h100_sxm=10", "price.l40s=1", "links=25e9,1e8")
    rows = pd.read_csv(tmp_path / "planned" / "plan.csv")
    together = rows[rows["together"].notna()].groupby("together")["holds"].all()
    carrying = {
        device: min(int(name[0]) for name in together[together].index if device in name)
        for device in ("l40s", "h100_sxm")
    }
    prices = {"l40s": 1, "h100_sxm": 10}
    best = min(carrying, key=lambda device: carrying[device] * prices[device])
    for device, count in carrying.items():
        assert count == 1 or not together[f"{count - 1} x {device}"]
    assert f"the winner: {carrying[best]} x {best}, ${carrying[best] * prices[best]:.2f} an hour" in said
    assert "h100_sxm $10 (as you say)" in said
    assert "prefill:decode" in said
    assert "takes no time" in said
    assert (tmp_path / "planned" / "plan-ratios.png").exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "say how many requests/s are to be carried: trace.rate=60"),
        (["trace.rate=9", "devices=tpu"], "tpu has no price: give price.tpu=DOLLARS"),
        (["trace.rate=9", "devices=tpu", "price.tpu=2"], "llama-3.1-8b has no profile of tpu"),
        (["trace.rate=9", "price.l40s=free"], "price.l40s=free must be dollars an hour"),
        (["trace.rate=9", "layouts=apart"], "layouts=apart must be together, split"),
        (["trace.rate=9", "policy=fifo,sjf"], "one system at a time, got fifo, sjf"),
    ],
)
def test_what_cannot_be_planned_is_said_in_one_line(typed, arguments, line):
    bare = [one for one in BASE if not one.startswith("trace.rate")]
    said = typed(plan, *bare, *arguments)
    assert said.startswith("refused: tokenyard plan: ")
    assert line in said
    assert said.count("\n") == 0


def test_prices_that_ship_have_a_source_and_others_are_checked(tmp_path):
    assert all(price.dollars > 0 and price.source.startswith("[") for price in read_prices(SHIPPED, {}).values())
    file = tmp_path / "mine.yaml"
    file.write_text("l40s: 3")
    with pytest.raises(ValueError, match=r"prices=.*mine.yaml, l40s: must be .*, got 3"):
        read_prices(file, {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("slo.ttft_p99=-1", "slo.ttft_p99=-1 must be a number of seconds above 0"),
        ("slo.itl_p99=0.1", "slo.itl bounds the gaps between tokens, which record=requests does not keep"),
        ("slo=3", "slo=3 must be"),
    ],
)
def test_objectives_of_a_run_are_checked_before_it(text, said):
    lines = problems(command.read([text]))
    assert len(lines) == 1
    assert said in lines[0]
