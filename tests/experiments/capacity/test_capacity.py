"""tokenyard capacity and tokenyard plan, on tiny traces: the answer is that of trying every rate, and is kept."""

from __future__ import annotations

import sys

import pandas as pd
import pytest
from omegaconf import OmegaConf

from experiments.capacity import main as capacity
from experiments.capacity import plan
from experiments.capacity.candidates import load_of
from experiments.capacity.prices import SHIPPED, read_prices
from experiments.capacity.search import Grid
from experiments.run import run
from experiments.run.sweep import LOG_VARIABLE
from experiments.settings import command
from experiments.settings.check import problems
from experiments.tables.collect import collect, complete_folders

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


@pytest.mark.long
def test_the_capacity_is_that_of_trying_every_rate(typed, tmp_path):
    asked = [*BASE, "policy=fifo,sjf", "seeds=2", "most=2", "grid=0.2", "curve=3", "name=found"]
    said = typed(capacity, *asked)
    assert "max_num_seqs 8, max_num_batched_tokens 2,048, KV of 467,291 tokens" in said
    assert "cpu" not in said.split("\n\n")[0]  # which serves nothing
    assert "seats" in said
    assert (tmp_path / "found" / "capacity.png").stat().st_size > 10_000
    found = pd.read_csv(tmp_path / "found" / "capacity.csv").set_index(["system", "seed"])["capacity"]
    grid = Grid(0.2)
    for (system, seed), rate in found.items():
        edge = grid.place(rate / 1.2**0.5)
        rates = [grid.rate(place) for place in range(edge - 4, edge + 5)]
        assert typed(
            run, "-m", *BASE, f"policy={system}", f"seed={seed}", f"trace.rate={','.join(map(str, rates))}", "name=all"
        )
        table = collect(complete_folders(tmp_path / "all")).query("policy == @system and seed == @seed")
        holds = table.set_index("trace.rate")["slo_holds"].reindex(rates)
        assert holds.tolist() == [1] * 5 + [0] * 4


def test_a_capacity_is_found_and_kept(typed, tmp_path):
    asked = [*BASE, "policy=fifo", "seeds=1", "most=1", "grid=0.5", "start=60", "curve=0", "name=found"]
    said = typed(capacity, *asked)
    assert "highest rates at which ttft_p90 <= 0.5 s" in said
    tries = pd.read_csv(tmp_path / "found" / "capacity-tries.csv")
    rate = pd.read_csv(tmp_path / "found" / "capacity.csv")["capacity"].item()
    low, high = tries[tries["holds"]]["rate"].max(), tries[~tries["holds"]]["rate"].min()
    assert low < rate < high < 1.51 * low
    assert f"{len(tries)} tries, {len(tries)} made now and 0 kept" in said
    tighter = typed(capacity, *[one for one in asked if not one.startswith("slo")], "slo.ttft_p90=0.49")
    assert f"{len(tries)} tries, 0 made now" in tighter  # other bounds, of the same runs


def test_workers_make_the_tries_of_a_search(typed, tmp_path):
    """As many as there are cores by default; they are told of the log that came after the command was read."""
    asked = [one for one in BASE if not one.startswith(("hydra", "trace.requests"))]
    more = ["policy=fifo", "trace.requests=20", "seeds=2", "most=2", "grid=0.5", "start=60", "curve=0", "name=found"]
    assert "all seeds hold" in typed(capacity, *asked, *more, "hydra.launcher.n_jobs=2")


@pytest.mark.long
def test_a_system_that_never_holds_says_what_it_misses(typed):
    said = typed(capacity, *BASE, "policy=fifo", "slo.tpot_p50=0.001", "curve=0", "grid=0.9", "name=never")
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


@pytest.mark.long
def test_the_plan_has_the_fewest_devices_and_the_cheapest_wins(typed, tmp_path):
    asked = [*BASE, "policy=fifo", "trace.rate=120", "devices=h100_sxm,l40s", "seeds=2", "most=4", "name=planned"]
    said = typed(plan, *asked, "price.h100_sxm=10", "price.l40s=1", "links=25e9,1e8")
    rows = pd.read_csv(tmp_path / "planned" / "plan.csv")
    together = rows[rows["together"].notna()].groupby("together")["holds"].all()
    for device in ("l40s", "h100_sxm"):
        count = min(int(name[0]) for name in together[together].index if device in name)
        assert count == 1 or not together[f"{count - 1} x {device}"]
    own = rows[rows["link"].isna() | (rows["link"] == 25e9)].fillna({"together": "", "prefill": "", "decode": ""})
    carrying = own.groupby(["together", "prefill", "decode"]).agg({"holds": "all", "dollars": "first"}).query("holds")
    assert f", ${carrying['dollars'].min():.2f} an hour" in said.split("\nthe winner: ")[1].splitlines()[0]
    assert "h100_sxm $10 (as you say)" in said
    assert "every ratio of" in said
    assert "takes no time" in said
    assert (tmp_path / "planned" / "plan-ratios.png").exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
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


def test_a_load_that_is_not_said_is_asked_for():
    with pytest.raises(ValueError, match=r"say how many requests/s are to be carried: trace.rate=60"):
        load_of(OmegaConf.create({"trace": {"rate": None}}))


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
