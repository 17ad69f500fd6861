"""Each synthetic generator keeps what it promises: rate, burstiness, the day, lengths, clients, uncertainty."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from traces.schema import TraceError
from traces.synthetic.arrivals import Diurnal, Gamma, MarkovModulated, Poisson, Sinusoid, Ticked, Weibull
from traces.synthetic.clients import ClientMix
from traces.synthetic.counts import MinuteCounts
from traces.synthetic.dialogue import SyntheticDialogue
from traces.synthetic.lengths import Copied, Fixed, Independent, Lognormal, Quantiles, Zipf
from traces.synthetic.uncertainty import UncertaintyMix
from traces.synthetic.workload import Synthetic

SHORT = Independent(Lognormal(100, 0.5), Quantiles((0, 1), (1, 300)))
MIX = partial(ClientMix, lengths=SHORT, popularity=1.0, cv=1.5, cv_spread=0.4, length_spread=0.5)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def replay(source: Any, seed: int = 0) -> pd.DataFrame:
    return source.replay(rng(seed), rng(seed + 1000))


@pytest.mark.parametrize("cv", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("kind", [Gamma, Weibull])
def test_renewal_processes_have_their_rate_and_cv(kind: type, cv: float) -> None:
    count = 40_000
    gaps = np.diff(kind(cv).instants(5.0, count, rng()), prepend=0.0)
    assert gaps.mean() == pytest.approx(1 / 5, rel=4 * cv / np.sqrt(count))
    blocks = gaps.reshape(40, -1)
    error = (blocks.std(axis=1) / blocks.mean(axis=1)).std() / np.sqrt(len(blocks))
    assert gaps.std() / gaps.mean() == pytest.approx(cv, abs=5 * error)
    law = stats.gamma(cv**-2) if kind is Gamma else stats.weibull_min(Weibull(cv).shape)
    assert law.std() / law.mean() == pytest.approx(cv)
    for level in (0.3, 0.5, 0.9):  # a gap far below the instants' own size is lost to floating point
        assert (gaps * 5 * law.mean() <= law.ppf(level)).mean() == pytest.approx(level, abs=4 * np.sqrt(0.25 / count))


def test_a_markov_modulated_process_has_its_rate_and_index_of_dispersion() -> None:
    process, rate, seconds, window = MarkovModulated((1, 6), (5, 2)), 4.0, 40_000.0, 20.0
    instants = process.instants(rate, int(rate * seconds), rng(3))
    slow, fast = (rate * intensity * 7 / (5 + 12) for intensity in (1, 6))
    leave = np.array([1 / 5, 1 / 2])
    variance = 2 * leave.prod() * (fast - slow) ** 2 / (leave.sum() ** 2 * (slow * leave[1] + fast * leave[0]))
    decay = leave.sum() * window
    wanted = 1 + variance * (1 - (1 - np.exp(-decay)) / decay)
    counts = np.histogram(instants, np.arange(0, instants[-1], window))[0]
    assert len(instants) / instants[-1] == pytest.approx(rate, rel=4 * np.sqrt((1 + variance) / len(instants)))
    assert counts.var() / counts.mean() == pytest.approx(wanted, rel=5 * np.sqrt(2 / len(counts)))
    assert wanted > 5


@pytest.mark.parametrize("process", [Poisson(), Gamma(0.2)])
def test_a_day_has_its_profile_and_its_mean_rate(process: Any) -> None:
    profile, period = np.array([1.0, 0.0, 3.0, 4.0]), 200.0
    instants = Diurnal(tuple(profile), period, start=50.0, process=process).instants(10.0, 80_000, rng())
    phase = (instants + 50.0) % period
    counts = np.histogram(phase, 4, (0, period))[0]
    shares = profile / profile.sum()
    assert counts[1] == 0
    assert counts / len(instants) == pytest.approx(shares, abs=5 * np.sqrt(0.25 / len(instants)) + 1 / 400)
    assert len(instants) / instants[-1] == pytest.approx(10.0, rel=0.02)
    assert phase[0] >= 100.0, "the part without arrivals is passed over"


def test_a_sinusoid_rises_and_falls() -> None:
    instants = Sinusoid(0.8, period=100.0, start=25.0).instants(20.0, 100_000, rng())
    edges = np.linspace(0, 1, 21)
    counts = np.histogram((instants + 25.0) % 100.0 / 100.0, edges)[0]
    passed = edges + 0.8 / (2 * np.pi) * (1 - np.cos(2 * np.pi * edges))
    assert stats.chisquare(counts, len(instants) * np.diff(passed)).pvalue > 0.01


def test_at_each_tick_come_as_many_as_a_poisson_count_says() -> None:
    instants = Ticked(tick=2.0).instants(1.5, 30_000, rng())
    assert set(np.unique(instants % 2.0)) == {0.0}
    counts = np.bincount((instants / 2.0).astype(int))[:-1]
    assert (counts.mean(), counts.var()) == (pytest.approx(3.0, rel=0.03), pytest.approx(3.0, rel=0.05))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    process=st.one_of(
        st.builds(Gamma, st.floats(0.01, 100)),
        st.builds(Weibull, st.floats(0.01, 100)),
        st.builds(MarkovModulated, st.tuples(st.floats(0, 9), st.floats(0.1, 9)), st.just((3.0, 0.5))),
        st.builds(Diurnal, st.lists(st.floats(0.01, 9), min_size=1), st.floats(1, 1e5), st.floats(0, 1e6)),
        st.builds(Ticked, st.floats(0.01, 60)),
        st.builds(Sinusoid, st.floats(0, 1), st.floats(1, 1e5), st.floats(0, 1e6), st.builds(Gamma, st.floats(0.1, 9))),
    ),
    rate=st.floats(0.01, 1000),
    requests=st.integers(1, 200),
    seed=st.integers(0, 2**32),
)
def test_any_process_with_any_lengths_is_a_trace_that_its_seed_settles(process, rate, requests, seed) -> None:
    source = Synthetic(rate, requests, process, SHORT, max_tokens=200)
    table = replay(source, seed)
    assert len(table) == requests
    assert table.equals(replay(source, seed))
    assert "synthetic" in source.provenance


def test_arrivals_and_lengths_do_not_depend_on_one_another() -> None:
    one = replay(Synthetic(1.0, 50, Poisson(), SHORT))
    other = replay(Synthetic(1.0, 50, Gamma(2.0), SHORT))
    assert one["prompt_tokens"].equals(other["prompt_tokens"])
    assert not one["arrival"].equals(other["arrival"])


def test_a_lognormal_is_truncated_without_a_heap_at_its_bounds() -> None:
    drawn = Lognormal(100, 1.0, shortest=50, longest=400).draw(40_000, rng())
    whole = Lognormal(100, 1.0).draw(400_000, rng(1))
    inside = whole[(whole >= 50) & (whole <= 400)]
    assert drawn.min() == 50
    assert drawn.max() == 400
    assert stats.ks_2samp(drawn, inside).pvalue > 0.01
    assert np.median(whole) == pytest.approx(100, rel=0.01)
    assert np.log(whole).std() == pytest.approx(1.0, rel=0.01)


def test_zipf_has_its_exponent() -> None:
    drawn = Zipf(1.3, 2, 60).draw(100_000, rng())
    weights = np.arange(2, 61.0) ** -1.3
    counts = np.bincount(drawn.astype(int), minlength=61)[2:]
    assert stats.chisquare(counts, len(drawn) * weights / weights.sum()).pvalue > 0.01


def test_quantiles_are_those_given() -> None:
    levels, tokens = (0.0, 0.5, 0.9, 0.99, 1.0), (4, 1020, 2734, 4142, 4200)
    drawn = Quantiles(levels, tokens).draw(100_000, rng())
    for level, wanted in zip(levels[1:4], tokens[1:4], strict=True):
        assert (drawn <= wanted).mean() == pytest.approx(level, abs=5 * np.sqrt(0.25 / len(drawn)))
    assert drawn.min() >= 4
    assert drawn.max() <= 4200


def stored(_: Path) -> pd.DataFrame:
    return pd.DataFrame({"arrival": 0.0, "prompt_tokens": np.arange(1, 101), "output_tokens": np.arange(1, 101) * 7})


def test_copied_pairs_are_rows_of_the_trace_and_training_has_others(tmp_path: Path) -> None:
    (tmp_path / "made").touch()
    copied = Copied(str(tmp_path / "made"), stored, longest=8 * 90, training_share=0.2)
    source = Synthetic(1.0, 3000, Poisson(), copied)
    table, training = replay(source), source.training()
    assert (table["output_tokens"] == 7 * table["prompt_tokens"]).all()
    assert set(table["prompt_tokens"]) == set(range(21, 91))
    assert set(training["prompt_tokens"]) == set(range(1, 21))
    with pytest.raises(TraceError, match="no row of up to 7 tokens"):
        replay(Synthetic(1.0, 1, Poisson(), Copied(str(tmp_path / "made"), stored, longest=7)))


def test_what_the_cap_cuts_is_counted() -> None:
    free = replay(Synthetic(1.0, 500, Poisson(), SHORT))
    capped = replay(Synthetic(1.0, 500, Poisson(), SHORT, max_tokens=100))
    assert capped["output_tokens"].max() == 100
    assert capped.attrs["cut"] == (free["output_tokens"] > 100).sum() > 0


def test_clients_are_popular_bursty_and_wordy_as_their_population_says() -> None:
    source = MIX(rate=20.0, requests=60_000, clients=8)
    table, population = replay(source), source.population
    assert population["share"].to_numpy() == pytest.approx((1 / np.arange(1, 9)) / (1 / np.arange(1, 9)).sum())
    assert len(table) / table["arrival"].iloc[-1] == pytest.approx(20.0, rel=0.05)
    for number, client in population.iterrows():
        own = table[table["client"] == f"client {number}"]
        gaps = np.diff(own["arrival"])
        assert len(own) / len(table) == pytest.approx(client["share"], rel=6 * client["cv"] / np.sqrt(len(own)))
        assert gaps.std() / gaps.mean() == pytest.approx(client["cv"], rel=0.15)
        assert own["prompt_tokens"].median() == pytest.approx(100 * client["prompt"], rel=0.06)
    training = source.training()
    assert set(training["client"]) == set(table["client"])
    assert training.equals(source.training())


def test_a_mix_of_clients_has_its_rate_from_the_start() -> None:
    source = MIX(rate=10.0, requests=200, clients=100, cv=3.0)
    early = [(replay(source, seed)["arrival"] < 5.0).sum() for seed in range(60)]
    assert np.mean(early) == pytest.approx(50.0, abs=4 * np.std(early) / np.sqrt(60))


@pytest.mark.parametrize("variance", [0.25, 1.0, 2.0])
def test_dialogue_has_the_stated_share_of_the_pools_variance_about_its_mean(variance: float) -> None:
    source = UncertaintyMix(rate=1.0, requests=1000, variance=variance, training_requests=10)
    tables = replay(source), replay(SyntheticDialogue(rate=1.0, requests=1000), 1)
    kinds = ([task.split("+") if task != "plain" else [] for task in table["task"]] for table in tables)
    found, pool = (np.array([source.uncertainty(one) for one in rows]) for rows in kinds)
    error = np.sqrt(sum(stats.kurtosis(one, fisher=False) - 1 for one in (found, pool)) / 1000)
    assert found.var() == pytest.approx(variance * pool.var(), rel=3 * error)
    assert found.mean() == pytest.approx(pool.mean(), abs=3 * np.sqrt((found.var() + pool.var()) / 1000))
    assert error < 0.1


def test_malicious_requests_are_as_many_as_stated_and_long() -> None:
    source = UncertaintyMix(rate=1.0, requests=600, training_requests=1000, malicious_share=0.2, max_tokens=300)
    table = replay(source)
    malicious = table[table["client"] == "malicious"]
    assert len(malicious) == table.attrs["malicious"]
    assert len(malicious) / 600 == pytest.approx(0.2, abs=4 * np.sqrt(0.16 / 600))
    pool = SyntheticDialogue(1.0, 1, max_tokens=10**7, training_requests=1000).training()
    assert malicious["output_tokens"].min() > pool["output_tokens"].quantile(0.9)
    assert (malicious["task"].str.count(r"\+") == 3).all()
    ordinary = table[table["client"] == "ordinary"]
    assert (ordinary["output_tokens"] > pool["output_tokens"].quantile(0.9)).mean() == pytest.approx(0.1, abs=0.06)
    assert table.equals(replay(source))
    assert table.attrs["cut"] >= (table["output_tokens"] == 300).sum() - 2 > 0
    assert not set(table["prompt_text"]) & set(source.training()["prompt_text"])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Gamma(0), "cv must be between 0.01 and 100, got 0"),
        (lambda: Weibull(np.nan), "cv .* got nan"),
        (lambda: MarkovModulated((0, 0), (1, 1)), r"intensities .* got \[0, 0\]"),
        (lambda: MarkovModulated((1, 2), (1,)), "two states or more, got 2 and 1"),
        (lambda: MarkovModulated((1, 2), (1, -1)), r"sojourns .* got \[1, -1\]"),
        (lambda: Diurnal(()), r"profile .* got \[\]"),
        (lambda: Diurnal((1, 2), period=0), "period .* got 0"),
        (lambda: Ticked(tick=0), "tick .* got 0"),
        (lambda: Sinusoid(1.5), "amplitude .* got 1.5"),
        (lambda: Sinusoid(0.5, start=-1), "start .* got -1"),
        (lambda: Lognormal(-5, 1), "median .* got -5"),
        (lambda: Lognormal(5, 0.1, shortest=1000), "no length of median 5 lies in 1000"),
        (lambda: Lognormal(5, 1, 9, 3), "shortest .* got 9 and 3"),
        (lambda: Zipf(-1, 1, 5), "exponent .* got -1"),
        (lambda: Quantiles((0, 0.5), (1,)), "2 or more, got 2 and 1"),
        (lambda: Quantiles((0.5, 0.2), (1, 2)), r"levels .* got \[0.5, 0.2\]"),
        (lambda: Quantiles((0, 1), (5, 2)), r"tokens .* got \[5, 2\]"),
        (lambda: Copied("a", stored, training_share=1.0), "training_share .* got 1"),
        (lambda: Synthetic(0, 1, Poisson(), SHORT), "rate .* got 0"),
        (lambda: Synthetic(1, 1, Poisson(), SHORT, max_tokens=0), "max_tokens .* got 0"),
        (lambda: MIX(rate=1, requests=1, clients=0), "clients .* got 0"),
        (lambda: MIX(rate=1, requests=1, clients=1, popularity=-1), "popularity .* got -1"),
        (lambda: UncertaintyMix(1, 1, variance=0), "variance .* got 0"),
        (lambda: UncertaintyMix(1, 1, malicious_share=2), "malicious_share .* got 2"),
        (lambda: UncertaintyMix(1, 1, malicious_kinds=7), "malicious_kinds .* got 7"),
        (lambda: replay(UncertaintyMix(1, 1, variance=50)), "no selection .* 50 times"),
    ],
)
def test_bad_settings_are_refused_by_name_and_value(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_fixed_lengths_are_all_alike():
    prompts, outputs = Fixed(1_048_576, 3).draw(4, np.random.default_rng(0), training=False)
    assert prompts.tolist() == [1_048_576] * 4
    assert outputs.tolist() == [3] * 4
    with pytest.raises(ValueError, match="output must be positive and finite, got 0"):
        Fixed(1, 0)


def counted(folder: Path, counts: list[int], **more: Any) -> MinuteCounts:
    """The process of a trace with so many requests in each minute, and one in the minute after."""
    (folder / "made").touch()
    arrival = [60.0 * minute + 0.5 * one for minute, count in enumerate([*counts, 1]) for one in range(count)]
    return MinuteCounts(str(folder / "made"), lambda path: pd.DataFrame({"arrival": arrival}), **more)


def test_arrivals_follow_the_counts_of_a_stored_traces_minutes_sped_up(tmp_path: Path) -> None:
    process = counted(tmp_path, [10, 0, 30], compress=6.0)
    instants = process.instants(20.0, 24_000, rng())
    assert process.counts.tolist() == [10, 0, 30]
    assert len(instants) / instants[-1] == pytest.approx(20.0, rel=0.05)
    starts = [counted(tmp_path, [10, 0, 30], compress=6.0).instants(20.0, 1, rng(seed))[0] for seed in range(8)]
    assert len(set(np.round(starts, 3))) == 8, "each seed begins at another instant of the trace"
    start = rng().uniform(0, 30.0)  # drawn first
    shares = np.histogram((instants + start) % 30.0, 3, (0, 30))[0] / len(instants)
    assert shares == pytest.approx([0.25, 0.0, 0.75], abs=0.02)


@pytest.mark.parametrize(
    ("counts", "more", "said"),
    [([5], {}, "two minutes are needed for counts, it has 60 s"), ([5, 5], {"compress": 0}, "compress .* got 0")],
)
def test_counts_need_minutes_and_a_speed(tmp_path: Path, counts: list[int], more: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        counted(tmp_path, counts, **more).instants(1.0, 10, rng())


def test_counts_without_the_public_data_say_where_it_was_looked_for() -> None:
    with pytest.raises(FileNotFoundError, match=r"no trace file 'traces/nowhere.csv'.*Set TOKENYARD_DATA"):
        MinuteCounts("traces/nowhere.csv", lambda path: pd.DataFrame()).instants(1.0, 10, rng())
