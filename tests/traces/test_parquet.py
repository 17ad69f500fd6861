"""The project's own parquet files round-trip, whole or not at all, and refuse what they do not know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from traces.describe import main, summary
from traces.formats import parquet
from traces.schema import TraceError

TABLE = pd.DataFrame(
    {"arrival": [0.0, 1.5, 2.0], "prompt_tokens": [3, 4, 5], "output_tokens": [6, 7, 8], "client": ["a", "b", "\u00e9"]}
)


def test_a_trace_comes_back_as_it_was_written_with_its_provenance(tmp_path: Path) -> None:
    path = tmp_path / "new" / "trace.parquet"
    parquet.write(TABLE, path, {"made": "by hand"})
    table = parquet.read(path)
    assert table.to_dict("list") == TABLE.to_dict("list")
    assert table.attrs["provenance"] == {"made": "by hand"}
    assert [found.name for found in path.parent.iterdir()] == ["trace.parquet"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "trace.parquet"
    parquet.write(TABLE, path, {})
    before = path.read_bytes()
    with pytest.raises(TraceError):
        parquet.write(TABLE.assign(prompt_tokens=0), path, {})
    with pytest.raises(TypeError):
        parquet.write(TABLE, path, {"made": object()})
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["trace.parquet"]


def test_other_versions_kinds_and_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "trace.parquet"
    parquet.write_table(TABLE, path, "recording", {})
    with pytest.raises(TraceError, match=r"trace\.parquet: kind is 'recording', this reads 'trace'"):
        parquet.read(path)
    pq.write_table(pa.Table.from_pandas(TABLE).replace_schema_metadata({"tokenyard.schema_version": "0"}), path)
    with pytest.raises(TraceError, match="schema version is '0', this reads '1'"):
        parquet.read(path)
    pq.write_table(pa.Table.from_pandas(TABLE), path)
    with pytest.raises(TraceError, match="schema version is None"):
        parquet.read(path)
    for content in (b"", b"PAR1", b"TIMESTAMP,ContextTokens\n"):
        path.write_bytes(content)
        with pytest.raises(TraceError, match="cannot be read as parquet"):
            parquet.read(path)
    with pytest.raises(FileNotFoundError):
        parquet.read(tmp_path / "none.parquet")


STAMPS = {"tokenyard.schema_version": "1", "tokenyard.kind": "trace", "tokenyard.provenance": "{}"}


@pytest.mark.parametrize(
    ("stamps", "said"),
    [
        ({"tokenyard.kind": b"\xff"}, r"kind is '\\\\xff', this reads 'trace'"),
        ({"tokenyard.provenance": "{"}, "provenance: not json"),
        ({"tokenyard.provenance": "[]"}, "provenance is not an object"),
        ({"tokenyard.provenance": None}, "provenance: not json"),
    ],
)
def test_metadata_that_is_not_what_was_written_is_refused(tmp_path: Path, stamps: dict[str, Any], said: str) -> None:
    path = tmp_path / "trace.parquet"
    kept = {name: stamp for name, stamp in {**STAMPS, **stamps}.items() if stamp is not None}
    pq.write_table(pa.Table.from_pandas(TABLE).replace_schema_metadata(kept), path)
    with pytest.raises(TraceError, match=said):
        parquet.read(path)


def test_what_pandas_notes_of_its_own_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "trace.parquet"
    pq.write_table(pa.Table.from_pandas(TABLE).replace_schema_metadata({**STAMPS, "pandas": "{"}), path)
    assert parquet.read(path).to_dict("list") == TABLE.to_dict("list")


def test_an_id_that_is_null_spoils_its_own_row_alone(tmp_path: Path) -> None:
    path = tmp_path / "trace.parquet"
    ids = [[2**62 + 1], [7], [None]]
    columns = {name: TABLE[name] for name in ("arrival", "prompt_tokens", "output_tokens")}
    table = pa.table({**columns, "id_tokens": [16, 16, 16], "prompt_ids": ids})
    pq.write_table(table.replace_schema_metadata(STAMPS), path)
    twice = tmp_path / "twice.parquet"
    pq.write_table(table.append_column("prompt_ids", [ids]).replace_schema_metadata(STAMPS), twice)
    with pytest.raises(TraceError, match="repeated column 'prompt_ids'"):
        parquet.read(twice)
    with pytest.raises(TraceError, match=r"row 3: prompt_ids \[None\] are not whole numbers"):
        parquet.read(path)
    assert [list(cell) for cell in parquet.read(path, skip_bad=True)["prompt_ids"]] == ids[:2]


def test_coded_columns_are_read_as_what_they_stand_for(tmp_path: Path) -> None:
    path = tmp_path / "trace.parquet"
    coded = pa.table({name: pa.array(TABLE[name]).dictionary_encode() for name in TABLE})
    pq.write_table(coded.replace_schema_metadata(STAMPS), path)
    assert parquet.read(path).to_dict("list") == TABLE.to_dict("list")


def test_columns_are_taken_by_name_and_the_rest_is_left_unread(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"a": [1], "b": [2]}).replace_schema_metadata({"pandas": "{", "made": "now"}), path)
    table, stamps = parquet.read_columns(path, "b", "c")
    assert table.to_dict("list") == {"b": [2]}
    assert stamps[b"made"] == b"now"


def test_a_damaged_page_a_folder_and_text_that_is_not_utf8_are_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "trace.parquet"
    parquet.write(TABLE, path, {})
    whole = path.read_bytes()
    refused = []
    for at in range(4, len(whole) - int.from_bytes(whole[-8:-4], "little") - 8):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:  # some bits of a page's head say nothing
            assert parquet.read(path).to_dict("list") == TABLE.to_dict("list")
        except TraceError as error:
            refused.append(str(error))
    assert len(refused) > 100
    assert all(len(said.splitlines()) == 1 for said in refused)
    wrong = pa.table({"arrival": [0.0], "prompt_tokens": [1], "output_tokens": [1], "client": pa.array([b"\xff"])})
    wrong = wrong.set_column(3, "client", wrong["client"].combine_chunks().view(pa.string()))
    pq.write_table(wrong.replace_schema_metadata(STAMPS), path)
    for place in (path, tmp_path):
        with pytest.raises(TraceError, match="cannot be read as parquet"):
            parquet.read(place)


def test_a_summary_has_the_figures_of_its_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = summary(TABLE)
    assert (figures["rows"], figures["span"], figures["rate"]) == (3, 2.0, 1.0)
    assert figures["gap_cv"] == pytest.approx(0.5)
    assert (figures["prompt_tokens_mean"], figures["output_tokens_p50"]) == (4, 7)
    assert np.isnan(summary(TABLE.iloc[:1])["rate"])
    path = tmp_path / "trace.parquet"
    parquet.write(TABLE, path, {})
    assert main([str(path), "--draw", str(tmp_path / "trace.png")]) == 0
    assert ["requests", "3"] in [line.split() for line in capsys.readouterr().out.splitlines()]
    assert main([str(tmp_path / "none.csv")]) == 1
    assert "none.csv" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([])
