"""Recorded runs of a real vLLM: clocks set by one another, bad lines named, and the recorded file's own figures."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim.metrics import tpot, ttft
from traces.formats.llmservingsim import ServedRun, load
from traces.locate import public_file
from traces.schema import MEASURED, TraceError

AHEAD = 1_777_000_000.0  # by how much the client's clock is before the engine's, s
WAITED = (0.0625, 0.0, 0.25)  # between a request's arrival and the engine's queue, s


def row(number: int, **changes: object) -> dict[str, object]:
    arrival = 100.0 + number
    queued = arrival + WAITED[number % 3]
    times = {
        "queued_ts": queued,
        "scheduled_ts": queued + 0.5,
        "first_token_ts": queued + 1,
        "last_token_ts": queued + 3,
    }
    lengths = {"request_id": f"bench-{number}", "input_toks": 10 + number, "output_toks": 5}
    return {**lengths, "arrival_time": AHEAD + arrival, **times, **changes}


def made(folder: Path, rows: list[object], name: str = "run.jsonl") -> Path:
    path = folder / name
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in rows)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["run.jsonl", "run.jsonl.gz"])
def test_the_request_that_was_queued_soonest_sets_the_clocks(tmp_path: Path, name: str) -> None:
    table = load(made(tmp_path, [row(0), row(1), row(2)], name))
    assert table["arrival"].tolist() == [0, 1, 2]
    assert table["prompt_tokens"].tolist() == [10, 11, 12]
    assert table["measured_first_scheduled"].tolist() == pytest.approx([0.5625, 1.5, 2.75], abs=1e-6)
    assert table["measured_first_token"].tolist() == pytest.approx([1.0625, 2.0, 3.25], abs=1e-6)
    assert table["measured_finished"].tolist() == pytest.approx([3.0625, 4.0, 5.25], abs=1e-6)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2: not json"),
        ("[1]", r"line 2: '\[1\]' is not an object"),
        (row(1, output_toks=0), "line 2: output_toks 0 is below 1"),
        (row(1, input_toks=None), "line 2: input_toks None is not a finite number of 64 bits"),
        (row(1, arrival_time="now"), "line 2: arrival_time 'now' is not a finite number of 64 bits"),
        ({"input_toks": 1}, "line 2: arrival_time is missing"),
        (row(1, queued_ts=101.6), "line 2: queued_ts 101.6 is after scheduled_ts"),
        (row(1, arrival_time=0), "line 2: arrival_time 0 is further from queued_ts than others by more than the run"),
        (row(1, request_id="bench-0"), "line 2: request_id 'bench-0' was there before"),
        (row(1, arrival_time=AHEAD + 99, queued_ts=101.0), "line 2: arrival_time .* is before the trace's start"),
        (row(1, first_token_ts=101.25), "line 2: first_token_ts 101.25 is before measured_first_scheduled"),
        (row(1, last_token_ts=101.75), "line 2: last_token_ts 101.75 is before measured_first_token"),
    ],
)
def test_a_bad_line_is_named_by_file_line_and_value(tmp_path: Path, line: object, said: str) -> None:
    with pytest.raises(TraceError, match=f"run.jsonl, {said}"):
        load(made(tmp_path, [row(0), line, row(2)]))


@pytest.mark.parametrize("far", [{"arrival_time": 0}, {"arrival_time": AHEAD + 1e9}, {"queued_ts": 99.0 + 1e6}])
def test_a_line_that_is_left_out_sets_no_clock(tmp_path: Path, far: dict[str, float]) -> None:
    table = load(made(tmp_path, [row(-1, **far), row(0), row(1), row(2)]), skip_bad=True)
    assert table["request_id"].tolist() == ["bench-0", "bench-1", "bench-2"]
    assert table["arrival"].tolist() == [0, 1, 2]
    assert table["measured_first_scheduled"].tolist() == pytest.approx([0.5625, 1.5, 2.75], abs=1e-6)


def test_clocks_far_apart_cost_no_digits(tmp_path: Path) -> None:
    table = load(made(tmp_path, [row(0, arrival_time=1.78e16)]))
    assert table["measured_first_token"].tolist() == pytest.approx([1.0], abs=1e-9)


def test_an_empty_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="no rows"):
        load(made(tmp_path, []))
    path = made(tmp_path, [row(number) for number in range(200)], "cut.jsonl.gz")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(TraceError, match=r"cut\.jsonl\.gz, line 1: the gzip file is broken"):
        load(path)


def test_all_is_replayed_and_the_first_requests_train(tmp_path: Path) -> None:
    run = ServedRun(str(made(tmp_path, [row(number) for number in range(9)])), "made up", fitted=4)
    rng = np.random.default_rng(0)
    assert len(run.replay(rng, rng)) == run.replay(rng, rng).attrs["read"] == 9
    drawn = replace(run, resample="blocks").replay(rng, rng)
    assert len(drawn) == 9
    assert not set(MEASURED) & set(drawn), "nothing was measured of a bootstrap"
    assert run.training()["prompt_tokens"].tolist() == [10, 11, 12, 13]
    assert run.provenance == "made up (run.jsonl), as recorded"
    with pytest.raises(ValueError, match="fitted must be at least 1 request, got 0"):
        ServedRun("run.jsonl", "made up", fitted=0)


def test_the_recorded_run_has_its_known_figures() -> None:
    try:
        path = public_file("measured/vllm-0.19.0_rtx-pro-6000_llama-3.1-8b.jsonl.gz")
    except FileNotFoundError as error:
        pytest.skip(str(error))
    table = load(path)
    assert len(table) == 300
    names = {name: name.removeprefix("measured_") for name in table if name.startswith("measured_")}
    real = {names.get(name, name): table[name] for name in table}
    # LLMServingSim's own report has a mean TTFT of 7.097 s, for it counts from the engine's queue
    assert ttft(real).mean() == pytest.approx(7.120, abs=0.001)
    assert tpot(real).mean() == pytest.approx(0.0325, abs=0.0001)
