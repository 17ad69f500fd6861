"""The Qwen-Bailian loader against made lines and broken ones: sessions are the roots of chains of parents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from traces.formats.qwen_bailian import load
from traces.schema import TraceError


def row(chat: int, parent: int = -1, **changes: Any) -> dict[str, Any]:
    lengths = {"timestamp": chat / 4, "input_length": 17, "output_length": 5, "type": "text", "turn": 1}
    return {"chat_id": chat, "parent_chat_id": parent, **lengths, "hash_ids": [7, chat], **changes}


def made(folder: Path, *rows: Any) -> Path:
    path = folder / "made.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in rows) + "\n")
    return path


def test_a_session_is_the_root_of_a_chain_of_parents(tmp_path: Path) -> None:
    table = load(made(tmp_path, row(1), row(2, 1), row(3), row(4, 2, type="search"), row(5, 99), row(6, 5), row(8, 99)))
    assert table["session"].tolist() == ["1", "1", "3", "1", "99", "99", "99"], "99 came before the trace did"
    assert table["request_id"].tolist() == ["1", "2", "3", "4", "5", "6", "8"]
    assert table["arrival"].tolist() == [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.75]
    assert table["task"].tolist() == ["text"] * 3 + ["search"] + ["text"] * 3
    assert table["prompt_ids"].iloc[1] == [7, 2]
    assert table["id_tokens"].unique().tolist() == [16]


@pytest.mark.parametrize(
    ("line", "said", "reason"),
    [
        (row(2, 3), "parent_chat_id 3 is the chat of no line before", "parent_chat_id is the chat of no line before"),
        (row(2, 2), "parent_chat_id 2 is the chat of no line before", "parent_chat_id is the chat of no line before"),
        (row(2, -2), "parent_chat_id -2 is below -1", "parent_chat_id is below -1"),
        (row(-2, timestamp=0.5), "chat_id -2 is negative", "chat_id is negative"),
        (row(1, timestamp=0.5), "chat_id 1 was there before", "chat_id was there before"),
        (row(2, type=None), "type None is not text", "type is not text"),
        (row(2, hash_ids=[]), r"hash_ids \[\] is empty", "hash_ids is empty"),
        (row(2, hash_ids=[7]), r"hash_ids \[7\] are not one for each", "hash_ids are not one for each"),
        (
            row(2, parent_chat_id=1.0),
            "parent_chat_id 1.0 is not a whole number",
            "parent_chat_id is not a whole number",
        ),
    ],
)
def test_a_bad_line_is_named_or_counted(tmp_path: Path, line: Any, said: str, reason: str) -> None:
    path = made(tmp_path, row(1), line, row(3))
    with pytest.raises(TraceError, match=f"made.jsonl, line 2: {said}"):
        load(path)
    table = load(path, skip_bad=True)
    assert table["request_id"].tolist() == ["1", "3"]
    ((counted, count),) = table.attrs["skipped"].items()
    assert counted.startswith(reason)
    assert count == 1
