"""Small inputs whose right values follow by hand, on a device whose every step takes 10 ms.

Each was wrong once, and nothing said so.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.run import run
from experiments.run.sweep import LOG_VARIABLE
from experiments.tables.collect import complete_folders
from traces.formats.parquet import write

FREE = ["policy.overhead.decision_seconds=0", "policy.overhead.rank_seconds=0", "predictor=oracle"]
STATIC = ["policy.batching.batch_size=8"]
CONTINUOUS = ["policy/batching=continuous"]
PREFILL_DECODE = ["cluster=prefill_decode", "policy/routing=disaggregation", *CONTINUOUS]


@dataclass(frozen=True)
class Ran:
    """What a command left: exit code, what it printed, and its run's summary and requests (None of several runs)."""

    code: int
    out: str
    err: str
    summary: dict | None
    requests: pd.DataFrame | None


@pytest.fixture
def replay(tmp_path: Path, const_profiles: Path, monkeypatch, capsys) -> Callable[..., Ran]:
    """Replays rows (columns by name) under settings, as a command line does."""

    def command(rows: dict, *settings: str, name: str = "rows", devices: tuple[str, ...] = ("gpu", "cpu")) -> Ran:
        table = pd.DataFrame(rows)
        write(table, tmp_path / f"{name}.parquet", {"source": "made"})
        models = [] if devices == ("gpu", "cpu") else [f"cluster.devices.{one}.profile.model=const" for one in devices]
        folders = [f"++cluster.devices.{one}.profile.folder={const_profiles}" for one in devices]
        own = [f"cluster.devices.{one}.profile.device=dev" for one in devices if one != "cpu"]
        model = [] if models else ["model=const"]
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv(LOG_VARIABLE, "")
        trace = ["trace=parquet", f"trace.path={tmp_path / name}.parquet", f"results={tmp_path}", f"name={name}"]
        monkeypatch.setattr(sys, "argv", ["tokenyard", *trace, *model, *models, *folders, *own, *FREE, *settings])
        code = 0
        try:
            run.main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        if code:
            return Ran(code, said.out, said.err, None, None)
        folder, *others = complete_folders(tmp_path / name)
        if others:
            return Ran(code, said.out, said.err, None, None)
        summary = json.loads((folder.path / "summary.json").read_text(), parse_constant=pytest.fail)
        return Ran(code, said.out, said.err, summary, pd.read_parquet(folder.path / "requests.parquet"))

    return command


def rows(arrivals: list[float], prompts: list[int], outputs: list[int], **more) -> dict:
    return {"arrival": arrivals, "prompt_tokens": prompts, "output_tokens": outputs, **more}


@pytest.mark.parametrize("caps", [{}, {"max_tokens": [5] * 8}])
def test_a_static_batch_is_full_whether_or_not_clients_cap_their_answers(replay, caps) -> None:
    found = replay(rows([0.0] * 8, list(range(100, 108)), [5] * 8, **caps), *STATIC)
    assert found.requests["finished"].to_numpy() == pytest.approx([0.05] * 8)
    assert found.summary["response_time_mean"] == pytest.approx(0.05)


def test_a_static_batch_shows_nothing_before_its_end(replay) -> None:
    found = replay(rows([0.0] * 8, list(range(100, 108)), [5] * 8), *STATIC)
    assert found.requests["first_token"].isna().all()
    for metric in ("ttft_mean", "ttft_p99", "tpot_mean", "tpot_max"):
        assert found.summary[metric] is None


def test_a_burst_has_the_throughput_of_its_whole_run(replay) -> None:
    arrivals = [0.0008 * number for number in range(50)]
    one_by_one = ("policy.batching.max_num_seqs=1", "policy.batching.plans_ahead=0")
    found = replay(rows(arrivals, [100] * 50, [5] * 50), *CONTINUOUS, *one_by_one)
    assert found.requests["finished"].max() == pytest.approx(2.5)
    assert found.summary["throughput_requests_overall"] == pytest.approx(20.0)
    assert found.summary["throughput_tokens_overall"] == pytest.approx(100.0)


def test_requests_that_come_at_once_have_a_throughput_and_their_summary_is_json(replay) -> None:
    found = replay(rows([0.0] * 3, [100] * 3, [5] * 3), *CONTINUOUS)
    assert found.summary["throughput_requests_overall"] == pytest.approx(60.0)
    assert found.summary["throughput_requests"] is None, "nothing is measured in a window of no length"


def test_five_seeds_of_a_stored_trace_are_one_observation_unless_it_is_resampled(replay) -> None:
    stored = rows([0.0, 0.005, 0.1, 0.2], [100, 3000, 50, 20], [5, 3, 1, 4])
    found = replay(stored, *CONTINUOUS, "seed=[0,1,2,3,4]")
    assert "±" not in rows_of(found.out)
    assert "no interval" in found.out
    assert "resample=blocks" in found.out
    drawn = replay(stored, *CONTINUOUS, "seed=[0,1,2,3,4]", "resample=blocks", name="drawn")
    assert "±" in rows_of(drawn.out)


def rows_of(printed: str) -> str:
    """The printed table without what stands above it and below."""
    return printed.split("\npolicy")[1].split("\neach run")[0]


@pytest.mark.parametrize("room", ["kv_tokens=1008", "max_model_len=1000"])
def test_a_leg_is_servable_by_what_the_leg_needs(replay, room) -> None:
    found = replay(
        rows([0.0], [900], [500]), *PREFILL_DECODE, f"cluster.devices.prefill.{room}", devices=("prefill", "decode")
    )
    assert found.requests["first_token"].tolist() == pytest.approx([0.01])
    assert found.requests["status"].tolist() == ["finished"]


