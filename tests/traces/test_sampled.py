"""Requests with calls drawn as InferCept's benchmark draws them, and what the engine is told of their calls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from sim import Pause
from traces.calls import context, ended
from traces.formats import infercept
from traces.requests import to_requests
from traces.sampled import Sampled
from traces.schema import TraceError, check

CONF = Path(__file__).parents[2] / "experiments" / "conf"
CALLS = [[10, 5, 0.5, 7, 1], [22, 4, 20.0, 3, 1], [29, 6, 0.0, 0, 1]]


def stored(folder: Path, rows: int = 20) -> str:
    data = [
        {
            "key": f"r{row}",
            "cls": "math" if row % 4 else "qa",
            "segs": [[10 + row, *CALLS[0][1:]], [22 + row, 9, 0, 0, 1]],
        }
        for row in range(rows)
    ]
    path = folder / "made.json"
    path.write_text(json.dumps({"cols": [*infercept.COLUMNS, infercept.EXACT], "data": data}))
    return str(path)


def source(folder: Path, **changes: Any) -> Sampled:
    settings = {"rate": 2.5, "seconds": 100.0, **changes}
    return Sampled(stored(folder), infercept.load, "recorded: made", **settings)


def replay(source: Sampled, seed: int = 1) -> pd.DataFrame:
    return source.replay(*(np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(2)))


def test_pauses_become_what_is_true_of_a_request() -> None:
    pauses = [[[2, 0.5, 7], [np.int64(4), np.float64(20), np.int64(0)]], [], [[5, 0, 0]]]
    table = check(
        pd.DataFrame({"arrival": [0.0, 1, 2], "prompt_tokens": 10, "output_tokens": 6, "pauses": pauses}), "made"
    )
    found = [request.truth.pauses for request in to_requests(table)]
    assert found == [(Pause(2, 0.5, 7), Pause(4, 20.0, 0)), (), ()], "a call of no time that returns nothing is none"
    assert [type(one) for one in found[0][1]] == [int, float, int]
    assert [request.truth.pauses for request in to_requests(table.drop(columns="pauses"))] == [()] * 3


def test_rows_are_drawn_with_replacement_and_arrive_as_in_the_benchmark(tmp_path: Path) -> None:
    table = replay(source(tmp_path, rate=2.5, seconds=4000.0))
    assert table["arrival"].iloc[:4].tolist() == [0, 0, 0, pytest.approx(table["arrival"].iloc[3])]
    assert table["arrival"].iloc[3] > 0, "int(2.5) + 1 of them at 0"
    assert table["arrival"].iloc[-1] < 4000
    assert len(table) == pytest.approx(10_000, abs=400)  # 4 standard deviations
    keys = table["request_id"].str.extract(r"^r(\d+) \((\d+)\)$").astype(int)
    assert keys[1].tolist() == list(range(len(table)))
    assert keys[0].value_counts().between(350, 650).all()
    assert (table["prompt_tokens"] == 10 + keys[0]).all()
    assert table.attrs["read"] == 20
    assert table.attrs["cut"] == 0
    assert (
        "drawn with replacement; Poisson arrivals at 2.5 requests/s, the first 3 at once" in source(tmp_path).provenance
    )


def test_seeds_are_paired_over_rates_and_tasks(tmp_path: Path) -> None:
    one, other = (replay(source(tmp_path, rate=rate, seconds=None, requests=50)) for rate in (2.0, 4.0))
    assert one["request_id"].tolist() == other["request_id"].tolist()
    assert one["arrival"].iloc[5:].tolist() == pytest.approx((2 * other["arrival"].iloc[5:]).tolist())
    both = replay(source(tmp_path, requests=50, seconds=10.0))
    assert len(both) < 50
    assert both["arrival"].tolist() == replay(source(tmp_path))["arrival"].tolist()[: len(both)]
    assert (replay(source(tmp_path, burst=0))["arrival"] > 0).all()
    assert not one.equals(replay(source(tmp_path, rate=2.0, seconds=None, requests=50), seed=2))
    qa = replay(source(tmp_path, tasks=["qa"]))
    assert set(qa["task"]) == {"qa"}
    assert qa.attrs["read"] == 20


def test_an_answer_ends_at_the_model_s_bound_and_at_the_request_s_own() -> None:
    pauses = [[[5, 0.5, 7], [9, 20.0, 3]]]
    table = pd.DataFrame({"arrival": [0.0], "prompt_tokens": 10, "output_tokens": 15, "pauses": pauses})
    assert context(table).tolist() == [35]
    for longest, output, calls in (
        (35, 15, 2), (34, 14, 2), (30, 10, 2), (29, 9, 1), (27, 9, 1), (26, 9, 1), (25, 8, 1), (23, 6, 1), (22, 5, 0),
        (16, 5, 0), (15, 5, 0), (14, 4, 0), (11, 1, 0),
    ):  # fmt: skip
        found = ended(table, np.array([longest]))
        assert (found["output_tokens"].tolist(), len(found["pauses"][0])) == ([output], calls), longest
        assert context(check(found, "ended"))[0] <= longest
    with pytest.raises(ValueError, match="a prompt of 10 tokens has no room in 10 tokens"):
        ended(table, np.array([10]))


def test_what_is_ended_is_counted(tmp_path: Path) -> None:
    whole = replay(source(tmp_path))
    table = replay(source(tmp_path, max_context=40, max_tokens=20))
    assert table["request_id"].tolist() == whole["request_id"].tolist()
    assert table.attrs["cut"] == (context(table) < context(whole)).sum() > 0
    assert context(table).max() == 40
    assert set(table["max_tokens"]) == {20}, "the least of 20 and of the 21 that a request makes and is returned"
    assert table["output_tokens"].max() == 13


def test_rows_that_train_are_never_replayed(tmp_path: Path) -> None:
    kept = source(tmp_path, training_share=0.3)
    trained = set(kept.training()["request_id"])
    assert 0 < len(trained) < 20
    assert not trained & set(replay(kept)["request_id"].str.split().str[0])
    with pytest.raises(TraceError, match=r"made.json: no rows are kept for training"):
        source(tmp_path).training()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seconds": None}, "requests, seconds or both must be given, got null for both"),
        ({"seconds": -1.0}, "seconds must be positive and finite, got -1.0"),
        ({"rate": 0.0}, "rate must be positive and finite, got 0.0"),
        ({"burst": -1}, "burst must not be negative, got -1"),
        ({"training_share": 1.0}, "training_share must be from 0 to below 1, got 1.0"),
        ({"max_context": 0}, "max_context must be positive and finite, got 0"),
        ({"tasks": ["ve", "qa"]}, r"made.json: no task ve; it has math, qa"),
    ],
)
def test_bad_settings_are_named(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replay(source(tmp_path, **changes))


@pytest.mark.parametrize(
    ("name", "calls"), [("infercept", 4.64), ("infercept_single", 1.0), ("infercept_half_plain", 0.5)]
)
def test_the_yamls_draw_from_the_published_files(shared_data: Path, name: str, calls: float) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=[f"trace={name}"])
    table = replay(instantiate(OmegaConf.create(OmegaConf.to_yaml(cfg.trace, resolve=True)), _convert_="all"))
    rate = OmegaConf.select(cfg, "trace.rate") or cfg.trace.source.rate
    assert len(table) == pytest.approx(1800 * rate, abs=4 * (1800 * rate) ** 0.5)
    assert (table["arrival"] == 0).sum() == int(rate) + 1
    assert context(table).max() == 2048
    assert table["pauses"].map(len).mean() == pytest.approx(calls, abs=0.2)
    assert set(table["task"]) == {"math", "qa", "ve", "chatbot", "image", "tts"}
    assert all(request.truth.pauses for request in to_requests(table.head(50))) is (calls >= 1)
