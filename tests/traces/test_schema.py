"""A trace is checked at the edge: a bad cell is named by source, place, column, value and reason."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces.requests import to_requests
from traces.schema import COLUMNS, COUNTS, TraceError, check


def trace(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"arrival": [0.0, 1.0, 1.0], "prompt_tokens": [3, 4, 5], "output_tokens": [6, 7, 8], **columns})


def test_a_good_trace_is_typed_and_its_columns_ordered() -> None:
    table = trace(client=["a", "b", "a"], max_tokens=8, priority=-1, deadline=[np.nan, 2, 3])
    checked = check(table[sorted(table)], "made")
    assert list(checked) == [name for name in COLUMNS if name in table]
    counts = [name for name in COUNTS if name in table]
    assert {name: str(checked[name].dtype) for name in counts} == dict.fromkeys(counts, "int64")
    assert checked["arrival"].dtype == checked["deadline"].dtype == np.float64
    assert checked["output_tokens"].tolist() == [6, 7, 8]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"prompt_tokens": [3, 0, 5]}, "row 2: prompt_tokens 0 is below 1"),
        ({"prompt_tokens": [3, 4, -5]}, "row 3: prompt_tokens -5 is below 1"),
        ({"output_tokens": [6, 7.5, 8]}, "row 2: output_tokens 7.5 is not a whole number"),
        ({"output_tokens": [6, np.nan, 8]}, "row 2: output_tokens nan is not a number"),
        ({"output_tokens": [6, None, 8]}, "row 2: output_tokens"),
        ({"output_tokens": [6, "many", 8]}, "row 2: output_tokens 'many' is not a number"),
        ({"output_tokens": [6, True, 8]}, "row 2: output_tokens True is not a number"),
        ({"output_tokens": [6, [7], 8]}, r"row 2: output_tokens \[7\] is not a number"),
        ({"output_tokens": [6, 10**30, 8]}, "row 2: output_tokens 10+ is above 10,000,000 tokens"),
        ({"output_tokens": [6, np.inf, 8]}, "row 2: output_tokens inf is not finite"),
        ({"arrival": [0, 2, 1]}, "row 3: arrival 1 is earlier than an arrival before it"),
        ({"arrival": [-1.0, 2, 3]}, "row 1: arrival -1.0 is before the trace's start"),
        ({"arrival": pd.to_datetime(["2023-11-16"] * 3)}, "row 1: arrival .* is not a time"),
        ({"client": ["a", 7, "b"]}, "row 2: client 7 is not text"),
        ({"deadline": [np.nan, 0.5, 2.0]}, "row 2: deadline 0.5 is before the request's arrival"),
        ({"max_tokens": 7}, "row 3: output_tokens 8 is above max_tokens"),
        ({"deadline": ["soon", 2, 3]}, "row 1: deadline 'soon' is not a number"),
        ({"deadline": [np.nan, [9.0], 3.0]}, r"row 2: deadline \[9.0\] is not a number"),
        ({"vague": [0, -1, 0]}, "row 2: vague -1 is negative"),
        ({"color": 1}, "unknown column 'color'"),
    ],
)
def test_a_bad_cell_is_named(columns: dict[str, Any], said: str) -> None:
    with pytest.raises(TraceError, match=f"^made.*{said}"):
        check(trace(**columns), "made")


def test_missing_repeated_and_absent_rows_are_named() -> None:
    with pytest.raises(TraceError, match="missing column 'output_tokens'"):
        check(trace().drop(columns="output_tokens"), "made")
    with pytest.raises(TraceError, match="repeated column 'arrival'"):
        check(pd.concat([trace(), trace()[["arrival"]]], axis=1), "made")
    with pytest.raises(TraceError, match="made: no rows"):
        check(trace().iloc[:0], "made")


def test_an_error_is_one_short_line_whatever_stands_in_the_file() -> None:
    with pytest.raises(TraceError) as raised:
        check(trace(**{"a\nb\x1b[31m" + "x" * 5000: 1}), "made")
    assert "unknown column 'a\\nb\\x1b[31mxxx" in str(raised.value)
    assert len(str(raised.value)) < 1100


def test_lines_count_from_where_the_file_has_them_and_use_its_words() -> None:
    names = {"prompt_tokens": "ContextTokens"}
    with pytest.raises(TraceError, match=r"^a\.csv, line 3: ContextTokens 0 is below 1$"):
        check(trace(prompt_tokens=[3, 0, 5]), "a.csv", first_line=2, names=names)


def test_skipped_rows_are_counted_by_reason() -> None:
    table = pd.DataFrame(
        {"arrival": [0, 5, 4, 6, 7], "prompt_tokens": [1, 1, 1, 0, "x"], "output_tokens": [1, 2, 3, 4, 5]}
    )
    checked = check(table, "made", skip_bad=True)
    assert checked["output_tokens"].tolist() == [1, 2]
    assert checked.attrs["skipped"] == {
        "arrival is earlier than an arrival before it": 1,
        "prompt_tokens is below 1": 1,
        "prompt_tokens is not a number": 1,
    }
    with pytest.raises(TraceError, match="all 3 rows are bad"):
        check(trace(prompt_tokens=0), "made", skip_bad=True)


CELLS = st.one_of(
    st.integers(-2, 20),
    st.integers(),
    st.floats(),
    st.text(max_size=3),
    st.none(),
    st.booleans(),
    st.just(Decimal("3")),
    st.just(3 + 1j),
    st.just(pd.NaT),
    st.just(pd.NA),
    st.lists(st.integers(), max_size=2),
)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS), min_size=1, max_size=8), st.booleans())
def test_any_cells_pass_or_raise_a_trace_error(rows: list[tuple[Any, ...]], skip_bad: bool) -> None:
    columns = ["arrival", "prompt_tokens", "output_tokens", "client"]
    table = pd.DataFrame(
        {
            name: pd.Series(list(cells), dtype=object)
            for name, cells in zip(columns, zip(*rows, strict=True), strict=True)
        }
    )
    try:
        checked = check(table, "fuzz", skip_bad=skip_bad)
    except TraceError:
        return
    assert checked["arrival"].is_monotonic_increasing
    assert (checked[["prompt_tokens", "output_tokens"]] >= 1).all(axis=None)
    assert len(checked) + sum(checked.attrs.get("skipped", {}).values()) == len(rows)


def test_answers_of_several_models_are_counts_behind_the_other_columns() -> None:
    table = trace(**{"output_tokens.opt-1.3b": [1.0, 2.0, 3.0], "task": "a"})
    checked = check(table[sorted(table)], "made")
    assert list(checked)[-1] == "output_tokens.opt-1.3b"
    assert checked["output_tokens.opt-1.3b"].dtype == np.int64
    lengths = [one.truth.lengths for one in to_requests(checked)]
    assert lengths == [{"opt-1.3b": 1}, {"opt-1.3b": 2}, {"opt-1.3b": 3}]
    assert to_requests(check(trace(), "made"))[0].truth.lengths is None


@pytest.mark.parametrize("cell", [[0], [2, 9], [1.5], "3", None, [True]])
def test_samples_that_are_no_answers_are_refused(cell: Any) -> None:
    with pytest.raises(TraceError, match=r"row 2: samples .* are not \[output tokens"):
        check(trace(max_tokens=8, samples=[[8, 1], cell, []]), "made")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"output_tokens.a": 5, "samples": [[], [1], []]}, "row 2: samples .* are of one answer"),
        ({"output_tokens.a": [1, 0, 3]}, "row 2: output_tokens.a 0 is below 1"),
        ({"output_tokens.a": [1, np.nan, 3]}, "row 2: output_tokens.a nan is not a number"),
        ({"output_tokens.a": [9, 1, 1], "max_tokens": 8}, "row 1: output_tokens.a 9 is above max_tokens"),
        ({"output_tokens.": [1, 2, 3]}, "unknown column 'output_tokens.'"),
        ({"output_tokens.a": 5, "pauses": [[], [[1, 2.0, 3]], []]}, "row 2: pauses .* are of one answer"),
    ],
)
def test_bad_lengths_of_a_models_answers_are_refused(columns: dict[str, Any], said: str) -> None:
    with pytest.raises(TraceError, match=said):
        check(trace(**columns), "made")
