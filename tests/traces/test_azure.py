"""The Azure 2023 loader against made files, broken ones, and the published trace's figures."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traces.describe import summary
from traces.formats.azure import load
from traces.locate import public_file
from traces.schema import TraceError
from traces.windows import Windows

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
ROWS = (
    "2023-11-16 18:15:46.6805900,374,44",
    "2023-11-16 18:15:50.9951690,396,109",
    "2023-11-16 18:15:51.2224670,879,55",
)


def made(folder: Path, content: str | bytes, name: str = "made.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def public(name: str) -> Path:
    try:
        return public_file(f"traces/{name}.csv.gz")
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "\n"])
def test_stamps_keep_their_hundred_nanoseconds(tmp_path: Path, end: str, last: str) -> None:
    table = load(made(tmp_path, (HEADER + "\n".join(ROWS) + last).replace("\n", end)))
    assert table["arrival"].tolist() == [0.0, pytest.approx(4.314579, abs=1e-12), pytest.approx(4.541877, abs=1e-12)]
    assert table["prompt_tokens"].tolist() == [374, 396, 879]
    assert table["output_tokens"].tolist() == [44, 109, 55]


def test_plain_and_gzipped_are_equal(tmp_path: Path) -> None:
    text = HEADER + "\n".join(ROWS)
    plain, zipped = made(tmp_path, text), made(tmp_path, gzip.compress(text.encode()), "made.csv.gz")
    assert load(plain).equals(load(zipped))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("2023-11-16 18:15:51.0,nan,5", "line 4: ContextTokens 'nan' is not a number"),
        ("2023-11-16 18:15:51.0,3,-5", "line 4: GeneratedTokens '-5' is below 1"),
        ("2023-11-16 18:15:51.0,0,5", "line 4: ContextTokens '0' is below 1"),
        ("2023-11-16 18:15:51.0,3.5,5", "line 4: ContextTokens '3.5' is not a whole number"),
        ("2023-11-16 18:15:51.0," + "9" * 400 + ",5", "line 4: ContextTokens '99.* is not finite"),
        ("2023-11-16 18:15:51.0,99999999999,5", "line 4: ContextTokens '99999999999' is above 10,000,000"),
        ("374,2023-11-16 18:15:51.0,5", "line 4: TIMESTAMP '374' is not a time"),
        ("2023-11-16 18:15:40.0,3,5", "line 4: TIMESTAMP '2023-11-16 18:15:40.0' is before the trace's start"),
        ("2023-11-16 18:15:48.0,3,5", "line 4: TIMESTAMP '2023-11-16 18:15:48.0' is earlier than an arrival before it"),
        ("2023-13-45 18:15:51.0,3,5", "line 4: TIMESTAMP '2023-13-45 18:15:51.0' is not a time"),
        ("9999-11-16 18:15:51.0,3,5", "line 4: TIMESTAMP '9999"),
        ("2023-11-16 18:15:51.0,3", "line 4: '2023-11-16 18:15:51.0,3' has 2 fields, not 3"),
        ("2023-11-16 18:15:51.0,3,5,7", "line 4: .* has 4 fields, not 3"),
        ("", "line 4: TIMESTAMP '' is not a time"),
    ],
)
def test_a_bad_row_is_named_by_file_line_and_value(tmp_path: Path, row: str, said: str) -> None:
    path = made(tmp_path, HEADER + "\n".join([*ROWS[:2], row, ROWS[2]]))
    with pytest.raises(TraceError, match=f"made.csv, {said}"):
        load(path)
    table = load(path, skip_bad=True)
    assert table["output_tokens"].tolist() == [44, 109, 55]
    assert sum(table.attrs["skipped"].values()) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "line 1: the header is ''"),
        (b"\xef\xbb\xbf" + HEADER.encode(), "line 1: it begins with a byte order mark"),
        ((HEADER + ROWS[0] + "\n").encode() + b"2023-11-16 18:15:51.0,3\x00,5\n", "line 3: byte 0x00 is not text"),
        (b"TIMESTAMP,ContextTokens,GeneratedTokens\n374,1,2\n", "line 2: TIMESTAMP '374' is not a time"),
        (HEADER.encode(), "no rows"),
        (HEADER.encode() + b"9999-11-16 18:15:46.0,3,5\n", "line 2: TIMESTAMP '9999-11-16 18:15:46.0' is not a time"),
        (b"ContextTokens,TIMESTAMP,GeneratedTokens\n", "line 1: the header is 'ContextTokens,TIMESTAMP"),
        (b"TIMESTAMP,ContextTokens\n2023-11-16 18:15:46.6,374\n", "line 1: the header"),
        ((HEADER + ROWS[0] + "\n").encode() + b"\xff\xfe,1,2\n", "line 3: byte 0xff is not UTF-8"),
    ],
)
def test_a_wrong_file_is_named_by_line(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(TraceError, match=f"made.csv.*{said}"):
        load(made(tmp_path, content))


def test_a_gzip_file_that_breaks_off_is_named_by_line(tmp_path: Path) -> None:
    stamps = [
        f"2023-11-16 18:{at // 60:02}:{at % 60:02}.{at * 7919 % 10**7:07},{at * 31 % 997 + 1},5" for at in range(3000)
    ]
    whole = gzip.compress((HEADER + "\n".join(stamps)).encode())
    with pytest.raises(TraceError, match=r"line \d\d+: the gzip file is broken"):
        load(made(tmp_path, whole[:-2000], "cut.csv.gz"))
    with pytest.raises(TraceError, match="its name says gzip, its first bytes do not"):
        load(made(tmp_path, HEADER, "plain.csv.gz"))


@settings(max_examples=200)
@given(data=st.data())
def test_a_mangled_file_loads_well_or_raises_a_trace_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = (HEADER + "\n".join(ROWS)).encode()
    zipped = data.draw(st.booleans())
    content = bytearray(gzip.compress(whole, mtime=0) if zipped else whole)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=4))
    path = made(tmp_path_factory.mktemp("fuzz"), bytes(content), "fuzz.csv.gz" if zipped else "fuzz.csv")
    try:
        table = load(path, skip_bad=data.draw(st.booleans()))
    except TraceError:
        return
    assert table["arrival"].is_monotonic_increasing
    assert (table["arrival"] >= 0).all()
    assert (table[["prompt_tokens", "output_tokens"]] >= 1).all(axis=None)


def test_a_missing_file_says_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENYARD_DATA", str(tmp_path / "there"))
    with pytest.raises(FileNotFoundError, match=r"there.traces.none\.csv.*shared.*Set TOKENYARD_DATA"):
        Windows("traces/none.csv", load, "made").training()


def test_the_variable_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENYARD_DATA", str(tmp_path))
    (tmp_path / "traces").mkdir()
    path = made(tmp_path / "traces", HEADER + ROWS[0])
    assert public_file("traces/made.csv") == path


def test_a_public_file_may_lie_directly_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENYARD_DATA", str(tmp_path))
    path = made(tmp_path, HEADER + ROWS[0])
    assert public_file("traces/made.csv") == path
    (tmp_path / "traces").mkdir()
    below = made(tmp_path / "traces", HEADER + ROWS[0])
    assert public_file("traces/made.csv") == below
    with pytest.raises(FileNotFoundError) as refused:
        public_file("traces/none.csv")
    for place in (tmp_path / "traces" / "none.csv", tmp_path / "none.csv"):
        assert f"{place}, " in str(refused.value)


def source(folder: Path, rows: int, **options: float | None) -> Windows:
    stamps = [f"2023-11-16 18:{at // 60:02}:{at % 60:02}.0000000,{at + 1},5" for at in range(rows)]
    options = {"training_share": 0.2, **options}
    return Windows(str(made(folder, HEADER + "\n".join(stamps))), load, "made", **options)  # type: ignore[arg-type]


def test_replay_is_a_window_that_training_never_sees(tmp_path: Path) -> None:
    made_source = source(tmp_path, 100, rate=4.0, window=30)
    trained = set(made_source.training()["prompt_tokens"])
    assert trained == set(range(1, 21))
    starts = set()
    for seed in range(20):
        table = made_source.replay(np.random.default_rng(seed), np.random.default_rng(0))
        assert len(table) == 30
        assert table["arrival"].iloc[0] == 0
        assert 29 / table["arrival"].iloc[-1] == pytest.approx(4.0)
        assert table["prompt_tokens"].diff().dropna().eq(1).all()
        assert not trained & set(table["prompt_tokens"])
        starts.add(table["prompt_tokens"].iloc[0])
    assert len(starts) > 5
    again = made_source.replay(np.random.default_rng(19), np.random.default_rng(7))
    assert again.equals(table)


def test_without_rate_and_window_the_rest_is_replayed_as_recorded(tmp_path: Path) -> None:
    table = source(tmp_path, 10).replay(np.random.default_rng(0), np.random.default_rng(0))
    assert table["prompt_tokens"].tolist() == [3, 4, 5, 6, 7, 8, 9, 10]
    assert table["arrival"].tolist() == [0, 1, 2, 3, 4, 5, 6, 7]


def test_wrong_options_are_named(tmp_path: Path) -> None:
    for options, said in (
        ({"rate": 0.0}, "rate .* got 0"),
        ({"window": 0}, "window .* got 0"),
        ({"training_share": 1.0}, "training_share .* got 1"),
    ):
        with pytest.raises(ValueError, match=said):
            Windows("made.csv", load, "made", **options)  # type: ignore[arg-type]
    assert len(source(tmp_path, 10, window=9).replay(np.random.default_rng(0), np.random.default_rng(0))) == 8


def test_the_published_conversation_trace_has_its_known_figures() -> None:
    figures = summary(load(public("azure_2023_conv")))
    known = {"rows": 19366, "rate": 5.53, "gap_cv": 1.094, "span": 3501.72}
    known |= {"prompt_tokens_mean": 1154.7, "prompt_tokens_p50": 1020, "prompt_tokens_p90": 2734.5}
    known |= {"prompt_tokens_p99": 4142, "output_tokens_mean": 211.13, "output_tokens_p50": 129}
    known |= {"output_tokens_p90": 424, "output_tokens_p99": 601}
    assert {name: figures[name] for name in known} == pytest.approx(known, rel=2e-3)


def test_the_published_code_trace_has_its_known_figures() -> None:
    figures = summary(load(public("azure_2023_code")))
    assert (figures["rows"], figures["rate"]) == (8819, pytest.approx(2.57, abs=0.005))
