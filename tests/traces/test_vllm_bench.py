"""What vLLM's benchmark leaves of a run, as a trace with what was measured."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from traces.formats.vllm_bench import BenchmarkRun, load
from traces.schema import TraceError
from traces.sniff import told

RESULT: dict[str, Any] = {
    "date": "20261129-150000", "backend": "openai", "model_id": "own-7b", "num_prompts": 3, "request_rate": 2.0,
    "burstiness": 1.0, "max_concurrency": None, "duration": 3.0, "completed": 3, "failed": 0, "total_input_tokens": 60,
    "total_output_tokens": 9, "request_throughput": 1.0, "input_lens": [10, 20, 30], "output_lens": [3, 1, 5],
    "ttfts": [0.5, 0.25, 0.125], "itls": [[0.5, 0.25], [], [0.125, 0.125, 0.25]], "latencies": [1.25, 0.25, 0.625],
    "start_times": [1000.5, 1000.0, 1002.0], "generated_texts": ["", "", ""], "errors": ["", "", ""],
}  # fmt: skip


def file(folder: Path, **changed: Any) -> Path:
    path = folder / "result.json"
    path.write_text(json.dumps({key: value for key, value in {**RESULT, **changed}.items() if value is not ...}))
    return path


def test_rows_are_in_the_order_in_which_they_were_sent(tmp_path: Path) -> None:
    table = load(file(tmp_path))
    assert table["request_id"].tolist() == ["1", "0", "2"]
    assert table["arrival"].tolist() == [0.0, 0.5, 2.0]
    assert table["prompt_tokens"].tolist() == [20, 10, 30]
    assert table["output_tokens"].tolist() == [1, 3, 5]
    assert table["measured_first_token"].tolist() == [0.25, 1.0, 2.125]
    assert table["measured_finished"].tolist() == [0.25, 1.75, 2.625]
    packed = tmp_path / "result.json.gz"
    packed.write_bytes(gzip.compress(file(tmp_path).read_bytes()))
    assert load(packed).equals(table)
    assert told(packed).name == "vllm_bench"


def test_older_results_have_no_latencies_and_those_at_once_no_starts(tmp_path: Path) -> None:
    assert load(file(tmp_path, latencies=...)).equals(load(file(tmp_path)))
    table = load(file(tmp_path, start_times=..., request_rate="inf"))
    assert table["arrival"].tolist() == [0.0] * 3
    assert table["measured_finished"].tolist() == [1.25, 0.25, 0.625]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"itls": ...}, r"result\.json: itls missing: no result of vllm bench serve --save-result --save-detailed"),
        (
            {"start_times": ...},
            r"start_times is missing: it says request_rate=2\.0, and not when each request was sent",
        ),
        ({"ttfts": [0.5, 0.25]}, r"are not equally long: input_lens 3, output_lens 3, ttfts 2, "),
        ({"ttfts": {"a": 1}}, r"ttfts .* is not a list"),
        (
            {"errors": ["", "Traceback\nTimeoutError: slow", ""]},
            r"request 1: it failed: TimeoutError: slow; trace\.skip",
        ),
        ({"output_lens": [3, 1, 0]}, r"request 2: it failed: no token came"),
        ({"ttfts": [0.5, "x", 0.1]}, r"request 1: ttfts 'x' is not a finite number"),
        ({"itls": [[0.5, -1], [], []]}, r"request 0: itls are not seconds between tokens"),
        ({"itls": [[0.5], [], []], "latencies": ...}, r"request 2: no latencies and no itls: when its 5 tokens ended"),
        ({"input_lens": [10, 20, 30.5]}, r"request 2: input_lens 30\.5 is not a whole number"),
        ({"ttfts": [0.5, -0.25, 0.125]}, r"request 1: ttfts .* is before arrival|request 1: .*before"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(TraceError, match=said):
        load(file(tmp_path, **changed))


def test_failed_requests_can_be_left_out(tmp_path: Path) -> None:
    table = load(file(tmp_path, errors=["", "gone", ""]), skip_bad=True)
    assert table["request_id"].tolist() == ["0", "2"]
    assert table["arrival"].tolist() == [0.0, 1.5]
    assert table.attrs["skipped"] == {"failed": 1}


def test_several_results_in_a_file_are_refused(tmp_path: Path) -> None:
    path = file(tmp_path)
    path.write_text(path.read_text() + "\n" + path.read_text())
    with pytest.raises(TraceError, match="it holds 2 results, a line each: give a file of one"):
        load(path)


def test_what_changes_when_requests_come_takes_what_was_measured_away(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = str(file(tmp_path))
    table = BenchmarkRun(path).replay(rng, rng)
    assert table["measured_finished"].notna().all()
    assert (table.attrs["read"], table.attrs["fitted"], table.attrs["kept"]) == (3, 0, 0)
    for changed in ({"rate": 4.0}, {"window": 2}, {"training_share": 0.4}):
        assert "measured_finished" not in BenchmarkRun(path, **changed).replay(rng, rng)
    assert (
        BenchmarkRun(path, rate=4.0).provenance
        == "recorded: a file read as vLLM's benchmark (result.json), time-scaled"
    )
