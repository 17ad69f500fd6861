"""The Qwen-Bailian traces of Aliyun's model service (alibaba-edu/qwen-bailian-usagetraces-anon, Apache-2.0).

Arrivals, lengths, the turns of a chat, and the prompts' prefix blocks. The loader was run on made rows alone: that a
prompt of n tokens has ceil(n / 16) hash ids is read from the publisher's example, and a row of others is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from traces.clock import elapsed, negative
from traces.files import field, read_json_lines
from traces.schema import check

NAMES = {
    "request_id": "chat_id",
    "arrival": "timestamp",
    "prompt_tokens": "input_length",
    "output_tokens": "output_length",
    "task": "type",
    "session": "parent_chat_id",
    "prompt_ids": "hash_ids",
}
ID_TOKENS = 16
NO_PARENT = -1
UNIT = "s"


def load(path: Path, *, skip_bad: bool = False, unit: str | None = None) -> pd.DataFrame:
    """The requests in a jsonl file, plain or gzipped, with a prompt id for each block of 16 tokens; `task` is the type.

    Arrivals are in seconds from the first one, of stamps in `unit` (None: s). A `session` is called by the chat id of
    its first request: the last that a chain of parents leads to. A parent that is not in the file came before the trace
    did, and names the session still. TraceError names the line, field and value of what is wrong, such as a parent that
    comes later; `skip_bad` drops and counts bad lines instead (but not a broken file).
    """
    table = read_json_lines(path, _row, skip_bad=skip_bad)
    chats, parents = table["request_id"], table["session"]
    written = {"request_id": chats, "session": parents, "arrival": table["arrival"]}
    arrival = elapsed(table["arrival"], unit, UNIT, str(path))
    table = table.assign(request_id=chats.astype(str), session=_roots(chats, parents), arrival=arrival)
    lines = {chat: line for line, chat in reversed(list(enumerate(chats)))}
    late = [lines.get(parent, -1) >= line for line, parent in enumerate(parents)]
    faults = [
        negative(written["arrival"]),
        ("request_id", "is negative", chats.lt(0).to_numpy(dtype=bool)),
        ("session", f"is below {NO_PARENT}", parents.lt(NO_PARENT).to_numpy(dtype=bool)),
        ("session", "is the chat of no line before", np.array(late)),
        ("prompt_ids", "is empty", table["prompt_ids"].map(len).eq(0).to_numpy()),
    ]
    return check(table, str(path), first_line=1, names=NAMES, written=written, faults=faults, skip_bad=skip_bad)


def _roots(chats: pd.Series, parents: pd.Series) -> list[str]:
    roots: dict[int, int] = {}
    for chat, parent in zip(chats, parents, strict=True):
        roots[chat] = chat if parent == NO_PARENT else roots.get(parent, parent)
    return [str(roots[chat]) for chat in chats]


def _row(place: str, row: dict[str, Any]) -> dict[str, Any]:
    return {
        "request_id": field(place, row, "chat_id", int),
        "session": field(place, row, "parent_chat_id", int),
        "arrival": field(place, row, "timestamp", float),
        "prompt_tokens": field(place, row, "input_length", int),
        "output_tokens": field(place, row, "output_length", int),
        "task": field(place, row, "type", str),
        "prompt_ids": field(place, row, "hash_ids", list),
        "id_tokens": ID_TOKENS,
    }
