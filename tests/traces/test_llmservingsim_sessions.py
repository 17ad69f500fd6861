"""LLMServingSim's workloads read as sessions in a closed loop and as requests that call out, on made lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sim import Pause
from traces.formats.llmservingsim_sessions import FIRST_ID, load, load_as_one
from traces.requests import to_requests
from traces.schema import TraceError
from traces.summary import prefix_reuse

CALLS = [(40, 10, 1.5e9), (60, 20, 0), (70, 5, 9e9)]  # the third prompt is shorter than what was said before it
FLAT = {"input_toks": 100, "output_toks": 50, "arrival_time_ns": 4 * 10**9}


def call(tokens: int, output: int, waits: float | None = None, **more: Any) -> dict[str, Any]:
    return {
        "input_toks": tokens,
        "output_toks": output,
        **({} if waits is None else {"tool_duration_ns": int(waits)}),
        **more,
    }


def session(name: str = "a", arrival: float = 3e9, calls: Any = None, **more: Any) -> dict[str, Any]:
    calls = [call(*one) for one in CALLS] if calls is None else calls
    return {"session_id": name, "arrival_time_ns": int(arrival), "sub_requests": calls, **more}


def made(folder: Path, *rows: Any) -> Path:
    path = folder / "made.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_calls_wait_for_our_answers_and_their_prompts_grow(tmp_path: Path) -> None:
    table = load(made(tmp_path, session(), FLAT, session("b", 9e9, [call(33, 8)])))
    assert table["arrival"].tolist() == [0, 0, 0, 1, 6]
    assert table["session"].tolist() == ["a", "a", "a", "request in line 2", "b"]
    assert table["prompt_tokens"].tolist() == [40, 60, 70, 100, 33]
    assert table["output_tokens"].tolist() == [10, 20, 5, 50, 8]
    assert table["think"].tolist() == pytest.approx([np.nan, 1.5, 0, np.nan, np.nan], nan_ok=True)
    first, second, third, *others = table["prompt_ids"].tolist()
    assert others == [[], []]
    assert (len(first), len(second), len(third)) == (3, 4, 5)
    assert first[:2] == second[:2] == third[:2], "16 tokens an id: 40 tokens fill two"
    assert second[2] not in first, "its third was said after the first's last one"
    assert third[:3] == second[:3]
    assert third[3] not in second, "the second ends within its fourth"
    assert min(first) >= FIRST_ID
    assert prefix_reuse(table)["token_reuse"] == pytest.approx((32 + 48) / (40 + 60 + 70 + 100 + 33))
    requests = to_requests(table)
    assert [request.think for request in requests] == [None, 1.5, 0, None, None]


def test_what_was_said_is_what_the_next_prompt_begins_with(tmp_path: Path) -> None:
    table = load(made(tmp_path, session(calls=[call(32, 32), call(96, 16), call(112, 1), call(48, 1), call(64, 1)])))
    ids = table["prompt_ids"].tolist()
    assert ids[1][:2] == ids[0]
    assert ids[2][:6] == ids[1]
    assert not set(ids[3]) & {one for before in ids[:3] for one in before}, "a shorter prompt is another one"
    assert ids[4][:3] == ids[3]
    assert len({one for prompt in ids for one in prompt}) == 7 + 4


def test_token_ids_of_the_file_are_taken(tmp_path: Path) -> None:
    calls = [call(3, 2, 5, input_tok_ids=[7, 8, 9]), call(5, 1, input_tok_ids=[7, 8, 9, 1, 2])]
    table = load(made(tmp_path, session(calls=calls), {**FLAT, "input_toks": 2, "input_tok_ids": [7, 8]}))
    assert table["prompt_ids"].tolist() == [[7, 8, 9], [7, 8, 9, 1, 2], [7, 8]]
    assert set(table["id_tokens"]) == {1}
    one = load_as_one(made(tmp_path, session(calls=calls), FLAT))
    assert one["prompt_ids"].tolist() == [[7, 8, 9], []]


def test_a_session_is_one_request_that_calls_out(tmp_path: Path) -> None:
    table = load_as_one(made(tmp_path, session(), FLAT, session("b", 9e9, [call(33, 8, 7e9)])))
    assert table["arrival"].tolist() == [0, 1, 6]
    assert table["request_id"].tolist() == ["a", "request in line 2", "b"]
    assert table["prompt_tokens"].tolist() == [40, 100, 33]
    assert table["output_tokens"].tolist() == [35, 50, 8]
    assert table["pauses"].tolist() == [[[10, 1.5, 10], [30, 0.0, 0]], [], []]
    assert table.attrs["clipped"] == 1, "70 tokens are fewer than 60 and 20"
    assert "prompt_ids" not in table
    assert to_requests(table)[0].truth.pauses == (Pause(10, 1.5, 10),), "a call of no time and no tokens is none"


@pytest.mark.parametrize("loader", [load, load_as_one])
@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (7, "'7' is not an object"),
        ({**FLAT, "arrival_time_ns": -1}, "arrival_time_ns -1 is negative"),
        ({**FLAT, "arrival_time_ns": 1.5}, "arrival_time_ns 1.5 is not a whole number"),
        ({**FLAT, "input_toks": 0}, "input_toks 0 is not from 1 to 10,000,000"),
        ({**FLAT, "input_tok_ids": [1]}, "1 input_tok_ids for 100 input_toks"),
        ({**FLAT, "input_toks": 1, "input_tok_ids": ["x"]}, "input_tok_ids are not whole numbers"),
        ({"arrival_time_ns": 5, "sub_requests": [call(1, 1)]}, "session_id is missing"),
        (session("b", calls=[]), "sub_requests is empty"),
        (session("b", calls=7), "sub_requests 7 is not a list"),
        (session("b", calls=[call(1, 1), 7]), "sub-request 2: it is not an object"),
        (session("b", calls=[call(1, 1), call(3, 1, -1)]), "sub-request 2: tool_duration_ns -1 is negative"),
        (session("b", calls=[call(1, 1, input_tok_ids=[5]), call(3, 1)]), "some sub-requests have input_tok_ids"),
        (session("a"), "session_id 'a' was there before"),
        (session("b", 2e9), "arrival_time_ns 2000000000 is before the trace's start"),
    ],
)  # fmt: skip
def test_a_bad_line_is_named_or_counted(
    tmp_path: Path, loader: Callable[..., pd.DataFrame], bad: Any, said: str
) -> None:
    path = made(tmp_path, session(), bad, session("c", 3e9, [call(5, 1, 0), call(9, 1)]))
    with pytest.raises(TraceError, match=f"made.jsonl, line 2[:,] {said}"):
        loader(path)
    table = loader(path, skip_bad=True)
    assert set(table.get("session", table.get("request_id"))) == {"a", "c"}
    assert sum(table.attrs["skipped"].values()) == (3 if "start" in said and loader is load else 1)
