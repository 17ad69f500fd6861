"""Why a row is worse: the requests that carry the difference, or the parts of time, by what was measured."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from experiments.tables import why
from experiments.tables.stats import Interval
from experiments.tables.why import reason


def made(count: int = 100, **columns: object) -> pd.DataFrame:
    """Requests that each wait a second and decode for one; `columns` change that."""
    table = pd.DataFrame({"queueing": 1.0, "decode": 1.0, "preemptions": 0, "replica_kind": "gpu"}, index=range(count))
    table = table.assign(output_tokens=range(count)).assign(**columns)
    return table.assign(response_time=table[["queueing", "decode"]].sum(axis=1))


def test_a_difference_in_few_requests_names_them_and_where_their_time_went() -> None:
    ours = made()
    ours.loc[[3, 4], ["decode", "replica_kind"]] = [51.0, "cpu"]
    ours["response_time"] = ours["queueing"] + ours["decode"]
    said = reason(ours, made(), "fifo")
    assert said == (
        "why +1.00 s a request: 100% of it in the 2.0% of the requests that a cpu served (52 s each, 2 s under fifo: "
        "decode +50 s)"
    )


def test_a_difference_of_all_is_told_by_parts_the_largest_first() -> None:
    said = reason(made(queueing=3.0, decode=1.5), made(), "sjf")
    assert said == "why +2.50 s a request: queueing +2 s, decode +0.5 s"


def test_long_answers_that_wait_are_named() -> None:
    ours = made()
    ours.loc[95:, "queueing"] = 101.0
    ours["response_time"] = ours["queueing"] + ours["decode"]
    assert "100% of it in the 10.0% of the requests with the longest answers" in reason(ours, made(), "fifo")


def test_requests_that_only_one_run_served_do_not_count() -> None:
    assert reason(made(50, queueing=2.0), made(), "fifo").startswith("why +1.00 s")
    assert reason(made(), made(), "fifo") == ""
    assert reason(made(queueing=0.5), made(), "fifo") == ""


@pytest.mark.parametrize(
    ("percent", "read"),
    [
        (Interval(4.0, 1.0), False),
        (Interval(6.0, 7.0), False),
        (Interval(-30.0, 1.0), False),
        (Interval(math.nan, math.nan), False),
        (Interval(6.0, 1.0), True),
        (Interval(25.0, 30.0), True),
        (Interval(25.0, math.nan), True),
    ],
)
def test_only_rows_that_are_worse_are_looked_into(percent: Interval, read: bool, monkeypatch) -> None:
    looked: list[str] = []

    def parts(run: str) -> pd.DataFrame:
        looked.append(run)
        return made(queueing=2.0 if run == "ours" else 1.0)

    monkeypatch.setattr(why, "of_folder", parts)
    table = pd.DataFrame({"run": ["ours", "theirs"]})
    told = why.of_folders({"ours": "ours", "theirs": "theirs"})(table, pd.Series([1], index=[0]), "fifo", percent)
    assert looked == (["ours", "theirs"] if read else [])
    assert told.startswith("why +1.00 s") is read
