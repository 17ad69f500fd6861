"""LAMPS's values: counted in the window and over all, against INFERCEPT and vLLM, on runs made by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from experiments.papers.lamps import tables

REQUESTS = pd.DataFrame(
    {
        "arrival": [0.0, 1.0, 2.0, 3.0],
        "first_token": [1.0, 3.0, 9.0, float("nan")],
        "finished": [5.0, 9.0, 30.0, float("nan")],
        "output_tokens": [4, 2, 10, 5],
        "call_seconds": [2.0, 0.0, 11.0, 0.0],
        "status": ["finished"] * 3 + ["rejected"],
    }
)


class Made:
    """Stored results of two seeds at 5 requests/s: the mean latencies that are given, by system."""

    def __init__(self, **latencies: tuple[float, float]) -> None:
        self.latencies = latencies

    def table(self, sweep: str) -> pd.DataFrame:
        rows = [(system, seed, f"{system} {seed}") for system in self.latencies for seed in (0, 1)]
        return pd.DataFrame(rows, columns=["system", "seed", "run"]).assign(
            **{"trace.rate": 5.0, "trace.seconds": 100.0}
        )

    def requests(self, sweep: str, run: str, columns: list[str]) -> pd.DataFrame:
        system, seed = run.split()
        return REQUESTS.head(1).assign(finished=self.latencies[system][int(seed)])


def test_times_are_counted_as_the_benchmark_counts_them():
    times = tables.times_of(REQUESTS)
    assert times["e2e"].tolist() == [5.0, 8.0, 28.0]
    assert times["ttft"].tolist() == [1.0, 2.0, 7.0]
    assert times["tpot"].tolist() == [0.5, 3.0, 1.0]


def test_who_finishes_after_the_window_is_counted_among_all_alone(monkeypatch):
    stored = Made(lamps=(8.0, 8.0))
    monkeypatch.setattr(stored, "requests", lambda *asked: REQUESTS)
    monkeypatch.setattr(stored, "table", lambda sweep: Made.table(stored, sweep).assign(**{"trace.seconds": 20.0}))
    row = tables.runs(stored, tables.MULTI).iloc[0]
    assert (row["finished window"], row["finished all"]) == (2, 3)
    assert (row["e2e_mean window"], row["e2e_p50 all"]) == (6.5, 8.0)
    assert row["e2e_p99 window"] == pytest.approx(5.0 + 0.99 * 3.0)


def test_what_comes_from_the_source_of_a_trace_is_found():
    table = pd.DataFrame({"trace.source.rate": [4.0], "trace.source.seconds": [9.0], "run": ["a 0"]})
    assert tables.plain(table)[["trace.rate", "trace.seconds"]].iloc[0].tolist() == [4.0, 9.0]


def test_gains_over_infercept_and_over_vllm():
    stored = Made(lamps=(4.0, 8.0), infercept_released=(9.0, 11.0), infercept_vllm=(30.0, 30.0), lamps_fcfs=(9.0, 9.0))
    (found,) = tables.beside(stored, "e2e_mean", "all", sets=[tables.MULTI], rates=[5.0])
    assert (found.where, found.value.mean) == ("several calls, 5 requests/s", pytest.approx(-40.0))
    assert found.value.half_width > 0
    further = tables.over_vllm(stored, "e2e_mean", "all", sets=[tables.MULTI], rates=[5.0])
    assert further[0].value.mean == pytest.approx(-80.0 + 40.0)
    (share,) = tables.without_scheduling(stored, "e2e_mean", "all", rates=[5.0])
    assert share.value.mean == pytest.approx(25.0)  # one of the four seconds that LAMPS gains
