"""The files of prompts that SGLang's benchmark reads (sgl-project/sglang, `bench_serving`): sharegpt, custom, openai.

ShareGPT is a json list of conversations (as vLLM's). Custom is jsonl of the same, whose turns have their text under
`content` or `value`. openai is jsonl of {"messages": [{"role": ..., "content": ...}, ...], "max_tokens": ...}, where
max_tokens is taken for the answer's length, as SGLang does; SGLang takes 256 where it is missing, here it is refused.
Its `mooncake` files are read by `traces.formats.mooncake`. Run on made rows alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from traces.files import RowError, field, read_json_lines
from traces.formats.vllm_dataset import CountTokens, conversation, read_conversations, request
from traces.schema import check


def load(path: Path, *, skip_bad: bool = False, count_tokens: CountTokens | None = None) -> pd.DataFrame:
    """The prompts in a custom or openai (jsonl) or ShareGPT (json) file, plain or gzipped; all arrive at 0, for it has
    no arrivals: `traces.operations.pair` gives them some.

    The prompt of an openai row is its messages' contents, a line between; its tools are left out. For `count_tokens`,
    errors and `skip_bad` see `traces.formats.vllm_dataset.load`.
    """
    lines = ".jsonl" in path.suffixes
    if lines:
        table = read_json_lines(path, lambda place, row: _line(place, row, count_tokens), skip_bad=skip_bad)
    else:
        table = read_conversations(path, count_tokens, skip_bad)
    return check(table, str(path), first_line=1 if lines else None, skip_bad=skip_bad)


def _line(place: str, row: dict[str, Any], count_tokens: CountTokens | None) -> dict[str, Any]:
    if "messages" not in row:
        return conversation(place, row, count_tokens)
    messages = field(place, row, "messages", list)
    if not messages or not all(isinstance(one, dict) for one in messages):
        raise RowError(f"{place}: messages is no list of objects", "messages is no list of objects")
    prompt = "\n".join(field(f"{place}, message {at}", one, "content", str) for at, one in enumerate(messages, start=1))
    return request(place, prompt, field(place, row, "max_tokens", int), count_tokens)
