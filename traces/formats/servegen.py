"""Traces sampled from the client windows that ServeGen published (alibaba/ServeGen, Apache-2.0).

One table says, for each client and window of 600 s, the rate and how requests are spread in time; the other, for each
client and window of six hours, quantiles of the lengths. No request in them is one that was recorded.

What the columns p1 and p2 are was found from the tables: p1 is a shape, p2 a scale in seconds. In every Gamma window
p1 ** -0.5 is the stated cv, and p1 * p2 the mean gap that the stated rate gives, within 1 % in 84 % of them. A Weibull
window's p1 and p2 are a fit to its gaps, whose mean is 1.22 times the stated one in the median, and up to thousands. So
here gaps have the shape p1, and the scale that gives the stated rate; the cv of such Weibull gaps is 0.8 times the
stated one in the median.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from traces.formats.parquet import read_columns
from traces.locate import public_file
from traces.schema import LONGEST, TraceError, check, check_columns

WINDOW = 600.0  # s, for which a rate holds
HOUR = 3600.0
PROBABILITIES = {
    "q01": 0.01,
    "q05": 0.05,
    "q10": 0.1,
    "q25": 0.25,
    "q50": 0.5,
    "q75": 0.75,
    "q90": 0.9,
    "q95": 0.95,
    "q99": 0.99,
    "q999": 0.999,
}
SMALLEST = {"Gamma": 0.005, "Weibull": 0.1}  # shapes; with a smaller one all gaps but a few in a million are nothing
LENGTHS = {"prompt_tokens": "input_tokens", "output_tokens": "output_tokens"}
FIELDS = (*LENGTHS.values(), "reason_ratio")  # the last, of the answer that is reasoning, is not used
RATES_KEY, QUANTILES_KEY = ("model", "client", "t"), ("model", "client", "t", "field")
RATES = (*RATES_KEY, "rate", "cv", "pattern", "p1", "p2")
QUANTILES = (*QUANTILES_KEY, "mean", *PROBABILITIES)
TEXTS = ("model", "pattern", "field")


@dataclass(frozen=True)
class ClientWindows:
    """The windows of one model's clients: `rates` by client and start `t` (s), and for each client and field the starts
    (s) of its windows of lengths, in order, with the quantiles in each, a column for each of PROBABILITIES."""

    rates: pd.DataFrame
    quantiles: Mapping[tuple[int, str], tuple[np.ndarray, np.ndarray]]

    @classmethod
    def load(cls, rates: Path, quantiles: Path, model: str) -> ClientWindows:
        """The windows of `model` in two parquet files; TraceError names the file, row, column and value of a bad cell,
        and the models there are where `model` is not one of them."""
        windows, lengths = read_rates(rates), read_quantiles(quantiles)
        for path, table in ((rates, windows), (quantiles, lengths)):
            if model not in set(table["model"]):
                raise TraceError(f"{path}: no windows of the model {model!r}, only of {sorted(set(table['model']))}")
        own = lengths[lengths["model"] == model].sort_values("t")
        return cls(
            windows[windows["model"] == model].sort_values(["client", "t"]),
            {
                (client, field): (rows["t"].to_numpy(), rows[list(PROBABILITIES)].to_numpy(dtype=float))
                for (client, field), rows in own.groupby(["client", "field"])
            },
        )

    def between(self, start: float, end: float, clients: int | None) -> pd.DataFrame:
        """The windows in [start, end) s, cut to it, of the `clients` (None: all) that send most and have lengths.

        `requests` is how many are expected of each. `attrs["left_out"]` is the share of all requests in that time that
        clients without published lengths send. ValueError if there is no window.
        """
        rows = self.rates.assign(
            begin=self.rates["t"].clip(lower=start), end=(self.rates["t"] + WINDOW).clip(upper=end)
        )
        rows = rows[rows["begin"] < rows["end"]]
        rows = rows.assign(requests=rows["rate"] * (rows["end"] - rows["begin"]))
        known = rows["client"].map(lambda client: all((client, field) in self.quantiles for field in LENGTHS.values()))
        if not known.any():
            raise ValueError(f"no client has a window between {start / HOUR:g} and {end / HOUR:g} hours")
        largest = rows[known].groupby("client")["requests"].sum().sort_values(ascending=False, kind="stable")
        kept = rows[rows["client"].isin(largest.index[:clients])]
        kept.attrs["left_out"] = float(rows.loc[~known, "requests"].sum() / rows["requests"].sum())
        return kept

    def lengths(self, client: int, field: str, t: float, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draws by the inverse of the quantiles, linear between two, of the window in force at `t`: the latest that
        began by then, or else the first. Nothing is published below the first quantile or above the last."""
        starts, values = self.quantiles[client, field]
        at = max(0, int(np.searchsorted(starts, t, side="right")) - 1)
        drawn = np.interp(rng.random(count), list(PROBABILITIES.values()), values[at])
        return np.maximum(1, np.rint(drawn)).astype(np.int64)


