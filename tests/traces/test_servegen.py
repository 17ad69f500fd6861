"""Traces sampled from ServeGen's client windows: rates, burstiness and quantiles are the stated ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from traces.formats.servegen import (
    HOUR,
    LENGTHS,
    PROBABILITIES,
    WINDOW,
    ClientWindows,
    ServeGenSample,
    read_quantiles,
    read_rates,
    renewal,
)  # fmt: skip
from traces.schema import TraceError

INPUTS = dict(zip(PROBABILITIES, (10.0, 20.0, 30.0, 60.0, 100.0, 200.0, 400.0, 500.0, 900.0, 1000.0), strict=True))
OUTPUTS = {name: value / 10 for name, value in INPUTS.items()}


def window(number: int, start: float, **changes: Any) -> dict[str, Any]:
    row = {
        "t": start,
        "rate": 20.0,
        "cv": 2.0,
        "pattern": "Gamma",
        "p1": 0.25,
        "p2": 0.2,
        "model": "m",
        "client": number,
    }
    return {**row, **changes}


def quantiles(client: int, t: float, **changes: Any) -> list[dict[str, Any]]:
    key = {"model": "m", "client": client, "t": t}
    return [
        {**key, "field": "input_tokens", "mean": 170.0, **INPUTS, **changes},
        {**key, "field": "output_tokens", "mean": 17.0, **OUTPUTS},
    ]


def sample(
    folder: Path, windows: list[dict[str, Any]], lengths: list[dict[str, Any]], **changes: Any
) -> ServeGenSample:
    paths = {"rates": folder / "rates.parquet", "quantiles": folder / "quantiles.parquet"}
    pd.DataFrame(windows).to_parquet(paths["rates"])
    pd.DataFrame(lengths).to_parquet(paths["quantiles"])
    hours = {"model": "m", "start_hour": 0.0, "end_hour": 1.0, "training_hour": 0.0}
    return ServeGenSample(**{**{name: str(path) for name, path in paths.items()}, **hours, **changes})


def drawn(source: ServeGenSample, seed: int = 0) -> pd.DataFrame:
    return source.replay(np.random.default_rng(seed), np.random.default_rng(seed + 1))


@pytest.mark.parametrize(
    ("pattern", "shape", "cv"), [("Gamma", 0.25, 2.0), ("Gamma", 4.0, 0.5), ("Weibull", 0.5, 5**0.5)]
)
def test_gaps_have_the_stated_rate_and_burstiness(pattern: str, shape: float, cv: float) -> None:
    instants = renewal(np.random.default_rng(7), pattern, shape, rate=20.0, seconds=10_000.0)
    gaps = np.diff(instants)
    assert len(instants) / 10_000 == pytest.approx(20.0, rel=0.02)
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.03)
    assert instants[0] >= 0
    assert instants[-1] < 10_000


@pytest.mark.parametrize(("pattern", "shape"), [("Gamma", 0.1), ("Gamma", 3.0), ("Weibull", 0.5), ("Weibull", 2.0)])
def test_short_windows_are_met_at_a_random_time(pattern: str, shape: float) -> None:
    rng = np.random.default_rng(3)
    counts = np.array([len(renewal(rng, pattern, shape, rate=0.01, seconds=WINDOW)) for _ in range(4000)])
    assert abs(counts.mean() - 6) < 4 * counts.std() / len(counts) ** 0.5, (
        "a process that begins at 0 has more or fewer"
    )


def test_lengths_follow_the_quantiles_in_force(tmp_path: Path) -> None:
    later = [{**row, **{name: 7.0 for name in PROBABILITIES}} for row in quantiles(1, 1200.0)]
    windows = [window(1, at * WINDOW, p1=1.0, rate=50.0) for at in range(6)]
    table = drawn(sample(tmp_path, windows, quantiles(1, 600.0) + later))
    first = table[table["arrival"] < 1200]
    for name, stated in (("prompt_tokens", INPUTS), ("output_tokens", OUTPUTS)):
        for quantile in ("q05", "q25", "q50", "q75", "q90", "q95"):
            # 60,000 draws: four standard errors of the share that is not above the quantile
            share = (first[name] <= stated[quantile] + 0.5).mean()
            below = (first[name] <= stated[quantile] - 0.6).mean()
            assert below - 0.01 < PROBABILITIES[quantile] < share + 0.01, (name, quantile)
        assert first[name].min() == max(1, stated["q01"])
        assert first[name].max() == stated["q999"]
        assert table.loc[table["arrival"] >= 1200, name].unique().tolist() == [7]


def test_clients_keep_their_own_windows_and_hours_are_cut(tmp_path: Path) -> None:
    windows = [
        window(1, 0.0, rate=30.0),
        window(1, 600.0, rate=10.0),
        window(2, 600.0, rate=5.0),
        window(3, 0.0, rate=1.0),
    ]
    lengths = [row for client in (1, 2, 3) for row in quantiles(client, 0.0)]
    source = sample(tmp_path, windows, lengths, end_hour=900 / HOUR, clients=2)
    table = drawn(source)
    assert set(table["client"]) == {"1", "2"}
    assert table["arrival"].is_monotonic_increasing
    assert table["arrival"].max() < 900
    counts = table.groupby(["client", table["arrival"] >= 600]).size()
    assert counts["1"].tolist() == pytest.approx([18_000, 3000], rel=0.12)
    assert counts["2"].to_dict() == {True: pytest.approx(1500, rel=0.2)}
    assert "the 2 largest clients" in source.provenance
    assert source.provenance.startswith("sampled from ServeGen's published client windows (m,")


def test_a_rate_scales_all_clients_alike(tmp_path: Path) -> None:
    windows = [window(client, at * WINDOW, rate=10.0 * client, p1=1.0) for client in (1, 3) for at in range(6)]
    source = sample(tmp_path, windows, quantiles(1, 0.0) + quantiles(3, 0.0), rate=8.0)
    table = drawn(source)
    assert table.attrs["read"] == len(table)
    assert len(table) / HOUR == pytest.approx(8.0, rel=0.03)
    assert (table["client"] == "3").mean() == pytest.approx(0.75, abs=0.02)
    assert "scaled to 8 requests/s" in source.provenance
    assert drawn(source).equals(table)
    assert not drawn(source, seed=5).equals(table)
    assert source.training().equals(source.training())


def test_clients_without_lengths_are_left_out_and_said(tmp_path: Path) -> None:
    source = sample(tmp_path, [window(1, 0.0, rate=30.0), window(2, 0.0, rate=10.0)], quantiles(2, 0.0))
    assert set(drawn(source)["client"]) == {"2"}
    assert "without the 75.0% of requests whose clients' lengths are not published" in source.provenance
    with pytest.raises(ValueError, match="no client has a window between 3 and 4 hours"):
        drawn(sample(tmp_path, [window(1, 0.0)], quantiles(1, 0.0), start_hour=3.0, end_hour=4.0))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rate": 0.0}, "rate .*0.0.* is not positive"),
        ({"rate": np.nan}, "rate .* is not finite"),
        ({"rate": np.inf}, "rate .* is not finite"),
        ({"p1": -1.0}, "p1 .* is negative"),
        ({"p1": 0.01, "pattern": "Weibull"}, "p1 .* is too small for a shape"),
        ({"pattern": "Poisson"}, "pattern 'Poisson' is none of Gamma, Weibull"),
        ({"t": 601.0}, "t .* is not a multiple of 600 s"),
        ({"t": 0.0}, "t .* was there before for its model, client"),
        ({"model": None}, "model .* is not text"),
        ({"client": 1.5}, "client .* is not a whole number"),
    ],
)
def test_a_bad_rate_is_named(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    path = tmp_path / "rates.parquet"
    pd.DataFrame([window(1, 0.0), window(1, 600.0, **changes)]).to_parquet(path)
    with pytest.raises(TraceError, match=rf"rates.parquet, row 2: {said}"):
        read_rates(path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"q25": 20.0}, "q25 .* is below the quantile before it"),
        ({"q999": 1e8}, "q999 .* is above what it can be"),
        ({"q50": np.nan}, "q50 .* is not finite"),
        ({"field": "reason_ratio"}, "q01 .* is above what it can be"),
        ({"field": "tokens"}, "field 'tokens' is none of input_tokens"),
        ({"field": "output_tokens"}, "field 'output_tokens' was there before for its model, client, t"),
    ],
)
def test_a_bad_quantile_is_named(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    path = tmp_path / "quantiles.parquet"
    pd.DataFrame([quantiles(1, 0.0)[1], {**quantiles(1, 0.0)[0], **changes}]).to_parquet(path)
    with pytest.raises(TraceError, match=f"quantiles.parquet, row 2: {said}"):
        read_quantiles(path)


def test_a_client_is_a_whole_number_of_64_bits_and_a_coded_text_is_a_text(tmp_path: Path) -> None:
    path = tmp_path / "rates.parquet"
    pd.DataFrame([window(1, 0.0), window(1e300, 0.0)]).to_parquet(path)
    with pytest.raises(TraceError, match=r"rates.parquet, row 2: client .*1e\+300.* is not a whole number of 64 bits"):
        read_rates(path)
    pd.DataFrame([window(1, 0.0)]).astype({"pattern": "category"}).to_parquet(path)
    assert read_rates(path)["pattern"].tolist() == ["Gamma"]


def test_other_files_models_and_settings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rates.parquet"
    path.write_bytes(b"PAR1" + bytes(100))
    with pytest.raises(TraceError, match=r"rates.parquet: cannot be read as parquet"):
        read_rates(path)
    pd.DataFrame([window(1, 0.0)]).drop(columns="cv").to_parquet(path)
    with pytest.raises(TraceError, match=r"rates.parquet: missing column 'cv'"):
        read_rates(path)
    pd.DataFrame([window(1, 0.0, rate="fast")]).to_parquet(path)
    with pytest.raises(TraceError, match=r"rates.parquet: rate holds .*, not numbers"):
        read_rates(path)
    with pytest.raises(TraceError, match=r"rates.parquet: no windows of the model 'x', only of \['m'\]"):
        drawn(sample(tmp_path, [window(1, 0.0)], quantiles(1, 0.0), model="x"))
    for changes, said in (
        ({"end_hour": 0.0}, "in order from 0, got 0.0, 0.0"),
        ({"clients": 0}, "clients must be at least 1, got 0"),
        ({"rate": float("nan")}, "rate must be a positive number of requests/s, got nan"),
        ({"training_hour": -1.0}, "training_hour must not be negative, got -1.0"),
    ):
        with pytest.raises(ValueError, match=said):
            sample(tmp_path, [window(1, 0.0)], quantiles(1, 0.0), **changes)


def test_a_sample_of_the_published_windows_has_their_rates_burstiness_and_medians(shared_data: Path) -> None:
    paths = [str(shared_data / "traces" / f"servegen_{name}.parquet") for name in ("client_rates", "length_quantiles")]
    source = ServeGenSample(*paths, "deepseek-r1", 14.0, 15.0, training_hour=6.0, clients=5)
    published = ClientWindows.load(*map(Path, paths), "deepseek-r1")
    windows = published.between(14 * HOUR, 15 * HOUR, 5)
    table = drawn(source)
    assert len(table) == pytest.approx(windows["requests"].sum(), rel=0.02)
    compared = 0
    for row in windows[(windows["pattern"] == "Gamma") & (windows["requests"] > 2000)].itertuples():
        inside = table["arrival"].between(row.begin - 14 * HOUR, row.end - 14 * HOUR)
        gaps = np.diff(table["arrival"][(table["client"] == str(row.client)) & inside])
        assert gaps.std() / gaps.mean() == pytest.approx(row.cv, rel=0.1)
        compared += 1
    assert compared > 2
    for (client, name), rows in table.melt("client", [*LENGTHS]).groupby(["client", "variable"]):
        starts, values = published.quantiles[int(client), LENGTHS[name]]
        low, high = values[starts <= 14 * HOUR][-1][[3, 5]]  # the quartiles
        assert (rows["value"] <= high + 0.5).mean() > 0.75 - 0.05
        assert (rows["value"] >= low - 0.5).mean() > 0.75 - 0.05