SLOW_LINK = ["cluster.link.latency=0", "cluster.link.bytes_per_second=1e5"]  # a second for a prompt of 100 tokens


@pytest.mark.parametrize(("sharing", "ends"), [("first_come", [1.03, 2.03]), ("fair", [2.03, 2.03])])
def test_two_transfers_share_a_link(replay, sharing, ends) -> None:
    settings = [*PREFILL_DECODE, *SLOW_LINK, f"cluster.link.sharing={sharing}"]
    found = replay(rows([0.0, 0.0], [100, 100], [3, 3]), *settings, devices=("prefill", "decode"))
    assert found.requests["finished"].tolist() == pytest.approx(ends)


def test_kv_stays_on_the_device_that_prefilled_it_until_it_is_sent(replay) -> None:
    settings = [*PREFILL_DECODE, *SLOW_LINK, "cluster.devices.prefill.kv_tokens=112"]
    found = replay(rows([0.0, 0.0], [100, 100], [3, 3]), *settings, devices=("prefill", "decode"))
    assert found.requests["first_scheduled"].tolist() == pytest.approx([0.0, 1.01])
    assert found.requests["first_token"].tolist() == pytest.approx([0.01, 1.02])


def test_a_request_that_can_never_be_served_is_rejected_and_the_others_are_served(replay) -> None:
    found = replay(rows([0.0, 0.1, 0.2], [100, 4096, 100], [5, 1, 5]), *CONTINUOUS, "warmup=0")
    assert found.requests["status"].tolist() == ["finished", "rejected", "finished"]
    assert (found.summary["counts"]["rejected"], found.summary["finished"]) == (1, 2)
    assert "1 rejected" in found.out
    assert "rejected, for one: request 1 needs 4097 tokens, gpu allows max_model_len=4096" in found.out
    failed = replay(rows([0.0, 0.1], [100, 4096], [5, 1]), *CONTINUOUS, "unservable=fail", name="fail")
    assert failed.code == 1
    assert "4097 tokens" in failed.err
    assert "max_model_len=4096" in failed.err


def test_a_sweep_replays_the_same_rows_whether_or_not_a_run_of_it_learns(replay) -> None:
    """FIFO asks for nothing, SJF's constants and the regression are fitted: paired differences need equal requests."""
    count = 50
    table = rows(np.arange(count).tolist(), [*range(10, 10 + count)], [*range(2, 2 + count)])
    found = replay(table, *CONTINUOUS, "-m", "policy=fifo,sjf", "hydra.launcher.n_jobs=1")
    assert "each run of fifo: 50 read, 10 for training, 4 warm-up, 36 measured" in found.out
    assert "each run of sjf: 50 read, 10 for training (calibration.eta, calibration.phi), 4 warm-up, 36" in found.out
    assert "not paired" not in found.out


def test_every_request_is_counted_once(replay) -> None:
    """20 rows at 1/s, every second too long; and a horizon before half of 20 others have come."""
    table = rows([float(n) for n in range(20)], [9000 if n % 2 else 10 for n in range(20)], [5] * 20)
    assert "20 read, 0 for training, 1 warm-up, 9 measured, 10 rejected" in replay(table, *CONTINUOUS).out
    table = rows([float(n) for n in range(20)], [10] * 20, [5] * 20)
    cut = replay(table, *CONTINUOUS, "horizon=9.025", "warmup=0", name="cut")
    assert "20 read, 0 for training, 0 warm-up, 9 measured, 1 censored, 10 would have come after the horizon" in cut.out


def test_times_in_another_unit_are_doubted_aloud(replay) -> None:
    slow = rows([50.0 * n for n in range(20)], [10] * 20, [5] * 20)
    assert "it is nearly always idle: are the trace's times in another unit" in replay(slow, *CONTINUOUS).out
    fast = rows([0.001 * n for n in range(5)], [10] * 5, [5] * 5)
    assert "under 1 s: are the trace's times in another unit" in replay(fast, *CONTINUOUS, name="fast").out


def test_means_of_different_requests_are_told(replay) -> None:
    table = rows([0.0] * 40, [10] * 40, [*range(40, 0, -1)])
    sweep = ["-m", "policy=fifo,sjf", "policy.batching.max_num_seqs=4", "horizon=1.0", "warmup=0"]
    fixed = ["calibration.phi=0", "calibration.eta=0.01", "hydra.launcher.n_jobs=1"]
    found = replay(table, *CONTINUOUS, *sweep, *fixed)
    assert "compared over other requests, as not all were served in both" in found.out


def test_windows_that_share_rows_are_no_independent_seeds(replay) -> None:
    table = rows([0.1 * n for n in range(60)], [10] * 60, [*range(1, 61)])
    found = replay(table, *CONTINUOUS, "trace.window=50", "seed=[0,1,2,3,4]")
    assert "of their rows in common: intervals are too narrow; resample=blocks" in found.out
    drawn = replay(table, *CONTINUOUS, "trace.window=50", "seed=[0,1,2,3,4]", "resample=blocks", name="drawn")
    assert "in common" not in drawn.out


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_trace_of_few_rows_runs_whole_where_nothing_is_trained(replay, count) -> None:
    found = replay(rows([0.25 * n for n in range(count)], [600] * count, [5] * count), *CONTINUOUS)
    assert len(found.requests) == count
    assert found.summary["counts"]["training"] == 0


def test_a_whole_file_is_replayed_and_the_table_says_what_became_of_its_rows(replay) -> None:
    count = 4000
    found = replay(rows(np.arange(count).tolist(), [10] * count, [2] * count), *CONTINUOUS)
    assert "4,000 read, 0 for training, 400 warm-up, 3,600 measured" in found.out
    assert math.isclose(found.summary["response_time_mean"], 0.02, rel_tol=1e-6)
