"""A recording is replayed message by message; its two halves never mix, and it holds no text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from traces.kinds import KINDS
from traces.recorded import RECORDING, Recorded, read_recording, with_scores, write_recording
from traces.schema import TraceError
from traces.split import in_training
from traces.text import chitchat
from traces.text.word_rules import rule_scores

PROVENANCE = {
    "model": "made",
    "weights": "real",
    "decoding": "greedy",
    "max_tokens": 9,
    "processor": "none",
    "date": "2026-01-01",
}


def answers(rows: int = 60, **columns: Any) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "message_id": [f"c:{row}:0" for row in range(rows)],
            "prompt_tokens": np.arange(rows) + 1,
            "output_tokens": np.arange(rows) % 9 + 1,
            "first_token_seconds": 0.1,
            "seconds": 0.5,
            "finish_reason": "stop",
            **dict.fromkeys(KINDS, 1.0),
            **columns,
        }
    )


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "made.parquet"
    write_recording(answers(), path, PROVENANCE)
    return path


def replay(source: Recorded, seed: int = 0) -> pd.DataFrame:
    return source.replay(np.random.default_rng(seed), np.random.default_rng(seed + 1))


def test_a_recording_comes_back_as_it_was_written(recording: Path) -> None:
    table = read_recording(recording)
    assert table.to_dict("list") == answers()[list(RECORDING)].to_dict("list")
    assert table.attrs["provenance"] == PROVENANCE


def test_replay_and_training_share_no_message_and_leave_none_out(recording: Path) -> None:
    source = Recorded(rate=2.0, path=str(recording))
    replayed, trained = set(replay(source)["message_id"]), set(source.training()["message_id"])
    assert not replayed & trained
    assert replayed | trained == set(answers()["message_id"])
    assert len(trained) > 15 < len(replayed)


def test_the_split_is_by_id_whatever_the_order_and_the_other_rows(recording: Path, tmp_path: Path) -> None:
    fewer = tmp_path / "fewer.parquet"
    write_recording(answers().iloc[::-2], fewer, PROVENANCE)
    whole, part = Recorded(2.0, path=str(recording)), Recorded(2.0, path=str(fewer))
    assert set(part.training()["message_id"]) < set(whole.training()["message_id"])


def test_a_key_is_in_training_by_its_share_alone() -> None:
    keys = [f"{number}:a" for number in range(4000)]
    for share in (0.1, 0.5, 0.9):
        assert np.mean([in_training(key, share) for key in keys]) == pytest.approx(share, abs=0.03)
    assert {key for key in keys if in_training(key, 0.1)} < {key for key in keys if in_training(key, 0.5)}


def test_replay_permutes_or_bootstraps_and_follows_its_seed(recording: Path) -> None:
    source = Recorded(rate=2.0, path=str(recording))
    table = replay(source)
    assert table["message_id"].is_unique
    assert table.equals(replay(source))
    assert table["message_id"].tolist() != replay(source, 5)["message_id"].tolist()
    assert (table["max_tokens"] == 9).all()
    known = answers().set_index("message_id")["output_tokens"]
    assert table["output_tokens"].tolist() == known[table["message_id"]].tolist()
    assert len(replay(Recorded(2.0, 7, str(recording)))) == 7
    many = replay(Recorded(2.0, 4000, str(recording)))
    assert set(many["message_id"]) == set(table["message_id"])
    assert 3999 / (many["arrival"].iloc[-1] - many["arrival"].iloc[0]) == pytest.approx(2.0, rel=0.06)


def test_a_text_comes_from_the_chat_package_when_asked_for(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "prompt_text" not in replay(Recorded(2.0, path=str(recording)))
    monkeypatch.setattr(chitchat, "messages", lambda: {key: f"about {key}" for key in answers()["message_id"]})
    table = replay(Recorded(2.0, path=str(recording), with_text=True))
    assert (table["prompt_text"] == "about " + table["message_id"]).all()
    scored = with_scores(answers(), scorer="words")
    assert tuple(scored.loc[3, list(KINDS)]) == rule_scores("about c:3:0")


def test_provenance_says_what_is_recorded_and_what_is_not(recording: Path) -> None:
    line = Recorded(2.0, path=str(recording)).provenance
    assert line.startswith("recorded: made (real weights, greedy)")
    assert "cut at 9 tokens" in line
    assert line.endswith("Poisson arrivals, synthetic")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"output_tokens": 10}, "row 1: output_tokens 10 is above max_tokens"),
        ({"prompt_tokens": 0}, "row 1: prompt_tokens 0 is below 1"),
        ({"seconds": 0.05}, "row 1: seconds 0.05 is before measured_first_token"),
        ({"message_id": "same"}, "row 2: message_id same was recorded before"),
        ({"first_token_seconds": 0.0}, "row 1: first_token_seconds 0.0 is not above 0"),
        ({"seconds": "soon"}, "row 1: seconds 'soon' is not a number"),
        ({"finish_reason": 7}, "row 1: finish_reason 7 is not text"),
        ({"prompt_text": "hello"}, "unknown column 'prompt_text'"),
    ],
)
def test_a_bad_recording_is_not_written(tmp_path: Path, columns: dict[str, Any], said: str) -> None:
    with pytest.raises(TraceError, match=said):
        write_recording(answers(**columns), tmp_path / "bad.parquet", PROVENANCE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("longest", [None, 0, True, "9", [9], 9.5, 10**400])
def test_a_recording_states_the_longest_answer_that_was_asked_for(tmp_path: Path, longest: object) -> None:
    with pytest.raises(TraceError, match=r"max_tokens is .*, not a number of tokens"):
        write_recording(answers(), tmp_path / "bad.parquet", {**PROVENANCE, "max_tokens": longest})


def test_wrong_options_and_empty_parts_are_named(tmp_path: Path) -> None:
    for options, said in (
        ({"rate": 0.0}, "rate .* got 0"),
        ({"rate": 1.0, "requests": 0}, "requests .* got 0"),
        ({"rate": 1.0, "training_share": 1.0}, "training_share .* got 1"),
    ):
        with pytest.raises(ValueError, match=said):
            Recorded(**options)
    path = tmp_path / "one.parquet"
    write_recording(answers(1), path, PROVENANCE)
    with pytest.raises(TraceError, match="none of its 1 messages falls in the"):
        (Recorded(1.0, path=str(path)).training(), replay(Recorded(1.0, path=str(path))))