@dataclass(frozen=True)
class ServeGenSample:
    """A trace sampled from the windows of `model` in hours [`start_hour`, `end_hour`) of those published.

    `rates` and `quantiles` are the two files (found by `traces.locate.public_file`). The `clients` (None: all) that
    send most in that time are taken, each on its own, scaled together to `rate` requests/s (None: as published).
    Prompt and answer are drawn apart, for their joint distribution is not published. The same clients' hours from
    `training_hour` on, as many, are sampled with `training_seed` for training.
    """

    rates: str
    quantiles: str
    model: str
    start_hour: float
    end_hour: float
    training_hour: float
    clients: int | None = None
    rate: float | None = None
    training_seed: int = 20230911

    def __post_init__(self) -> None:
        if not 0 <= self.start_hour < self.end_hour < math.inf:
            raise ValueError(f"start_hour and end_hour must be in order from 0, got {self.start_hour}, {self.end_hour}")
        if not 0 <= self.training_hour < math.inf:
            raise ValueError(f"training_hour must not be negative, got {self.training_hour}")
        if self.clients is not None and self.clients < 1:
            raise ValueError(f"clients must be at least 1, got {self.clients}")
        if self.rate is not None and not 0 < self.rate < math.inf:
            raise ValueError(f"rate must be a positive number of requests/s, got {self.rate}")

    @property
    def provenance(self) -> str:
        """One line: where the windows come from, and which of them were sampled. Reads the files."""
        clients = "all clients" if self.clients is None else f"the {self.clients} largest clients"
        speed = "at their own rate" if self.rate is None else f"scaled to {self.rate:g} requests/s"
        windows = self._windows.between(self.start_hour * HOUR, self.end_hour * HOUR, self.clients)
        return (
            f"sampled from ServeGen's published client windows ({self.model}, {clients}, hours {self.start_hour:g} to "
            f"{self.end_hour:g}, without the {windows.attrs['left_out']:.1%} of requests whose clients' lengths are "
            f"not published, alibaba/ServeGen, Apache-2.0), {speed}"
        )

    def replay(self, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        """One sample: `arrivals` draws the instants, `lengths` the tokens."""
        return self._sample(self.start_hour, arrivals, lengths)

    def training(self) -> pd.DataFrame:
        """The sample of the hours from `training_hour` on, the same at each call."""
        arrivals, lengths = (np.random.default_rng(one) for one in np.random.SeedSequence(self.training_seed).spawn(2))
        return self._sample(self.training_hour, arrivals, lengths)

    @cached_property
    def _windows(self) -> ClientWindows:
        return ClientWindows.load(public_file(self.rates), public_file(self.quantiles), self.model)

    def _sample(self, hour: float, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        start, seconds = hour * HOUR, (self.end_hour - self.start_hour) * HOUR
        windows = self._windows.between(start, start + seconds, self.clients)
        factor = 1.0 if self.rate is None else self.rate * seconds / windows["requests"].sum()
        columns: dict[str, list[np.ndarray]] = {"arrival": [], "client": [], **{name: [] for name in LENGTHS}}
        for row in windows.itertuples():
            instants = renewal(arrivals, row.pattern, row.p1, row.rate * factor, row.end - row.begin)
            columns["arrival"].append(row.begin - start + instants)
            columns["client"].append(np.full(len(instants), row.client))
            for name, field in LENGTHS.items():
                columns[name].append(self._windows.lengths(row.client, field, row.t, lengths, len(instants)))
        table = pd.DataFrame({name: np.concatenate(parts) for name, parts in columns.items()})
        table = table.astype({"client": str}).sort_values("arrival", kind="stable")
        table.attrs["read"] = len(table)
        return check(table, self.provenance)


def renewal(rng: np.random.Generator, pattern: str, shape: float, rate: float, seconds: float) -> np.ndarray:
    """Instants in [0, seconds) of a stationary renewal process of `rate` per s with Gamma or Weibull gaps.

    It is met at a random time: the gap that 0 falls into is drawn by its length (a gap of shape k by length is a Gamma
    of shape k + 1, or a Weibull gap whose k-th power is a Gamma of 1 + 1/k), and 0 evenly within it. So the expected
    count is rate * seconds however short the window is.
    """
    if pattern == "Gamma":
        scale = 1 / (rate * shape)
        around = scale * rng.standard_gamma(shape + 1)
    else:
        scale = 1 / (rate * math.gamma(1 + 1 / shape))
        around = scale * rng.standard_gamma(1 + 1 / shape) ** (1 / shape)
    instants = [np.array([rng.random() * around])]
    while (last := instants[-1][-1]) < seconds:
        count = 16 + int(1.1 * rate * (seconds - last))
        gaps = rng.standard_gamma(shape, count) if pattern == "Gamma" else rng.weibull(shape, count)
        instants.append(last + np.cumsum(scale * gaps))
    found = np.concatenate(instants)
    return found[found < seconds]


def read_rates(path: Path) -> pd.DataFrame:
    """All models' windows of rates; TraceError names the row (from 1), column and value of a bad cell."""
    table = _read(path, RATES, RATES_KEY)
    _refuse(path, table, "t", table["t"] % WINDOW != 0, f"is not a multiple of {WINDOW:g} s")
    for name in ("rate", "p2"):
        _refuse(path, table, name, table[name] <= 0, "is not positive")
    _refuse(path, table, "pattern", ~table["pattern"].isin(list(SMALLEST)), f"is none of {', '.join(SMALLEST)}")
    _refuse(path, table, "p1", table["p1"] < table["pattern"].map(SMALLEST), "is too small for a shape")
    return table


def read_quantiles(path: Path) -> pd.DataFrame:
    """All models' windows of quantiles; TraceError names the row (from 1), column and value of a bad cell."""
    table = _read(path, QUANTILES, QUANTILES_KEY)
    _refuse(path, table, "field", ~table["field"].isin(FIELDS), f"is none of {', '.join(FIELDS)}")
    highest = np.where(table["field"] == FIELDS[-1], 1, LONGEST)
    before = 0
    for name in PROBABILITIES:
        _refuse(path, table, name, table[name] > highest, "is above what it can be")
        _refuse(path, table, name, table[name] < before, "is below the quantile before it")
        before = table[name]
    return table


def _read(path: Path, columns: tuple[str, ...], key: tuple[str, ...]) -> pd.DataFrame:
    """The table in a parquet file of `columns`, whose `key` no two rows share: texts, and finite numbers from 0."""
    table, _ = read_columns(path)
    check_columns(table, str(path), columns, columns)
    for name in columns:
        if name in TEXTS:
            _refuse(path, table, name, ~table[name].map(lambda cell: isinstance(cell, str)).astype(bool), "is not text")
        elif table[name].dtype.kind not in "iuf":
            raise TraceError(f"{path}: {name} holds {table[name].dtype}, not numbers")
        else:
            _refuse(path, table, name, ~np.isfinite(table[name]), "is not finite")
            _refuse(path, table, name, table[name] < 0, "is negative")
    unwhole = (table["client"] % 1 != 0) | (table["client"] >= 2**63)
    _refuse(path, table, "client", unwhole, "is not a whole number of 64 bits")
    _refuse(path, table, key[-1], table.duplicated(list(key)), f"was there before for its {', '.join(key[:-1])}")
    return table.astype({"client": np.int64})


def _refuse(path: Path, table: pd.DataFrame, name: str, bad: pd.Series, reason: str) -> None:
    if bad.any():
        row = int(np.argmax(bad.to_numpy()))
        raise TraceError(f"{path}, row {row + 1}: {name} {table[name].iloc[row]!r} {reason}")
