"""Synthetic sessions: closed loops think, conversations grow and share their prefixes, and both are simulated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.predictor.oracle import OraclePredictor
from sim import Cluster, Record, Tables, simulate
from tests.conftest import make_device, make_policy
from traces.requests import to_requests
from traces.synthetic.arrivals import Poisson
from traces.synthetic.lengths import Independent, Lognormal, Quantiles
from traces.synthetic.sessions import ClosedLoop, Constant, Exponential, MultiTurn, Stamped, Waiting

SHORT = Independent(Lognormal(30, 0.5), Quantiles((0, 1), (1, 60)))


def replay(source: Any, seed: int = 0) -> pd.DataFrame:
    return source.replay(np.random.default_rng(seed), np.random.default_rng(seed + 1000))


def conversations(**changes: Any) -> MultiTurn:
    settings = {"rate": 4.0, "requests": 400, "arrivals": Poisson(), "pace": Stamped(Exponential(5.0)), "turns": 4.0}
    return MultiTurn(**{**settings, "lengths": SHORT, **changes})


def run(table: pd.DataFrame, **device: Any) -> Tables:
    cluster = Cluster((make_device(**device),))
    return simulate(to_requests(table), make_policy(), cluster, OraclePredictor(), record=Record.STEPS)


def test_clients_of_a_closed_loop_send_equally_many_requests_and_think() -> None:
    free, table = (replay(ClosedLoop(7, 10_000, Exponential(3.0), SHORT, max_tokens=cap)) for cap in (None, 50))
    assert set(table["session"].value_counts()) == {1428, 1429}
    assert table["think"].mean() == pytest.approx(3.0, rel=4 / np.sqrt(10_000))
    assert table["think"].std() == pytest.approx(3.0, rel=0.06)
    assert (table.groupby("session")["arrival"].nunique() == 1).all()
    assert table.attrs["cut"] == (free["output_tokens"] > 50).sum() > 0


def test_a_simulated_closed_loop_never_has_two_requests_of_a_client_at_a_time() -> None:
    table = replay(ClosedLoop(5, 60, Constant(0.5), SHORT))
    done = pd.DataFrame(run(table).requests).sort_values("id")
    for rows in np.split(np.arange(60), 5):
        ended, came = done["finished"].to_numpy()[rows], done["arrival"].to_numpy()[rows]
        assert came[1:] == pytest.approx(ended[:-1] + 0.5)


def test_sessions_have_geometric_turns_and_their_rate() -> None:
    table = replay(conversations(requests=40_000, turns=3.0))
    begun = table.groupby("session")["arrival"].first()
    over = table["session"].isin(begun[begun < table["arrival"].iloc[-1] - 200].index)
    turns = table[over]["session"].value_counts()
    assert turns.mean() == pytest.approx(3.0, rel=4 * np.sqrt(1 - 1 / 3) / np.sqrt(len(turns)))
    assert (turns == 1).mean() == pytest.approx(1 / 3, abs=4 * np.sqrt(2 / 9 / len(turns)))
    settled = table["arrival"][table["arrival"] > 200]
    span = settled.iloc[-1] - settled.iloc[0]
    assert len(settled) / span == pytest.approx(4.0, rel=0.05)
    gaps = table.groupby("session")["arrival"].diff().dropna()
    assert gaps.mean() == pytest.approx(5.0, rel=0.05)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    turns=st.floats(1, 8),
    system=st.integers(0, 100),
    id_tokens=st.sampled_from([1, 16, 64]),
    waiting=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_a_turn_holds_the_whole_of_the_turn_before_it(turns, system, id_tokens, waiting, seed) -> None:
    pace = (Waiting if waiting else Stamped)(Constant(2.0))
    source = conversations(
        requests=60, turns=turns, system_tokens=system, id_tokens=id_tokens, pace=pace, max_context=900
    )
    table = replay(source, seed)
    assert len(table) == 60
    assert table.equals(replay(source, seed))
    assert (table["prompt_tokens"] + table["output_tokens"] <= 900).all()
    owners: dict[int, str] = {}
    for name, session in table.groupby("session"):
        for before, after in zip(session.iloc[:-1].itertuples(), session.iloc[1:].itertuples(), strict=True):
            assert after.prompt_tokens > before.prompt_tokens + before.output_tokens
            full = before.prompt_tokens // id_tokens
            assert after.prompt_ids[:full] == before.prompt_ids[:full]
            assert not set(after.prompt_ids[full:]) & set(before.prompt_ids[full:])
        for ids in session["prompt_ids"]:
            assert ids[: system // id_tokens] == list(range(system // id_tokens))
            assert all(owners.setdefault(one, name) == name for one in ids[system // id_tokens :])


def test_an_answer_that_is_cut_grows_the_next_prompt_by_what_is_left_and_a_full_context_ends_a_session() -> None:
    fixed = Independent(Quantiles((0, 1), (10, 10)), Quantiles((0, 1), (50, 50)))
    table = replay(conversations(lengths=fixed, max_tokens=20, max_context=100, turns=50.0, requests=30))
    for _, session in table.groupby("session"):
        assert session["prompt_tokens"].tolist() == [10, 40, 70][: len(session)]
    assert table.attrs["cut"] == 30
    assert table.attrs["ended_early"] >= 8


@pytest.mark.parametrize("pace", [Stamped(Constant(4.0)), Waiting(Exponential(1.0))])
def test_prefix_caching_finds_what_turns_share_and_the_more_turns_the_more(pace: Any) -> None:
    found = {}
    for turns in (1.0, 3.0, 9.0):
        table = replay(conversations(requests=120, turns=turns, pace=pace, system_tokens=0))
        prompts = table["prompt_tokens"]
        before = (prompts // 16 * 16).groupby(table["session"]).shift(fill_value=0).sum()
        computed = run(table, prefix_caching=True).steps["prefill_tokens"].sum()
        if isinstance(pace, Waiting):  # of an open loop, a turn may come before the one before it is computed
            assert computed == prompts.sum() - before
        assert run(table).steps["prefill_tokens"].sum() == prompts.sum()
        found[turns] = 1 - computed / prompts.sum()
    assert found[1.0] == 0
    assert found[9.0] > found[3.0] > 0.2


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ClosedLoop(5, 4, Constant(1), SHORT), "requests .* 5 clients, got 4"),
        (lambda: ClosedLoop(0, 4, Constant(1), SHORT), "clients .* got 0"),
        (lambda: Constant(-1), "seconds .* got -1"),
        (lambda: Exponential(0), "seconds .* got 0"),
        (lambda: conversations(turns=0.5), "turns .* got 0.5"),
        (lambda: conversations(system_tokens=-1), "system_tokens .* got -1"),
        (lambda: conversations(rate=np.inf), "rate .* got inf"),
        (lambda: replay(conversations(max_context=10)), "max_context=10 tokens are too few"),
    ],
)
def test_bad_settings_are_refused_by_name_and_value(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
