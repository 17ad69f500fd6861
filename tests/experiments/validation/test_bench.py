"""`tokenyard validate FILE`: a benchmark that a simulation served comes out at nothing, and what is off is said."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from experiments import cli
from experiments.run.inputs import read_inputs
from experiments.run.parts import build
from experiments.validation import bench
from experiments.validation.bench_report import Compared, causes, doubts, error_table, inside
from sim import Record, simulate
from sim.gaps import gaps
from sim.overhead import Overhead
from tests.conftest import ROOT
from tests.door import composed
from traces.formats.vllm_bench import read_result
from traces.requests import to_requests

SETTINGS = ("policy=fifo", "policy/batching=continuous", "predictor=oracle", "cluster=one", "model=llama-3.1-8b",
            "device=l40s", "policy.batching.max_num_seqs=8")  # fmt: skip
GOLDEN = ROOT / "tests" / "golden" / "bench"
SERVED = ("trace=poisson", "trace.requests=40", "trace.rate=6")


def served(path: Path, factor: float = 1.0, apart: float = 1.0) -> Path:
    """A benchmark's result of a server that takes `factor` times as long as the simulator says of every latency.

    Its requests come `apart` times as far apart.
    """
    cfg = composed(*SETTINGS, *SERVED)
    inputs = read_inputs(cfg)
    parts = build(cfg, inputs.cluster, inputs.training)
    policy = replace(parts.policy, overhead=Overhead())
    tables = simulate(to_requests(inputs.replay), policy, inputs.cluster, parts.predictor, record=Record.STEPS)
    table, found = pd.DataFrame(tables.requests), gaps(tables.requests, tables.steps)
    assert found.seen.all()
    order = np.argsort(table["arrival"].to_numpy())
    row = table.iloc[order]
    latency, ttft = row["finished"] - row["arrival"], row["first_token"] - row["arrival"]
    itls = [(factor * found.between[found.low[at] : found.high[at]]).tolist() for at in order]
    result = {
        "date": "20261129-150000", "backend": "openai", "model_id": "meta-llama/Llama-3.1-8B-Instruct",
        "request_rate": 6.0, "burstiness": 1.0, "max_concurrency": None, "duration": 9.0, "request_throughput": 4.0,
        "input_lens": row["prompt_tokens"].tolist(), "output_lens": row["output_tokens"].tolist(),
        "ttfts": (factor * ttft).tolist(), "itls": itls, "latencies": (factor * latency).tolist(),
        "start_times": (7.0 + apart * row["arrival"]).tolist(), "errors": [""] * len(row), "total_input_tokens": 1,
    }  # fmt: skip
    path.write_text(json.dumps(result))
    return path


def validated(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["tokenyard", "validate", *arguments])
    assert not cli.call(cli.VERBS, "tokenyard", ["validate", *arguments])


@pytest.mark.parametrize(("factor", "error"), [pytest.param(1.0, 0.0, marks=pytest.mark.long), (2.0, -0.5)])
def test_a_simulated_server_is_off_by_what_it_was_made_slower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], factor: float, error: float
) -> None:
    path = served(tmp_path / "made.json", factor)
    monkeypatch.chdir(tmp_path)
    validated(monkeypatch, str(path), *SETTINGS[3:], "+json=true")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    rows = [line for line in lines if line["kind"] == "error" and line["metric"] != "throughput"]
    assert {row["metric"] for row in rows} == {"TTFT", "TPOT", "ITL", "E2E"}
    assert len(rows) == 16
    for row in rows:
        assert row["error"] == pytest.approx(error, abs=1e-6), row
    [facts] = [line["facts"] for line in lines if line["kind"] == "facts"]
    assert "openai served meta-llama/Llama-3.1-8B-Instruct, at 6.0 requests/s, burstiness 1.0, in 9 s" in facts[0]
    assert "gpu, llama-3.1-8b/l40s (imported), 8 seats, 2048 tokens a step, a step planned ahead, KV of" in facts[1]
    assert len(facts) == 2, "the same model, and no bound on requests at a time"
    folder = tmp_path / "results/validate/made"
    assert {file.name for file in folder.iterdir()} == {
        "report.txt", "report.jsonl", "distributions.png", "distributions.pdf",
    }  # fmt: skip


def test_a_server_that_is_only_slower_is_found_to_be_that(tmp_path: Path) -> None:
    path = served(tmp_path / "made.json", factor=3.0, apart=3.0)
    cfg = composed(*SETTINGS, "trace=vllm_bench", f"trace.path={path}")
    found = bench.compare(cfg, read_inputs(cfg), read_result(path))
    assert found.slowed is not None
    factor, slowed = found.slowed
    assert factor == pytest.approx(3, rel=0.01)
    means = error_table(slowed).query("statistic == 'mean'")
    assert means["error"].abs().max() < 0.03
    assert error_table(found).query("statistic == 'mean'")["error"].abs().max() > 0.5
    [line] = [line for line in causes(found) if line.startswith("were all steps 3 times as long")]
    assert all(
        f"{metric} {100 * error:+.1f} %" in line for metric, error in zip(means.metric, means.error, strict=True)
    )


HERE = ("cluster=one", "model=smollm2-135m", "device=cpu_vllm", "policy.batching.max_num_seqs=4",
         "policy.batching.max_num_batched_tokens=512", "policy.batching.plans_ahead=0",
        "cluster.devices.gpu.block_size=32", "cluster.devices.gpu.kv_tokens=46592",
        "cluster.devices.gpu.max_model_len=1024")  # fmt: skip


METRICS = ("TTFT", "TPOT", "ITL", "E2E")


@pytest.mark.parametrize(
    ("file", "folder", "errors", "slower", "left"),
    [
        ("smollm2-135m-quiet.json", GOLDEN / "quiet",
         (-0.227, -0.125, -0.118, -0.147), 1.12, (0.068, -0.004, 0.001, 0.019)),
        ("smollm2-135m.json", GOLDEN, (-0.129, -0.020, -0.021, -0.100), 1.02, (-0.062, 0.009, 0.005, -0.044)),
    ],
    ids=("quiet", "busy"),
)  # fmt: skip
def test_real_benchmarks_of_vllms_are_as_near_as_the_page_says(
    file: str, folder: Path, errors: tuple[float, ...], slower: float, left: tuple[float, ...]
) -> None:
    """Of vLLM 0.32.0 on one core: docs/validation.md."""
    path = GOLDEN / file
    given = (*SETTINGS[:3], *HERE, f"cluster.devices.gpu.profile.folder={folder}")
    cfg = composed(*given, "trace=vllm_bench", f"trace.path={path}")
    result = read_result(path)
    found = bench.compare(cfg, read_inputs(cfg), result)
    table = error_table(found).set_index(["metric", "statistic"])
    for metric, measured in (("TTFT", "ttft"), ("TPOT", "tpot"), ("ITL", "itl"), ("E2E", "e2el")):
        for statistic, name in (("mean", "mean"), ("P50", "median"), ("P99", "p99")):
            own = result[f"{name}_{measured}_ms"] / 1000  # as vLLM itself counts it
            assert table.loc[(metric, statistic), "measured"] == pytest.approx(own, rel=1e-5), (metric, statistic)
    assert table["error"].unstack()["mean"][list(METRICS)].tolist() == pytest.approx(errors, abs=0.001)
    assert found.slowed is not None
    assert found.slowed[0] == pytest.approx(slower, abs=0.005)
    after = error_table(found.slowed[1]).set_index(["metric", "statistic"])["error"].unstack()["mean"]
    assert after[list(METRICS)].tolist() == pytest.approx(left, abs=0.001)


def test_what_does_not_belong_together_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = served(tmp_path / "made.json")
    stated = json.loads(path.read_text()) | {"model_id": "own/7b", "max_concurrency": 4, "request_rate": "inf"}
    monkeypatch.chdir(tmp_path)
    cfg = composed(*SETTINGS, "trace=vllm_bench", f"trace.path={path}")
    inputs = read_inputs(cfg)
    assert "own/7b, all at once, at most 4 at a time, in 9 s" in bench.facts(cfg, inputs, stated, path)[0]
    model, held = doubts(stated, inputs.cluster)
    assert model == "note: own/7b was served, and llama-3.1-8b is simulated: is it the same?"
    assert held.startswith("note: the client held requests back until others had ended")
    for words, why in (([str(path), "trace.rate=4"], "change when requests come"), (["none.json"], "none.json")):
        with pytest.raises(SystemExit) as ended:
            validated(monkeypatch, *words, *SETTINGS[3:])
        assert why in str(ended.value)


def test_the_command_line_is_a_runs_with_a_file() -> None:
    words = bench.settings(["runs/a.json.gz", "cluster=one", "policy=sjf"])
    assert words == [
        "policy/batching=continuous", "predictor=oracle", "trace=vllm_bench", "trace.path='runs/a.json.gz'",
        "name='validate/a'", "cluster=one", "policy=sjf",
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"one file at a time, got a\.json and b\.json"):
        bench.settings(["a.json", "b.json"])


def requests(arrival: list[float], ttft: list[float], each: list[float], output: int = 11) -> pd.DataFrame:
    start, first = np.array(arrival), np.array(arrival) + np.array(ttft)
    lengths: dict[str, Any] = {"id": np.arange(len(start)), "prompt_tokens": 5, "output_tokens": output}
    return pd.DataFrame({**lengths, "arrival": start, "first_token": first, "finished": first + np.array(each) * 10})


def test_who_is_there_is_counted_when_each_comes() -> None:
    table = requests([0.0, 1.0, 1.5, 9.0], [0.5] * 4, [0.1] * 4)
    assert inside(table).tolist() == [0, 1, 1, 0]


def test_what_the_rows_say_of_where_errors_come_from() -> None:
    count = 40
    apart = [10.0 * number for number in range(count)]
    simulated = requests(apart, [0.1] * count, [0.02] * count)
    warm = [0.04] * 4 + [0.02] * (count - 4)
    real = requests(apart, [0.11] * count, warm)
    lines = causes(Compared(real, simulated, np.full(5, 0.02), np.full(400, 0.02), 0.5))
    assert lines[0].startswith("TTFT of the 40 requests that met nobody: measured +10 ms (+9 %) beside simulated")
    assert any("E2E of the first 5 requests is off by -41.2 %, of the others by -3.2 %" in line for line in lines)
    assert any("the client saw 5 gaps of 400 tokens after a first one: 99 % came together" in line for line in lines)
    assert lines[-1] == "ITL: simulated gaps are those of 50 % of the requests: the others were stopped"
    together = requests([0.1 * number for number in range(count)], list(np.linspace(0.1, 9, count)), [0.02] * count)
    slow = requests(apart[:1] + [0.1] * 39, list(np.linspace(0.1, 18, count)), [0.02] * count)
    grown = causes(Compared(slow, together, np.full(400, 0.02), np.full(400, 0.02), 1.0))
    assert any("a queue grows, and multiplies what each step is off" in line for line in grown)
