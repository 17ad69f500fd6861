"""The InferCept loader against made segments, broken ones, and the published files' figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from traces.formats.infercept import COLUMNS, EXACT, load, load_with_last_calls
from traces.schema import TraceError

THREE = [[392, 127, 0.5, 21, 1], [540, 47, 0.25, 23, 1], [610, 48, 0.0, 0, 1]]
ROUNDED = [[6, 64, 13.5, 7, 0], [78, 64, 8.5, 4, 0], [145, 9, 1.0, -2, 0]]  # as characters / 4, each off by one token


def made(folder: Path, *requests: Any, **changes: Any) -> Path:
    path = folder / "made.json"
    path.write_text(json.dumps({"cols": [*COLUMNS, EXACT], "data": requests, **changes}))
    return path


def request(key: str, segments: Any, **changes: Any) -> dict[str, Any]:
    return {"key": key, "cls": "math", "segs": segments, **changes}


def test_segments_become_pauses(tmp_path: Path) -> None:
    table = load(made(tmp_path, request("a", THREE), request("b", ROUNDED, cls="chatbot"), request("c", THREE[:1])))
    assert table["request_id"].tolist() == ["a", "b", "c"]
    assert table["task"].tolist() == ["math", "chatbot", "math"]
    assert table["arrival"].tolist() == [0, 0, 0]
    assert table["prompt_tokens"].tolist() == [392, 6, 392]
    assert table["output_tokens"].tolist() == [222, 137, 127]
    assert table["pauses"].tolist() == [[[127, 0.5, 21], [174, 0.25, 23]], [[64, 13.5, 7], [128, 8.5, 4]], []]


def test_a_call_that_ends_a_request_is_left_out_or_followed_by_a_token(tmp_path: Path) -> None:
    free = [*THREE[:2], [610, 48, 0, 9, 1]]
    path = made(tmp_path, request("a", THREE), request("b", ROUNDED), request("c", free))
    assert load(path)["pauses"].map(len).tolist() == [2, 2, 2]
    table = load_with_last_calls(path)
    assert table["output_tokens"].tolist() == [222, 138, 223]
    assert [pauses[2:] for pauses in table["pauses"]] == [[], [[137, 1.0, 0]], [[222, 0, 9]]]
    assert table.drop(columns=["pauses", "output_tokens"]).equals(load(path).drop(columns=["pauses", "output_tokens"]))


def changed(segment: int, cell: int, value: Any) -> list[list[Any]]:
    segments = [list(one) for one in THREE]
    segments[segment][cell] = value
    return segments


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (7, "it is not an object"),
        ({"key": "x", "cls": "math"}, "segs is missing"),
        (request("x", []), "segs is empty"),
        (request("x", "none"), "segs 'none' is not a list"),
        (request("x", [THREE[0][:4]]), r"segment 1: \[392, .* is no list of 5"),
        (request("x", changed(1, 0, 541)), "segment 2: .* 541 is not the 540 tokens that are before it"),
        (request("x", changed(1, 4, True)), r"segment 2: exact.* True is not a whole number"),
        (request("x", changed(0, 2, "1")), "segment 1: api_time_s '1' is not a finite number of 64 bits"),
        (request("x", changed(0, 2, float("nan"))), "segment 1: api_time_s nan is not a finite number of 64 bits"),
        (request("x", changed(0, 2, -0.5)), "segs .* are not .*tokens emitted before"),
        (request("x", changed(2, 1, 0)), "segs .* are not .*tokens emitted before"),
        (request(7, THREE), "key 7 is not text"),
        (request("\ud800", THREE), "key .* is not text"),
        (request("a", THREE), "key 'a' was there before"),
    ],
)
def test_a_bad_request_is_named_or_counted(tmp_path: Path, bad: Any, said: str) -> None:
    path = made(tmp_path, request("a", THREE), bad, request("c", ROUNDED))
    with pytest.raises(TraceError, match=f"made.json, row 2[:,] {said}"):
        load(path)
    table = load(path, skip_bad=True)
    assert table["request_id"].tolist() == ["a", "c"]
    assert list(table.attrs["skipped"].values()) == [1]


@pytest.mark.parametrize("content", ["[]", "{}", "{", "[" * 100_000, '{"cols": [], "data": []}'])
def test_another_json_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "made.json"
    path.write_text(content)
    with pytest.raises(TraceError, match=r"made.json: "):
        load(path, skip_bad=True)


def test_a_file_without_requests_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"made.json: no rows"):
        load(made(tmp_path))
    with pytest.raises(TraceError, match="data 7 is not a list"):
        load(made(tmp_path, data=7))


def test_the_published_files_have_their_known_figures(shared_data: Path) -> None:
    several = load(shared_data / "traces" / "infercept_multi.json.gz")
    one = load(shared_data / "traces" / "infercept_single.json.gz")
    classes = {"math": 98, "chatbot": 65, "tts": 65, "image": 65, "ve": 54, "qa": 50}
    for table in (several, one):
        assert table["task"].value_counts().to_dict() == classes
    assert one["pauses"].map(len).eq(1).all()
    all_calls = load_with_last_calls(shared_data / "traces" / "infercept_multi.json.gz")["pauses"].map(len)
    means = {name: round(mean, 2) for name, mean in all_calls.groupby(several["task"]).mean().items()}
    assert means == {"math": 2.81, "qa": 3.04, "ve": 5.35, "chatbot": 3.46, "image": 6.92, "tts": 6.92}
    calls = several["pauses"].map(len).groupby(several["task"]).mean()
    assert calls["math"] == pytest.approx(2.81, abs=0.005)
    assert calls["qa"] == pytest.approx(3.04, abs=0.005)
    outputs = several.groupby("task")["output_tokens"].mean()
    assert outputs["qa"] == pytest.approx(741, abs=0.5)
    assert outputs["chatbot"] == pytest.approx(528, abs=0.5)
