"""The prompt files of vLLM's and SGLang's benchmarks, made and read back by plain Python."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

from tests.tracefuzz.formats import Format
from tests.tracefuzz.reading import (
    Line,
    Reading,
    Unreadable,
    Verdict,
    count,
    document,
    is_text,
    json_lines,
    json_number,
    may_extra,
)
from tests.tracefuzz.sheet import Sheet, json_row, row_count
from traces.formats import sglang_dataset, vllm_dataset


def words(rng: Random) -> str:
    return " ".join(rng.choice(("why", "is", "the", "sky", "blue?")) for _ in range(rng.randint(1, 9)))


def count_words(text: str) -> int:
    """Stands in for a tokenizer."""
    return len(text.split())


def _said(line: Line, prompt: Any, answer: float | None) -> None:
    """A request with a prompt's text and an answer of so many tokens."""
    if not is_text(prompt):
        line.worse(Verdict.BAD, "prompt is no text")
        return
    line.values = {"arrival": 0.0, "prompt_text": prompt, "prompt_tokens": count(line, "prompt", count_words(prompt))}
    line.values["output_tokens"] = count(line, "answer", answer)


def make_custom(rng: Random) -> Sheet:
    return Sheet([json_row(prompt=words(rng), output_tokens=rng.randint(1, 900)) for _ in range(row_count(rng))])


def read_custom(content: bytes, name: str) -> Reading:
    found, may = json_lines(content, name)
    for line, row in found:
        _said(line, row.get("prompt"), json_number(line, "output_tokens", row, whole=True))
        may_extra(line, row, {"prompt", "output_tokens"})
    return Reading([line for line, _ in found], may=may)


def make_openai(rng: Random) -> Sheet:
    rows = []
    for _ in range(row_count(rng)):
        messages = [{"role": "user", "content": words(rng)} for _ in range(rng.randint(1, 3))]
        rows.append(json_row(messages=messages, max_tokens=rng.randint(1, 900)))
    return Sheet(rows)


def read_openai(content: bytes, name: str) -> Reading:
    found, may = json_lines(content, name)
    for line, row in found:
        if "messages" not in row and set(row) & {"conversation", "conversations"}:
            _talk(line, row)
            continue
        messages = row.get("messages")
        sound = isinstance(messages, list) and messages and all(isinstance(one, dict) for one in messages)
        parts = [one.get("content") for one in messages] if sound else [None]
        prompt = "\n".join(parts) if all(is_text(part) for part in parts) else None
        _said(line, prompt, json_number(line, "max_tokens", row, whole=True))
        may_extra(line, row, {"messages", "max_tokens"})
    return Reading([line for line, _ in found], may=may)


def make_talks(rng: Random) -> Sheet:
    rows = []
    for number in range(row_count(rng)):
        turns = [{"from": "human", "value": words(rng)} for _ in range(rng.randint(2, 4))]
        rows.append(json_row(id=f"c{number}", conversations=turns))
    return Sheet(rows, opening="[", joint=",", closing="]")


def make_talk_lines(rng: Random) -> Sheet:
    return Sheet(make_talks(rng).rows)


def _talk(line: Line, row: Any) -> None:
    if not isinstance(row, dict):
        line.worse(Verdict.BAD, "no object")
        return
    turns = row.get("conversation", row.get("conversations"))
    if not isinstance(turns, list) or len(turns) < 2 or not all(isinstance(turn, dict) for turn in turns[:2]):
        line.worse(Verdict.BAD, "no two turns")
        return
    prompt, answer = (turn.get("content", turn.get("value")) for turn in turns[:2])
    if not is_text(answer):
        line.worse(Verdict.BAD, "answer is no text")
        return
    _said(line, prompt, count_words(answer))
    may_extra(line, row, {"id", "conversations"})


def read_talks(content: bytes, name: str) -> Reading:
    found, may = document(content, name)
    if not isinstance(found, list) or not found:
        raise Unreadable("no list")
    lines = []
    for row in found:
        lines.append(Line())
        _talk(lines[-1], row)
    return Reading(lines, may=may)


def read_talk_lines(content: bytes, name: str) -> Reading:
    found, may = json_lines(content, name)
    for line, row in found:
        if "messages" in row:
            line.worse(Verdict.MAY, "both formats")
        _talk(line, row)
    return Reading([line for line, _ in found], may=may)


VLLM = partial(vllm_dataset.load, count_tokens=count_words)
SGLANG = partial(sglang_dataset.load, count_tokens=count_words)
LINES = (".jsonl", ".jsonl.gz")
FORMATS = (
    Format("vllm_custom", LINES, make_custom, read_custom, VLLM, described=False),
    Format("vllm_sharegpt", (".json", ".json.gz"), make_talks, read_talks, VLLM, described=False),
    Format("sglang_openai", LINES, make_openai, read_openai, SGLANG, described=False),
    Format("sglang_custom", LINES, make_talk_lines, read_talk_lines, SGLANG, described=False),
)
