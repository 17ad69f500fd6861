"""The files of prompts that vLLM's benchmark reads (vllm-project/vllm, `vllm bench serve`): `custom` and `sharegpt`.

Custom is jsonl of {"prompt": ..., "output_tokens": ...}; ShareGPT a json list of {"conversations": [{"value": ...}]},
of which the first turn is the prompt and the second the answer. vLLM leaves out conversations of less than two turns,
and requests that are very short or long: here the first are bad rows, and lengths are left to `traces.operations`.
Its `timed-trace` files are read by `traces.formats.mooncake` and `qwen_bailian`. Run on made rows alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from traces.files import RowError, field, parse_json, read_bytes, read_json_lines, read_rows
from traces.schema import TraceError, check

CountTokens = Callable[[str], int]


def load(path: Path, *, skip_bad: bool = False, count_tokens: CountTokens | None = None) -> pd.DataFrame:
    """The prompts in a custom (jsonl) or ShareGPT (json) file, plain or gzipped; all arrive at 0, for the file has no
    arrivals: `traces.operations.pair` gives them some.

    `count_tokens` says how many tokens a text has, without those of a chat template; TraceError without it, for the
    files do not say. TraceError names place, field and value of what is wrong, such as a custom prompt without
    output_tokens; `skip_bad` drops and counts bad rows instead (but not a broken file).
    """
    lines = ".jsonl" in path.suffixes
    if lines:
        table = read_json_lines(path, lambda place, row: _custom(place, row, count_tokens), skip_bad=skip_bad)
    else:
        table = read_conversations(path, count_tokens, skip_bad)
    return check(table, str(path), first_line=1 if lines else None, skip_bad=skip_bad)


def read_conversations(path: Path, count_tokens: CountTokens | None, skip_bad: bool) -> pd.DataFrame:
    """A request for each conversation of a file that is one json list of them; TraceError if it is not."""
    found = parse_json(str(path), read_bytes(path).decode())
    if not isinstance(found, list):
        raise TraceError(f"{path}: it is not a list")
    rows = ((f"{path}, row {number}", entry) for number, entry in enumerate(found, start=1))
    return read_rows(path, rows, lambda place, row: conversation(place, row, count_tokens), skip_bad)


def conversation(place: str, row: Any, count_tokens: CountTokens | None) -> dict[str, Any]:
    """The request of a conversation's first two turns, with its text under `value` (or `content`, as SGLang has it)."""
    if not isinstance(row, dict):
        raise RowError(f"{place}: it is not an object", "not an object")
    named = "conversation" if "conversation" in row else "conversations"
    turns = field(place, row, named, list)[:2]
    if len(turns) < 2 or not all(isinstance(turn, dict) for turn in turns):
        raise RowError(f"{place}: {named} has not two turns", f"{named} has not two turns")
    prompt, answer = (
        field(f"{place}, turn {number}", turn, "content" if "content" in turn else "value", str)
        for number, turn in enumerate(turns, start=1)
    )
    return request(place, prompt, tokens(place, answer, count_tokens), count_tokens)


def request(place: str, prompt: str, output_tokens: int, count_tokens: CountTokens | None) -> dict[str, Any]:
    """The row of a request that has no arrival; TraceError without `count_tokens`."""
    prompt_tokens = tokens(place, prompt, count_tokens)
    return {"arrival": 0.0, "prompt_tokens": prompt_tokens, "output_tokens": output_tokens, "prompt_text": prompt}


def tokens(place: str, text: str, count_tokens: CountTokens | None) -> int:
    """How many tokens `text` has; TraceError without `count_tokens`."""
    if count_tokens is None:
        raise TraceError(f"{place}: it has text but no count of its tokens: give count_tokens, a tokenizer's")
    return count_tokens(text)


def _custom(place: str, row: dict[str, Any], count_tokens: CountTokens | None) -> dict[str, Any]:
    return request(place, field(place, row, "prompt", str), field(place, row, "output_tokens", int), count_tokens)
