"""Coding agents' sessions: what is read, which are copies, and that they are replayed as they were recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from policies.predictor.oracle import OraclePredictor
from sim import Cluster, Record, simulate
from tests.conftest import make_device, make_policy
from traces.coding_sessions import CodingSessions
from traces.formats.coding_sessions import distinct, figures, read_calls
from traces.operations import counted
from traces.requests import to_requests
from traces.schema import TraceError, check

CALL = {"t": 0.0, "output_tokens": 5, "lcp_prev_blocks": 0, "api_time": 2.0, "think_time": 0.0, "input_types": "text"}


def session(trace: str, *calls: dict[str, Any], agent: str = "0") -> list[dict[str, Any]]:
    """Calls at 0, 20, 40 ... s, each 10 s after the end of the one before."""
    rows = []
    for i, call in enumerate(calls):
        row = {**CALL, "trace": trace, "agent": agent, "i": 2 * i, "t": 20.0 * i, "think_time": 10.0 * (i > 0), **call}
        rows.append({"blocks": row["input_tokens"] // 64, **row})
    return rows


LONG = session(
    "long", {"input_tokens": 200}, {"input_tokens": 300, "lcp_prev_blocks": 3, "output_tokens": 7},
    {"input_tokens": 256, "lcp_prev_blocks": 2, "think_time": 4.0},
)  # fmt: skip
COPY = session("copy", {"input_tokens": 200}, {"input_tokens": 300, "lcp_prev_blocks": 3})
HELPER = session("long", {"input_tokens": 90}, {"input_tokens": 130, "lcp_prev_blocks": 1}, agent="0/1")
ODD = session(
    "odd", {"input_tokens": 70, "api_time": None}, {"input_tokens": 140, "lcp_prev_blocks": 1, "api_time": None},
    {"input_tokens": 210, "lcp_prev_blocks": 2, "output_tokens": 0, "think_time": None, "api_time": None},
    {"input_tokens": 280, "lcp_prev_blocks": 3, "think_time": 90.0}, {"input_tokens": 900, "lcp_prev_blocks": 4},
    {"input_tokens": 64, "lcp_prev_blocks": 0},
)  # fmt: skip


def stored(folder: Path, *sessions: list[dict[str, Any]]) -> Path:
    path = folder / "made.parquet"
    pd.DataFrame([row for rows in sessions for row in rows]).to_parquet(path)
    return path


def source(path: Path, **changes: Any) -> CodingSessions:
    return CodingSessions(str(path), "recorded: made", **{"rate": 0.5, "sessions": 3, **changes})


def replay(source: CodingSessions, seed: int = 1) -> pd.DataFrame:
    return source.replay(*(np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(2)))


def test_calls_come_their_gap_after_the_answer_and_begin_as_the_one_before(tmp_path: Path) -> None:
    table = replay(source(stored(tmp_path, LONG), sessions=1))
    assert table["prompt_tokens"].tolist() == [200, 300, 256]
    assert table["output_tokens"].tolist() == [5, 7, 5]
    assert table["think"].tolist() == pytest.approx([np.nan, 10, 4], nan_ok=True)
    assert table["arrival"].nunique() == 1
    assert table["session"].tolist() == ["long (0)"] * 3
    first, second, third = table["prompt_ids"]
    assert [len(first), len(second), len(third)] == [4, 5, 4]
    assert second[:3] == first[:3]
    assert third[:2] == second[:2]
    assert len({*first, *second, *third}) == 4 + 2 + 2
    assert set(table["id_tokens"]) == {64}
    assert counted(table) == ""


def test_copies_and_sub_agents_are_told_apart(tmp_path: Path) -> None:
    path = stored(tmp_path, COPY, LONG, HELPER)
    calls = distinct(read_calls(path))
    assert calls.attrs["repeated"] == 0, "two calls are fewer than three"
    longer = session("longer", *({"input_tokens": size} for size in (200, 300, 256, 400)))
    calls = distinct(read_calls(stored(tmp_path, LONG, HELPER, longer)))
    assert set(calls["trace"]) == {"longer"}, "the sub-agents of a copy go with it"
    assert calls.attrs["repeated"] == 1
    table = replay(source(stored(tmp_path, LONG, HELPER), sessions=2))
    assert set(table["task"]) == {"main", "sub-agent"}
    assert table.groupby("task")["session"].nunique().tolist() == [1, 1]
    of = {task: {one for ids in rows["prompt_ids"] for one in ids} for task, rows in table.groupby("task")}
    assert not of["main"] & of["sub-agent"]


def test_what_does_not_fit_or_is_not_known_is_counted(tmp_path: Path) -> None:
    path = stored(tmp_path, ODD, session("huge", {"input_tokens": 800}, {"input_tokens": 100}))
    table = replay(source(path, sessions=1, max_context=500))
    assert table["prompt_tokens"].tolist() == [70, 140, 280]
    assert table["think"].tolist() == pytest.approx([np.nan, 10, 20], nan_ok=True), "90 s after a call 20 s before"
    assert table["prompt_ids"].iloc[2][:2] == table["prompt_ids"].iloc[1][:2], "over the call that was left out"
    assert counted(table) == "; ended_early: 1, bounded_think: 2, skipped: 1 (output_tokens is 0), refused: 2"
    assert replay(source(path, sessions=1, max_context=500), seed=2)["session"].iloc[0] == "odd (0)"
    with pytest.raises(TraceError, match="no session of up to 60 tokens falls in the replay part"):
        replay(source(path, max_context=60))


def test_more_sessions_than_there_are_share_nothing(tmp_path: Path) -> None:
    table = replay(source(stored(tmp_path, LONG), sessions=5))
    assert table["session"].nunique() == 5
    owners = {one: name for name, ids in zip(table["session"], table["prompt_ids"], strict=True) for one in ids}
    assert len(owners) == 5 * 8
    starts = table["arrival"].unique()
    assert (np.diff(starts) > 0).all()
    assert table.equals(replay(source(stored(tmp_path, LONG), sessions=5)))


def test_sessions_that_train_are_never_replayed(tmp_path: Path) -> None:
    path = stored(tmp_path, *(session(f"s{n}", {"input_tokens": 100 + n}, {"input_tokens": 300}) for n in range(40)))
    kept = source(path, training_share=0.3, sessions=200)
    replayed = set(replay(kept)["prompt_tokens"]) - {300}
    trained = set(kept.training()["prompt_tokens"]) - {300}
    assert replayed | trained == set(range(100, 140))
    assert not replayed & trained
    with pytest.raises(TraceError, match="no rows are kept for training"):
        source(path).training()


def test_prefix_caching_finds_what_was_recorded(tmp_path: Path) -> None:
    table = replay(source(stored(tmp_path, LONG, HELPER, ODD), sessions=4))
    cluster = Cluster((make_device(prefix_caching=True, kv_tokens=100_000, block_size=16),))
    done = simulate(to_requests(table), make_policy(), cluster, OraclePredictor(), record=Record.STEPS)
    recorded = {200: 0, 300: 3, 256: 2, 90: 0, 130: 1, 70: 0, 140: 1, 280: 2, 900: 4, 64: 0}  # 280: by 210, left out
    shared = sum(64 * recorded[tokens] for tokens in table["prompt_tokens"])
    assert done.steps["prefill_tokens"].sum() == table["prompt_tokens"].sum() - shared


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"input_tokens": 0}, "input_tokens 0 is below 1"),
        ({"output_tokens": -1}, "output_tokens -1 is not a number from 0"),
        ({"blocks": 9}, "blocks 9 is not input_tokens / 64"),
        ({"i": 0}, "i 0 is not above that of the call before it"),
        ({"t": -1.0}, "t -1.0 is not a number from 0"),
        ({"lcp_prev_blocks": 4}, "lcp_prev_blocks 4 is more than two prompts have"),
        ({"think_time": None}, "think_time nan is missing"),
        ({"trace": None}, "trace .* is not text"),
    ],
)
def test_a_bad_cell_is_named(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    rows = [dict(row) for row in LONG]
    rows[1] |= changes
    with pytest.raises(TraceError, match=rf"made.parquet, row 2: {said}"):
        read_calls(stored(tmp_path, rows))


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"rate": 0}, "rate must be positive"), ({"sessions": 0}, "sessions"), ({"max_context": 0}, "max_context")],
)
def test_bad_settings_are_named(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        source(tmp_path / "made.parquet", **changes)


def test_the_file_has_its_known_figures(shared_data: Path) -> None:
    path = shared_data / "traces" / "claude_code_sessions.parquet"
    found = figures(read_calls(path))
    assert (found["rows"], found["sessions"], found["repeated"], found["sub_agents"]) == (49334, 716, 57, 63)
    assert found["token_reuse"] == pytest.approx(0.973, abs=0.0005)
    assert (found["prompt_tokens_max"], found["new_tokens_p50"]) == (894371, 720)
    table = replay(source(path, sessions=6, max_context=131072))
    check(table, "drawn")
    assert table["session"].nunique() == 6
    assert (table["prompt_tokens"] + table["output_tokens"]).max() <= 131072
