"""The BurstGPT loader against made rows in both of its published headers, and broken ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from traces.formats.burstgpt import HEADER, LONG_HEADER, load
from traces.schema import TraceError

FIRST, LAST = "5,ChatGPT,472,18,490,Conversation log", "118,GPT-4,417,276,693,API log"


def made(folder: Path, *rows: str, header: tuple[str, ...] = HEADER) -> Path:
    path = folder / "made.csv"
    path.write_text("\n".join([",".join(header), *rows]) + "\n")
    return path


def test_arrivals_count_from_the_first(tmp_path: Path) -> None:
    table = load(made(tmp_path, FIRST, LAST))
    assert table["arrival"].tolist() == [0.0, 113.0]
    assert table["prompt_tokens"].tolist() == [472, 417]
    assert table["output_tokens"].tolist() == [18, 276]
    assert table["task"].tolist() == ["ChatGPT, Conversation log", "GPT-4, API log"]
    assert "session" not in table


def test_the_long_file_has_sessions(tmp_path: Path) -> None:
    rows = (
        "19440110.0,1722ac82,43,GPT-4,906,446,1352,Conversation log",
        "19440110.5,,1,GPT-4,9,4,13,API log",
        "19440111.0,,1,GPT-4,9,4,13,API log",
        "19440112.0,1722ac82,2,GPT-4,36,29,65,Conversation log",
    )
    table = load(made(tmp_path, *rows, header=LONG_HEADER))
    assert table["arrival"].tolist() == [0.0, 0.5, 1.0, 2.0]
    assert table["session"].tolist() == ["1722ac82", "line 3", "line 4", "1722ac82"]


@pytest.mark.parametrize(
    ("line", "said", "reason"),
    [
        (
            "45,ChatGPT,10,0,10,API log",
            "Response tokens '0' is 0: a request that failed",
            "Response tokens is 0: a request that failed",
        ),
        (
            "45,ChatGPT,10,3,14,API log",
            "Total tokens '14' is not Request",
            "Total tokens is not Request tokens + Response tokens",
        ),
        ("45,ChatGPT,0,3,3,API log", "Request tokens '0' is below 1", "Request tokens is below 1"),
        ("45,,10,3,13,API log", "Model '' is empty", "Model is empty"),
        ("45,ChatGPT,10,3,13,", "Log Type '' is empty", "Log Type is empty"),
        ("4,ChatGPT,10,3,13,API log", "Timestamp '4' is before the trace", "Timestamp is before the trace's start"),
        ("now,ChatGPT,10,3,13,API log", "Timestamp 'now' is not a time", "Timestamp is not a time"),
        ("inf,ChatGPT,10,3,13,API log", "Timestamp 'inf' is not finite", "Timestamp is not finite"),
        (
            "45,10,ChatGPT,3,13,API log",
            "Total tokens '13' is not",
            "Total tokens is not Request tokens + Response tokens",
        ),
        ("45,ChatGPT,10,3,13", "'45,ChatGPT,10,3,13' has 5 fields", "has not 6 fields"),
    ],
)
def test_a_bad_row_is_named_or_counted(tmp_path: Path, line: str, said: str, reason: str) -> None:
    path = made(tmp_path, FIRST, line, LAST)
    with pytest.raises(TraceError, match=f"made.csv, line 3: {said}"):
        load(path)
    table = load(path, skip_bad=True)
    assert table["arrival"].tolist() == [0.0, 113.0]
    assert table.attrs["skipped"] == {reason: 1}


def test_another_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="line 1: the header is 'Timestamp,Model'"):
        load(made(tmp_path, header=("Timestamp", "Model")), skip_bad=True)
    with pytest.raises(TraceError, match="no rows"):
        load(made(tmp_path))
