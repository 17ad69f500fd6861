"""A recording of a pair is written without text and replayed with what one small model says at each token."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sim import Proposal
from traces.formats import parquet
from traces.operations import Clip
from traces.pair import Pair, read_pair, write_pair
from traces.requests import to_requests
from traces.schema import TraceError, check

MADE = {"exits": ["5", "5_aligned"], "max_tokens": 4, "model": "m", "weights": "real", "decoding": "greedy"}
ANSWERS = pd.DataFrame(
    {
        "message_id": ["a:0:0", "b:0:0"],
        "prompt_tokens": [7, 9],
        "output_tokens": [2, 1],
        "finish_reason": ["stop", "length"],
        "output_ids": [[5, 6], [7]],
        "confidence_5": [[0.12345, 1.0], [0.5]],
        "divergence_5": [[3.21987, 0.0], [0.25]],
        "agrees_5": [[False, True], [True]],
        "confidence_5_aligned": [[0.9, 0.8], [0.7]],
        "divergence_5_aligned": [[1.0, 2.0], [3.0]],
        "agrees_5_aligned": [[True, True], [False]],
    }
)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    write_pair(ANSWERS, tmp_path / "pair.parquet", {**MADE, "processor": "p", "date": "d"})
    return tmp_path / "pair.parquet"


def replayed(pair: Pair) -> pd.DataFrame:
    return pair.replay(np.random.default_rng(0), np.random.default_rng(1))


def test_what_was_recorded_comes_back_rounded_and_without_ids(recording: Path) -> None:
    table = read_pair(recording, "5")
    assert table["proposals"].tolist() == [[[0.123, 3.22, 0], [1.0, 0.0, 1]], [[0.5, 0.25, 1]]]
    assert table["max_tokens"].tolist() == [4, 4]
    assert "output_ids" not in pd.read_parquet(recording)
    assert read_pair(recording, "5_aligned")["proposals"].iloc[1] == [[0.7, 3.0, 0]]


def test_a_small_model_that_was_not_recorded_is_refused(recording: Path) -> None:
    with pytest.raises(TraceError, match="its small models are 5, 5_aligned, got '6'"):
        read_pair(recording, "6")


def test_each_answer_comes_once_or_more_are_drawn(recording: Path) -> None:
    once = replayed(Pair(2.0, 5, False, path=str(recording)))
    assert sorted(once["message_id"]) == ["a:0:0", "b:0:0"]
    assert len(replayed(Pair(2.0, 5, True, requests=30, path=str(recording)))) == 30
    assert "its own first 5 layers," in Pair(2.0, 5, False, path=str(recording)).provenance
    requests = to_requests(once)
    assert {len(one.truth.proposals) == one.truth.output_tokens for one in requests} == {True}
    assert Proposal(0.5, 0.25, True) in {one.truth.proposals[0] for one in requests}


def test_none_is_kept_for_training(recording: Path) -> None:
    with pytest.raises(TraceError, match="training"):
        Pair(2.0, 5, False, path=str(recording)).training()


def test_proposals_go_through_a_trace_file_and_end_with_a_clipped_answer(recording: Path, tmp_path: Path) -> None:
    table = read_pair(recording, "5")
    parquet.write(table, tmp_path / "trace.parquet", {})
    again = parquet.read(tmp_path / "trace.parquet")
    assert to_requests(again) == to_requests(table)
    clipped = Clip(8)(again, np.random.default_rng(0))
    assert [len(one.truth.proposals) for one in to_requests(clipped)] == [1, 1]


@pytest.mark.parametrize(
    "cell", [[[0.5, 1.0, 1]], [[0.5, 1.0, 1], [1.5, 1.0, 1]], [[0.5, 1.0, 1], [0.5, -1.0, 0]], [[0.5, 1.0, 2]] * 2, 3]
)
def test_proposals_that_are_none_are_refused(cell: object) -> None:
    table = pd.DataFrame({"arrival": [0.0], "prompt_tokens": [1], "output_tokens": [2], "proposals": [cell]})
    with pytest.raises(TraceError, match=r"proposals .* one for each output token"):
        check(table, "made")


def test_the_shipped_recording_is_small_and_says_what_it_is() -> None:
    table = read_pair(Pair(1.0, 10, True)._file, "10_aligned")
    assert Pair(1.0, 10, True)._file.stat().st_size < 300_000
    made = table.attrs["provenance"]
    assert made.keys() >= {"weights_sha256", "versions", "processor", "date", "command", "threads", "population"}
    assert len(table) == made["messages"]
    assert set(pd.read_parquet(Pair(1.0, 10, True)._file)) == {
        *("message_id", "prompt_tokens", "output_tokens", "finish_reason"),
        *(f"{kind}_{small}" for small in made["exits"] for kind in ("confidence", "divergence", "agrees")),
    }
