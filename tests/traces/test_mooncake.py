"""The Mooncake loader against made lines, broken ones, and the published conversation trace's figures."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from traces.formats.mooncake import load
from traces.schema import TraceError


def row(number: int, **changes: Any) -> dict[str, Any]:
    lengths = {"timestamp": 3000 * number, "input_length": 600 + number, "output_length": 7}
    return {**lengths, "hash_ids": [0, number], **changes}


def made(folder: Path, rows: list[Any], name: str = "made.jsonl") -> Path:
    path = folder / name
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in rows) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["made.jsonl", "made.jsonl.gz"])
def test_lines_are_read_in_seconds_with_an_id_for_each_block(tmp_path: Path, name: str) -> None:
    table = load(made(tmp_path, [row(0), row(1), row(1, input_length=512, hash_ids=[9])], name))
    assert table["arrival"].tolist() == [0.0, 3.0, 3.0]
    assert table["prompt_tokens"].tolist() == [600, 601, 512]
    assert table["output_tokens"].tolist() == [7, 7, 7]
    assert table["prompt_ids"].tolist() == [[0, 0], [0, 1], [9]]
    assert table["id_tokens"].unique().tolist() == [512]


@pytest.mark.parametrize(
    ("line", "said", "reason"),
    [
        ("{", "not json", "not json"),
        ("", "not json", "not json"),
        ("[" * 100_000, "not json", "not json"),
        (f'{{"timestamp": {"9" * 5000}}}', "not json", "not json"),
        ("[1]", r"'\[1\]' is not an object", "not an object"),
        ('{"timestamp": 1, "timestamp": 2}', "'timestamp' stands there twice", "a name stands twice"),
        ({"timestamp": 1}, "input_length is missing", "input_length is missing"),
        (
            row(1, timestamp="1"),
            "timestamp '1' is not a finite number of 64 bits",
            "timestamp is not a finite number of 64 bits",
        ),
        (
            row(1, timestamp=True),
            "timestamp True is not a finite number of 64 bits",
            "timestamp is not a finite number of 64 bits",
        ),
        (
            row(1, timestamp=10**400),
            "timestamp 10.* is not a finite number of 64 bits",
            "timestamp is not a finite number of 64 bits",
        ),
        (
            row(1, timestamp=float("inf")),
            "timestamp inf is not a finite number of 64 bits",
            "timestamp is not a finite number of 64 bits",
        ),
        (
            row(1, timestamp=float("nan")),
            "timestamp nan is not a finite number of 64 bits",
            "timestamp is not a finite number of 64 bits",
        ),
        (row(1, timestamp=-1), "timestamp -1 is before", "timestamp is before the trace's start"),
        (
            row(1, input_length=601.0),
            "input_length 601.0 is not a whole",
            "input_length is not a whole number of 64 bits",
        ),
        (row(1, output_length=0), "output_length 0 is below 1", "output_length is below 1"),
        (row(1, output_length=10**8), "output_length 1.* is above", "output_length is above 10,000,000 tokens"),
        (row(1, hash_ids=[]), r"hash_ids \[\] is empty", "hash_ids is empty"),
        (row(1, hash_ids=[1, 2, 3]), r"hash_ids \[1, 2, 3\] are not one for each", "hash_ids are not one for each"),
        (row(1, hash_ids=[1, 2**64]), "hash_ids .* are not whole numbers", "hash_ids are not whole numbers"),
        (row(1, hash_ids=[1, True]), "hash_ids .* are not whole numbers", "hash_ids are not whole numbers"),
        (row(1, hash_ids=[1, [2]]), "hash_ids .* are not whole numbers", "hash_ids are not whole numbers"),
        (row(1, hash_ids={"a": 1}), "hash_ids .* is not a list", "hash_ids is not a list"),
    ],
)
def test_a_bad_line_is_named_or_counted(tmp_path: Path, line: Any, said: str, reason: str) -> None:
    path = made(tmp_path, [row(0), line, row(2)])
    with pytest.raises(TraceError, match=f"made.jsonl, line 2: {said}"):
        load(path)
    table = load(path, skip_bad=True)
    assert table["arrival"].tolist() == [0.0, 6.0]
    ((counted, count),) = table.attrs["skipped"].items()
    assert counted.startswith(reason)
    assert count == 1


def test_a_file_without_a_sound_line_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(TraceError, match=r"empty.jsonl: no rows$"):
        load(tmp_path / "empty.jsonl", skip_bad=True)
    with pytest.raises(TraceError, match=r"made.jsonl: no rows but 2 bad ones"):
        load(made(tmp_path, ["{", "}"]), skip_bad=True)


def test_the_published_conversation_trace_has_its_known_figures(shared_data: Path) -> None:
    table = load(shared_data / "traces" / "mooncake_conversation.jsonl.gz")
    assert len(table) == 12031
    seen: set[int] = set()
    blocks = reused = 0
    for ids in table["prompt_ids"]:
        blocks += len(ids)
        reused += next((at for at, one in enumerate(ids) if one not in seen), len(ids))
        seen.update(ids)
    assert reused / blocks == pytest.approx(0.366, abs=5e-4)
