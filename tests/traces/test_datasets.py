"""The files of prompts that vLLM's and SGLang's benchmarks read: what becomes a request, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from traces.formats import sglang_dataset, vllm_dataset
from traces.schema import TraceError

Load = Callable[..., pd.DataFrame]
LOADERS = [vllm_dataset.load, sglang_dataset.load]


def words(text: str) -> int:
    return len(text.split())


def made(folder: Path, name: str, *rows: Any) -> Path:
    path = folder / name
    path.write_text(json.dumps(rows) if name.endswith(".json") else "\n".join(map(json.dumps, rows)) + "\n")
    return path


def chat(*texts: Any, key: str = "value", named: str = "conversations") -> dict[str, Any]:
    return {"id": "x", named: [{"from": "human", key: text} for text in texts]}


def lengths(table: pd.DataFrame) -> list[tuple[int, int]]:
    assert table["arrival"].eq(0).all()
    return list(zip(table["prompt_tokens"].tolist(), table["output_tokens"].tolist(), strict=True))


@pytest.mark.parametrize("load", LOADERS)
def test_the_first_two_turns_of_sharegpt_are_prompt_and_answer(tmp_path: Path, load: Load) -> None:
    path = made(tmp_path, "made.json", chat("what is it", "a cat", "no"), chat("so", "one two three four"))
    table = load(path, count_tokens=words)
    assert table["prompt_text"].tolist() == ["what is it", "so"]
    assert lengths(table) == [(3, 2), (1, 4)]


def test_a_custom_prompt_of_vllm_has_its_own_output_tokens(tmp_path: Path) -> None:
    path = made(
        tmp_path, "made.jsonl", {"prompt": "what is it", "output_tokens": 7, "note": "other names are not read"}
    )
    table = vllm_dataset.load(path, count_tokens=words)
    assert table["prompt_text"].tolist() == ["what is it"]
    assert lengths(table) == [(3, 7)]


def test_sglang_reads_conversations_and_messages_from_lines(tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "what is it"}]
    rows = (
        chat("one two", "three", key="content"),
        chat("one", "two three", named="conversation"),
        {"messages": messages, "max_tokens": 9, "temperature": 0},
    )
    table = sglang_dataset.load(made(tmp_path, "made.jsonl", *rows), count_tokens=words)
    assert table["prompt_text"].tolist() == ["one two", "one", "be brief\nwhat is it"]
    assert lengths(table) == [(2, 1), (1, 2), (5, 9)]


@pytest.mark.parametrize("load", LOADERS)
@pytest.mark.parametrize(
    ("bad", "said", "reason"),
    [
        (7, "it is not an object", "not an object"),
        ({}, "conversations is missing", "conversations is missing"),
        (chat("alone"), "conversations has not two turns", "conversations has not two turns"),
        ({"conversations": ["a", "b"]}, "conversations has not two turns", "conversations has not two turns"),
        (chat("a", None), "turn 2: value None is not text", "value is not text"),
        (chat("a", "\udc00"), "turn 2: value .* is not text", "value is not text"),
        (chat("", "b"), "prompt_tokens 0 is below 1", "prompt_tokens is below 1"),
        (chat("a", ""), "output_tokens 0 is below 1", "output_tokens is below 1"),
    ],
)
def test_a_bad_conversation_is_named_or_counted(tmp_path: Path, load: Load, bad: Any, said: str, reason: str) -> None:
    path = made(tmp_path, "made.json", chat("a", "b"), bad, chat("c", "d"))
    with pytest.raises(TraceError, match=f"made.json, row 2[:,] {said}"):
        load(path, count_tokens=words)
    table = load(path, count_tokens=words, skip_bad=True)
    assert table["prompt_text"].tolist() == ["a", "c"]
    assert table.attrs["skipped"] == {reason: 1}


@pytest.mark.parametrize(
    ("load", "row", "said"),
    [
        (vllm_dataset.load, {"output_tokens": 3}, "line 1: prompt is missing"),
        (vllm_dataset.load, {"prompt": "a"}, "line 1: output_tokens is missing"),
        (vllm_dataset.load, {"prompt": "a", "output_tokens": 2.5}, "line 1: output_tokens 2.5 is not a whole number"),
        (vllm_dataset.load, {"prompt": "a", "output_tokens": 0}, "line 1: output_tokens 0 is below 1"),
        (sglang_dataset.load, {"messages": []}, "line 1: messages is no list of objects"),
        (sglang_dataset.load, {"messages": [{"role": "user"}]}, "line 1, message 1: content is missing"),
        (
            sglang_dataset.load,
            {"messages": [{"content": [{"type": "text"}]}]},
            "line 1, message 1: content .* is not text",
        ),
        (sglang_dataset.load, {"messages": [{"content": "a"}]}, "line 1: max_tokens is missing"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, load: Load, row: Any, said: str) -> None:
    path = made(tmp_path, "made.jsonl", row)
    with pytest.raises(TraceError, match=f"made.jsonl, {said}"):
        load(path, count_tokens=words)


@pytest.mark.parametrize("load", LOADERS)
def test_lengths_are_not_guessed_and_other_files_are_refused(tmp_path: Path, load: Load) -> None:
    for skip_bad in (False, True):
        with pytest.raises(TraceError, match=r"made.json, row 1: .* give count_tokens"):
            load(made(tmp_path, "made.json", chat("a", "b")), skip_bad=skip_bad)
    (tmp_path / "object.json").write_text("{}")
    with pytest.raises(TraceError, match=r"object.json: it is not a list"):
        load(tmp_path / "object.json", count_tokens=words)
