"""The VTC loader against made rows, broken ones, and the published trace's figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from traces.formats.vtc import load
from traces.schema import TraceError

HEADER = "req_id,client,req_time_s,prompt_len,output_len\n"


def made(folder: Path, *rows: str) -> Path:
    path = folder / "made.csv"
    path.write_text(HEADER + "\n".join(rows) + "\n")
    return path


def test_rows_are_read_with_their_clients(tmp_path: Path) -> None:
    table = load(made(tmp_path, "0,a,0.0,13,199", "1,b,0.25,36,137"))
    assert table["arrival"].tolist() == [0.0, 0.25]
    assert table["request_id"].tolist() == ["0", "1"]
    assert table["client"].tolist() == ["a", "b"]
    assert table["prompt_tokens"].tolist() == [13, 36]
    assert table["output_tokens"].tolist() == [199, 137]


@pytest.mark.parametrize(
    ("line", "said", "reason"),
    [
        ("0,b,1.0,3,4", "req_id '0' was there before", "req_id was there before"),
        (",b,1.0,3,4", "req_id '' is empty", "req_id is empty"),
        ("1,,1.0,3,4", "client '' is empty", "client is empty"),
        ("1,b,1.0,3", "'1,b,1.0,3' has 4 fields, not 5", "has not 5 fields"),
        ("1,b,soon,3,4", "req_time_s 'soon' is not a time", "req_time_s is not a time"),
        ("1,b,1.0,x,4", "prompt_len 'x' is not a number", "prompt_len is not a number"),
        ('1,"b,c",1.0,3,4', """'1,"b,c",1.0,3,4' has 6 fields""", "has not 5 fields"),
    ],
)
def test_a_bad_row_is_named_or_counted(tmp_path: Path, line: str, said: str, reason: str) -> None:
    path = made(tmp_path, "0,a,0.5,13,199", line, "2,a,2.0,5,6")
    with pytest.raises(TraceError, match=f"made.csv, line 3: {said}"):
        load(path)
    table = load(path, skip_bad=True)
    assert table["request_id"].tolist() == ["0", "2"]
    assert table.attrs["skipped"] == {reason: 1}


def test_the_published_trace_has_its_known_figures(shared_data: Path) -> None:
    table = load(shared_data / "traces" / "vtc_arena.csv.gz")
    assert len(table) == 1500
    assert table["client"].nunique() == 27
    assert table["arrival"].iloc[-1] == 600
