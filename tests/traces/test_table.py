"""Any csv or json as a trace: what is read of it, in seconds and with every digit, and what is refused and how."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from traces.formats import splitwise, vidur
from traces.formats.table import load
from traces.schema import TraceError

COLUMNS = {"arrival": "ts", "prompt_tokens": "in", "output_tokens": "out"}
ROWS = "1787000000000,600,5\n1787000000250,601,6\n1787000000500,602,7\n"
HASH = 2**64 - 1


def made(folder: Path, content: str | bytes, name: str = "own.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(folder: Path, content: str | bytes, name: str = "own.csv", **options: Any):
    return load(made(folder, content, name), **{"columns": COLUMNS, **options})


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize(
    "content",
    [
        "ts,in,out\n" + ROWS,
        ("ts,in,out\n" + ROWS + "\n\n").replace("\n", "\r\n"),
        "\ufeffts,in,out\n" + ROWS.removesuffix("\n"),
        ("x,ts,in,out\n" + ROWS.replace("1787", ",1787")).replace(",", ";"),
        ("ts,in,out,x\n" + ROWS.replace("\n", ",\n")).replace(",", "\t"),
        ' ts , in,out\n"1787000000000","600","5"\n1787000000250, 601,6\n1787000000500,602.0,7\n',
        gzip.compress(("\ufeffts,in,out\n" + ROWS).encode(), mtime=0),
        lines(*({"ts": 1787000000000 + 250 * at, "in": 600 + at, "out": 5 + at} for at in range(3))),
        json.dumps([{"ts": str(1787000000000 + 250 * at), "in": 600 + at, "out": 5 + at} for at in range(3)], indent=1),
    ],
)
@pytest.mark.parametrize("name", ["own.csv", "own.csv.gz", "own.txt"])
def test_a_table_is_read_whatever_its_dress(tmp_path: Path, content: str | bytes, name: str) -> None:
    table = read(tmp_path, content, name, unit="ms")
    assert table["arrival"].tolist() == [0.0, 0.25, 0.5]
    assert table["prompt_tokens"].tolist() == [600, 601, 602]
    assert table["output_tokens"].tolist() == [5, 6, 7]


@pytest.mark.parametrize(
    ("unit", "first", "second", "seconds"),
    [
        ("s", "1787000000", "1787000001.5", 1.5),
        (None, "1787000000.000001", "1787000000.000002", 1e-6),
        ("ms", "1787000000000", "1787000000001", 0.001),
        ("us", "1787000000000000", "1787000000000001", 1e-6),
        ("ns", "1787000000000000000", "1787000000000000001", 1e-9),
        ("ns", "-1", "1", 2e-9),
        (None, "2023-11-16 18:15:46.6805900", "2023-11-16 18:15:47.6805901", 1.0000001),
        (None, "2023-11-16T18:15:46.000000001Z", "2023-11-16T18:15:46.000000002Z", 1e-9),
        (None, "2023-11-16T18:15:46+02:00", "2023-11-16 16:15:47Z", 1.0),
        (None, "2023-11-16 18:15:46 UTC", "2023-11-16T19:15:47.25+0100", 1.25),
        (None, "2023-11-16 18:15", "2023-11-16 18:16:00.5", 60.5),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_instants_differ_by_every_digit(
    tmp_path: Path, unit: str | None, first: str, second: str, seconds: float, as_json: bool
) -> None:
    if as_json:
        quoted = [one if one.replace(".", "").lstrip("-").isdecimal() else f'"{one}"' for one in (first, second)]
        content = "".join(f'{{"ts": {one}, "in": 1, "out": 1}}\n' for one in quoted)
    else:
        content = f"ts,in,out\n{first},1,1\n{second},1,1\n"
    assert read(tmp_path, content, unit=unit)["arrival"].tolist() == [0.0, pytest.approx(seconds, rel=1e-12)]


def test_dotted_names_reach_into_objects_and_headers(tmp_path: Path) -> None:
    row = {"time": {"at": 1.5}, "usage": {"in.tokens": 4}, "usage.out": 5, "user": {"id": HASH}}
    columns = {"arrival": "time.at", "prompt_tokens": "usage.in.tokens", "output_tokens": "usage.out"}
    table = read(tmp_path, lines(row, row), columns={**columns, "client": "user.id"})
    assert table["client"].tolist() == [str(HASH)] * 2
    assert table["prompt_tokens"].tolist() == [4, 4]
    content = "time.at,usage.in.tokens,usage.out\n1,2,3\n"
    assert read(tmp_path, content, columns=columns)["output_tokens"].tolist() == [3]


def test_optional_columns_keep_their_text_digits_and_clock(tmp_path: Path) -> None:
    names = ("max_tokens", "request_id", "prompt_text", "client", "session", "priority", "deadline", "think")
    content = (
        "ts,in,out,cap,id,text,user,chat,prio,due,think\n"
        '1787000000000,5,6,7,9007199254740993,"hello, ""you""\nthere",18446744073709551615,a,1.5,1787000002000,\n'
        "1787000001000,5,6,6,9007199254740992,,18446744073709551614,a,2,,500\n"
        "1787000001000,5,6,6,x,, y,,2,,\n"
    )
    theirs = dict(zip(names, content.split("\n")[0].split(",")[3:], strict=True))
    table = read(tmp_path, content, columns={**COLUMNS, **theirs}, unit="ms")
    assert table["request_id"].tolist() == ["9007199254740993", "9007199254740992", "x"]
    assert table["client"].tolist() == ["18446744073709551615", "18446744073709551614", " y"]
    assert table["prompt_text"].iloc[0] == 'hello, "you"\nthere'
    assert table["session"].tolist() == ["a", "a", "line 5"], "a request without a session is one of its own"
    assert table["deadline"].fillna(-1).tolist() == [2.0, -1, -1]
    assert table["think"].fillna(-1).tolist() == [-1, 0.5, -1]
    assert table["max_tokens"].tolist() == [7, 6, 6]


def test_prompt_ids_are_lists_of_64_bits(tmp_path: Path) -> None:
    ids = [[HASH, 0], [-(2**63), HASH - 1]]
    columns = {**COLUMNS, "prompt_ids": "ids"}
    rows = [{"ts": at, "in": 20, "out": 1, "ids": one} for at, one in enumerate(ids)]
    as_csv = "ts;in;out;ids\n" + "".join(f"{at};20;1;{json.dumps(one)}\n" for at, one in enumerate(ids))
    for content in (lines(*rows), as_csv):
        table = read(tmp_path, content, columns=columns, id_tokens=16)
        assert table["prompt_ids"].tolist() == ids
    with pytest.raises(TraceError, match=r"trace.columns.prompt_ids and trace.id_tokens go together"):
        read(tmp_path, lines(*rows), columns=columns)
    for bad in ([2**64, 1], [1.0, 2], "one", [True, 1]):
        with pytest.raises(TraceError, match=r"own.csv, line 1: ids .* are not whole numbers of 64 bits"):
            read(tmp_path, lines({**rows[0], "ids": bad}), columns=columns, id_tokens=16)


def test_rows_out_of_order_are_refused_or_sorted_and_counted(tmp_path: Path) -> None:
    content = "ts,in,out\n3,5,6\n1,5,7\n2,5,8\n3,5,9\n"
    with pytest.raises(TraceError, match=r"own.csv, line 3: ts '1' is earlier than an arrival before it \(trace.sort="):
        read(tmp_path, content)
    table = read(tmp_path, content, sort=True)
    assert table["arrival"].tolist() == [0.0, 1.0, 2.0, 2.0]
    assert table["output_tokens"].tolist() == [7, 8, 6, 9]
    assert table.attrs["out_of_order"] == 2
    with pytest.raises(TraceError, match=r"own.csv, line 5: in 'x' is not a number"):
        read(tmp_path, content.replace("3,5,9", "3,x,9"), sort=True)


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        ("ts,in,out\n1,5,6\n2,,6\n", {}, r"own.csv, line 3: in '' is not a number"),
        ("ts,in,out\n1,5,6\n\n2,5,0\n", {}, r"own.csv, line 4: out '0' is below 1"),
        ("ts,in,out\n1,5,6\n2,5\n", {}, r"own.csv, line 3: '2,5' has 2 fields, not 3"),
        ("ts,in,out\n1,5,6\nsoon,5,6\n", {}, r"own.csv, line 3: ts 'soon' is not a time"),
        ('ts,in,out\n1,5,6\n2,"5,6\n', {}, r"own.csv, line 3: not csv"),
        ("ts,in,out\n", {}, "own.csv: no rows"),
        ("", {}, "own.csv: no rows"),
        ("time,in,out\n1,5,6\n", {}, r"no column 'ts' for trace.columns.arrival; it has time, in, out"),
        ("ts,In,out\n1,5,6\n", {}, r"no column 'in' for trace.columns.prompt_tokens, did you mean In\?; it has ts, In"),
        ("ts,in,in,out\n1,5,5,6\n", {}, r"column 'in' .* stands there twice"),
        ('{"ts": 1, "inn": 5, "out": 6}\n', {}, r"no column 'in' for .* did you mean inn\?; it has inn, out, ts"),
        ('{"ts": 1, "in": 5, "out": 6}\n{"ts": 1, "in": 5}\n', {}, r"line 2: out is missing or null"),
        ('[{"ts": 1, "in": 5, "out": 6}, {"ts": 1, "in": [5], "out": 6}]', {}, r"row 2: in \[5\] is not a number"),
        ('{"ts": 1, "in": 5, "out": 6}\n{"ts": 1, "ts": 2}\n', {}, r"line 2: 'ts' stands there twice"),
        ('{"ts": 1, "in": 5, "out": 6, "u": true}\n', {"client": "u"}, r"line 1: u True is not text"),
        ('{"ts": 1, "in": 5, "out": 6, "u": true}\n', {"client": "user"}, r"no column 'user' for trace.columns.client"),
        ("ts,in,out\n1,5,6\n", {"promt_text": "x"}, "promt_text is no column .* did you mean prompt_text"),
        ("ts,in,out\n1,5,6\n", {"output_tokens": None}, "columns.output_tokens is not given.* It has ts, in"),
        ("ts,in,out\n1,5,6\n", {"unit": "min"}, r"trace.unit must be one of s, ms, us, ns, got 'min'"),
        ("ts,in,out\n2023-11-16 18:15:46,5,6\n", {"unit": "ms"}, "stamps such as '2023.* leave out trace.unit=ms"),
        (
            "ts,in,out\n2023-11-16T18:15:46Z,5,6\n2023-11-16T18:15:47,5,6\n",
            {},
            r"line 3: ts '2023-11-16T18:15:47' has no time zone, and the first has",
        ),
        ("ts,in,out\n2023-02-29 18:15:46,5,6\n", {}, r"line 2: ts '2023-02-29 18:15:46' is not a time"),
        ("ts,in,out\n9999-01-01 18:15:46,5,6\n", {}, r"line 2: ts '9999-01-01 18:15:46' is not a time"),
        ("ts,in,out\n1787000000000,5,6\n", {}, "the first instant is 1787000000000 s.*trace.unit=ms"),
        ("ts,in,out\n1787000000000000000,5,6\n", {}, r"trace.unit=ns"),
        ("ts,in,out,due\n1,5,6,x\n", {"deadline": "due"}, r"line 2: due 'x' is not a time on the arrivals' clock"),
        ("ts,in,out,due\n2023-02-29 18:15:46,5,6,\n", {"deadline": "due"}, r"line 2: ts '2023-02-29 18:15:46'"),
        ("ts,in,out,due\n1,5,6,0\n", {"deadline": "due"}, r"line 2: due '0' is before the request's arrival"),
        ("ts,in,out\n1,5,6\n", {"separator": "tabs"}, r"trace.separator must be comma, .* got 'tabs'"),
        ("PAR1", {}, r"own.csv: it is parquet"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_file_line_column_and_value(
    tmp_path: Path, content: str, options: dict[str, Any], said: str
) -> None:
    columns = {**COLUMNS, **{name: theirs for name, theirs in options.items() if name not in ("unit", "separator")}}
    more = {name: value for name, value in options.items() if name in ("unit", "separator")}
    with pytest.raises(TraceError, match=said) as caught:
        read(tmp_path, content, columns=columns, **more)
    assert "\n" not in str(caught.value)


def test_bad_rows_are_dropped_and_counted_when_asked(tmp_path: Path) -> None:
    content = "ts,in,out\n1,5,0\n2,5,6\n3,5\n4,x,6\n5,7,8\n"
    with pytest.raises(TraceError, match=r"trace.skip_bad=true \(--skip-bad on a command line\)"):
        read(tmp_path, content)
    table = read(tmp_path, content, skip_bad=True)
    assert table["output_tokens"].tolist() == [6, 8]
    assert table.attrs["skipped"] == {"has not 3 fields": 1, "out is below 1": 1, "in is not a number": 1}


VIDUR = "arrived_at,num_prefill_tokens,num_decode_tokens\n0.0,374,44\n4.314579,396,109\n5.8926549999999995,91,16\n"


def test_vidurs_trace_is_read_and_its_lengths_alone_are_told_apart(tmp_path: Path) -> None:
    table = vidur.load(made(tmp_path, VIDUR))
    assert table["arrival"].tolist() == pytest.approx([0.0, 4.314579, 5.892655])
    assert table[["prompt_tokens", "output_tokens"]].to_numpy().tolist() == [[374, 44], [396, 109], [91, 16]]
    assert vidur.load(made(tmp_path, VIDUR), unit="ms")["arrival"].iloc[1] == pytest.approx(0.004314579)
    lengths = made(tmp_path, ",num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio\n0,374,44,418,8.5\n")
    with pytest.raises(
        TraceError, match=r"lengths and no arrivals.*trace.lengths.load.path=traces.formats.vidur.lengths"
    ):
        vidur.load(lengths)
    assert vidur.lengths(lengths)[["arrival", "output_tokens"]].to_numpy().tolist() == [[0.0, 44.0]]


def test_splitwise_sims_trace_is_read(tmp_path: Path) -> None:
    header = "request_id,request_type,application_id,arrival_timestamp,batch_size,prompt_size,token_size\n"
    table = splitwise.load(made(tmp_path, header + "0,2,0,0.5,1,10,20\n1,2,3,0.75,1,11,21\n"))
    assert table["arrival"].tolist() == [0.0, 0.25]
    assert table["client"].tolist() == ["0", "3"]
    assert table["prompt_tokens"].tolist() == [10, 11]
    with pytest.raises(TraceError, match=r"own.csv, line 2: batch_size '4' is not 1"):
        splitwise.load(made(tmp_path, header + "0,2,0,0.5,4,10,20\n"))


def test_a_first_object_that_lacks_a_column_is_skipped_as_any_other(tmp_path: Path) -> None:
    good = '{"ts": 1, "in": 10, "out": 5}\n{"ts": 2, "in": 10, "out": 5}\n'
    table = read(tmp_path, '{"ts": 0, "error": "timeout"}\n' + good, skip_bad=True)
    assert len(table) == 2
    assert sum(table.attrs["skipped"].values()) == 1
    with pytest.raises(TraceError, match="no column 'in'"):
        read(tmp_path, '{"ts": 0, "error": "timeout"}\n', skip_bad=True)


def test_the_separator_is_the_one_that_finds_the_columns(tmp_path: Path) -> None:
    assert len(read(tmp_path, "a;b;c;d,ts,in,out\n0,1,10,5\n")) == 1
