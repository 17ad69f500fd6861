"""Errors between a real and a simulated run: by hand, for several real runs, and for tables that do not match."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.validation import figure
from experiments.validation.errors import errors, request_errors, statistics
from experiments.validation.shown import render


def made(ttft: list[float], gap: list[float], outputs: list[int]) -> pd.DataFrame:
    """Requests that arrive at 0, 1, 2 ...; `gap` is the time of each token after the first, s."""
    arrival = np.arange(len(ttft), dtype=float)
    first = arrival + np.array(ttft)
    return pd.DataFrame(
        {"id": range(len(ttft)), "arrival": arrival, "first_scheduled": arrival, "first_token": first}
        | {"finished": first + np.array(gap) * (np.array(outputs) - 1)}
        | {"prompt_tokens": 7, "output_tokens": outputs}
    )


REAL = made([1.0, 2.0, 3.0], [0.1, 0.2, 0.3], [11, 11, 11])


def value(table: pd.DataFrame, metric: str, statistic: str, column: str) -> float:
    return table.set_index(["metric", "statistic"]).loc[(metric, statistic), column]


def test_the_statistics_by_hand() -> None:
    found = statistics(REAL)
    assert found["TTFT", "mean"] == pytest.approx(2.0)
    assert found["TPOT", "P50"] == pytest.approx(0.2)
    assert found["E2E", "P99"] == pytest.approx(5.96)
    assert found["throughput", "requests/s"] == pytest.approx(3 / 8)
    assert found["throughput", "tokens/s"] == pytest.approx(33 / 8)


def test_errors_are_signed_shares_of_the_real_run() -> None:
    table = errors(REAL, made([1.1, 2.2, 3.3], [0.09, 0.18, 0.27], [11, 11, 11]))
    assert list(table) == ["metric", "statistic", "measured", "simulated", "error"]
    assert table["metric"].tolist() == ["TTFT"] * 4 + ["TPOT"] * 4 + ["E2E"] * 4 + ["throughput"] * 2
    for statistic in ("mean", "P50", "P90", "P99"):
        assert value(table, "TTFT", statistic, "error") == pytest.approx(0.1)
        assert value(table, "TPOT", statistic, "error") == pytest.approx(-0.1)
    assert value(table, "E2E", "mean", "error") == pytest.approx(0.0)


def test_several_real_runs_give_their_mean_and_their_spread() -> None:
    runs = [made([1.0 * by, 2.0 * by], [0.1, 0.1], [5, 5]) for by in (0.9, 1.0, 1.1)]
    table = errors(runs, made([1.0, 2.0], [0.1, 0.1], [5, 5]))
    assert value(table, "TTFT", "mean", "error") == pytest.approx(0.0)
    assert value(table, "TTFT", "mean", "spread") == pytest.approx(0.2)
    assert value(table, "TPOT", "mean", "spread") == pytest.approx(0.0)
    assert "between real runs" in render(table)


def test_single_requests_are_matched_by_id_not_by_row() -> None:
    slower = made([1.1, 2.0, 2.4], [0.1, 0.2, 0.3], [11, 11, 11])
    for shuffled in (slower, slower.iloc[[2, 0, 1]]):
        table = request_errors(REAL, shuffled).set_index("metric")
        assert table.loc["TTFT", "P50"] == pytest.approx(0.1)
        assert table.loc["TTFT", "bias"] == pytest.approx(0.0)
        assert table.loc["TPOT", "P99"] == pytest.approx(0.0)
    assert "TTFT of single requests: off by P50 10.0 %" in render(errors(REAL, slower), request_errors(REAL, slower))


def test_where_a_first_token_is_not_shown_ttft_and_tpot_are_missing_and_the_rest_is_not() -> None:
    table = errors(REAL, REAL.assign(first_token=[1.0, np.nan, 5.0]))
    missing = table.set_index("metric")["error"].isna()
    assert missing[["TTFT", "TPOT"]].all()
    assert not missing[["E2E", "throughput"]].any()


def test_one_token_has_no_tpot() -> None:
    table = errors(made([1.0, 1.0], [0.5, 0.0], [3, 1]), made([1.0, 1.0], [0.5, 0.0], [3, 1]))
    assert value(table, "TPOT", "mean", "measured") == pytest.approx(0.5)
    alone = made([1.0], [0.0], [1])
    assert np.isnan(value(errors(alone, alone), "TPOT", "mean", "measured"))
    assert np.isnan(request_errors(alone, alone).set_index("metric").loc["TPOT", "P50"])


@given(st.lists(st.tuples(st.floats(0.01, 10), st.floats(0.001, 1), st.integers(1, 50)), min_size=1, max_size=20))
def test_a_run_beside_itself_has_no_error(rows: list[tuple[float, float, int]]) -> None:
    run = made(*map(list, zip(*rows, strict=True)))
    table = errors([run, run], run).dropna()
    assert table["error"].abs().max() < 1e-12
    assert table["spread"].abs().max() < 1e-12
    assert request_errors(run, run).drop(columns="metric").abs().max(axis=None) < 1e-12 or len(run) == 1


@pytest.mark.parametrize(
    ("real", "said"),
    [
        (REAL.head(2), "real run 0 has 2 requests, the simulated one 3"),
        (REAL.assign(output_tokens=[11, 12, 11]), "real run 0, request 1: output_tokens is 12, simulated 11"),
        (REAL.assign(finished=[1.0, None, 2.0]), "request 1 has no finished"),
        (REAL.drop(columns="first_token"), "lacks first_token; it has id, arrival"),
        (REAL.head(0), "no request"),
        ([], "no real run"),
    ],
)
def test_runs_that_do_not_match_are_refused(real: pd.DataFrame, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        errors(real, REAL)


def test_the_figure_draws_each_run_in_each_panel() -> None:
    drawn = figure.draw([REAL, REAL], made([0.1, 2.0, 3.3], [0.1, 0.2, 0.3], [11, 11, 11]), "made up")
    assert [len(axes.get_lines()) for axes in drawn.axes] == [3, 3, 3]
    assert [axes.get_xscale() for axes in drawn.axes] == ["log", "linear", "linear"]
    assert [text.get_text() for text in drawn.axes[-1].get_legend().get_texts()] == ["measured, 2 runs", "simulated"]
    assert "made up" in drawn.texts[0].get_text()
