"""What the figures of papers are drawn from: stored sweeps, and changes against a reference over paired seeds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from experiments.run.results import Folder
from experiments.tables.collect import collect, complete_folders
from experiments.tables.reference import REPLAY
from experiments.tables.stats import Interval, change, interval

METRICS = {
    "response_time_mean": "mean response time",
    "response_time_max": "maximum response time",
    "throughput_requests": "throughput",
}
OF_REFERENCE = " of reference"  # what is appended to the name of a metric


class Figure(NamedTuple):
    """A figure or a table of a paper: what it shows, and what makes it from stored results and returns its files."""

    about: str
    make: Callable[[Stored, Path], list[Path]]


@dataclass(frozen=True)
class Stored:
    """The results below `root`, a folder a sweep, with the `settings` that tell traces apart; a sweep is read once."""

    root: Path
    settings: Sequence[str] = ()
    _tables: dict[str, pd.DataFrame] = field(default_factory=dict)

    def table(self, sweep: str) -> pd.DataFrame:
        """The complete runs of `sweep` with their settings; FileNotFoundError, which says how to make them."""
        if sweep not in self._tables:
            try:
                folders = complete_folders(self.root / sweep)
            except FileNotFoundError:
                at = "" if self.root == Path("results") else f" results={self.root}"
                raise FileNotFoundError(
                    f"no complete run in {self.root / sweep}; to make them: tokenyard -m experiment={sweep}{at}"
                ) from None
            others = len(list((self.root / sweep).glob("**/status.json"))) - len(folders)
            if others:
                print(f"{sweep}: {others} runs are not complete, and left out", file=sys.stderr)
            table = collect(folders, ("trace.requests", *self.settings))
            if table["trace.requests"].nunique() > 1:
                raise ValueError(
                    f"{self.root / sweep} has runs of {' and '.join(map(str, sorted(set(table['trace.requests']))))} "
                    "requests: remove those of one kind"
                )
            self._tables[sweep] = table
        return self._tables[sweep]

    def tables(self, sweeps: Iterable[str]) -> dict[str, pd.DataFrame]:
        """Those of `sweeps` that have runs; what has none is said on stderr. FileNotFoundError if none has any."""
        found, errors = {}, []
        for sweep in sweeps:
            try:
                found[sweep] = self.table(sweep)
            except FileNotFoundError as error:
                errors.append(error)
        if not found:
            raise errors[0]
        for missing in errors:
            print(f"left out: {missing}", file=sys.stderr)
        return found

    def requests(self, sweep: str, run: str, columns: Sequence[str]) -> pd.DataFrame:
        """So many columns of the requests of one run."""
        return pd.read_parquet(Folder(self.root / sweep / run).path / "requests.parquet", columns=list(columns))


def of(table: pd.DataFrame, **values: object) -> pd.DataFrame:
    """The rows with these values (of trace.rate as `trace__rate`), or any of a tuple's; ValueError for none."""
    for name, value in values.items():
        wanted = value if isinstance(value, tuple) else (value,)
        found = table[table[name.replace("__", ".")].isin(wanted)]
        if not len(found):
            raise ValueError(f"no run with {name.replace('__', '.')}={value}: has the sweep been cut short?")
        table = found
    return table


def against(
    table: pd.DataFrame, reference: pd.DataFrame, at: Sequence[str], metrics: Iterable[str] = METRICS
) -> pd.DataFrame:
    """`table` with each metric of the run of `reference` with equal `at` and seed beside it: the pairs of `over_seeds`.

    Runs without such a one are left out. ValueError for a reference with two runs there, and for pairs that replayed
    different requests though no setting of the trace asks for that.
    """
    keys, metrics = [*at, "seed"], list(metrics)
    twice = reference[reference.duplicated(keys)]
    if len(twice):
        raise ValueError(f"two runs to compare with, at {_said(keys, twice.iloc[0][keys])}: remove the older ones")
    digests = [REPLAY] if REPLAY in table and REPLAY in reference else []
    names = {name: name + OF_REFERENCE for name in [*metrics, *digests]}
    theirs = reference[[*keys, *names]].rename(columns=names)
    merged = table.drop(columns=names.values(), errors="ignore").merge(theirs, on=keys)
    for digest in digests:
        _same_requests(merged, merged[digest] != merged[digest + OF_REFERENCE], reference, keys)
    return merged


def _same_requests(merged: pd.DataFrame, differ: pd.Series, reference: pd.DataFrame, keys: Sequence[str]) -> None:
    """ValueError if runs replayed other requests than their reference, and their trace's settings are the same."""
    asked = [name for name in merged if name.startswith("trace.") and name not in keys]
    asked = [
        name for name in asked if name not in reference or set(merged[name].map(str)) != set(reference[name].map(str))
    ]
    if differ.any() and not asked:
        raise ValueError(
            f"not paired: {differ.sum()} of {len(merged)} runs replayed other requests than those to compare with (the "
            f"first at {_said(keys, merged[differ].iloc[0][list(keys)])}); where rows are kept for training give "
            "trace.training_share=..., the same in all of them"
        )


def over_seeds(
    table: pd.DataFrame, by: Sequence[str], metrics: Iterable[str] = METRICS, averaged: Sequence[str] = ()
) -> pd.DataFrame:
    """A row for each value of `by`: `seeds`, and each metric with its 95 % interval.

    That is its mean over seeds, or, of runs with a reference's beside them (`against`), its change: the ratio of the
    means over seeds, less 1, in %. Both are averaged over the columns `averaged`, changes with a column `weight` as
    factors; seeds that lack one of the others' values are left out. ValueError for two runs that only something else
    tells apart.
    """
    metrics, by = list(metrics), list(by)
    twice = table[table.duplicated([*by, *averaged, "seed"])]
    if len(twice):
        raise ValueError(f"two runs at {_said([*by, 'seed'], twice.iloc[0][[*by, 'seed']])}: remove the older ones")
    rows = []
    for key, own in table.groupby(by, dropna=False, sort=False):
        counts = own.groupby("seed")["seed"].transform("size")
        cells = len(own[list(averaged)].drop_duplicates()) if averaged else 1
        whole = own[counts == cells].sort_values(["seed", *averaged])
        rows.append([*key, whole["seed"].nunique(), *(_over_seeds(whole, name, cells) for name in metrics)])
    return pd.DataFrame(rows, columns=[*by, "seeds", *metrics])


def _over_seeds(whole: pd.DataFrame, metric: str, cells: int) -> Interval:
    """The mean or the change of one metric, of runs in the order of seeds and, within a seed, of cells."""
    columns: list[Any] = [
        whole[name].to_numpy(dtype=float).reshape(-1, cells) if name in whole else None
        for name in (metric, metric + OF_REFERENCE, "weight")
    ]
    ours, theirs, weights = columns
    if theirs is None:
        return interval(pd.DataFrame(ours).mean(axis=1))
    return change(ours, theirs, weights[0] / cells if weights is not None and len(weights) else None)


def _said(names: Sequence[str], values: Iterable[object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in zip(names, values, strict=True))


def in_order(values: Iterable[Hashable], known: Sequence[Hashable]) -> list[Hashable]:
    """The different values, those in `known` first, in its order; the others as they come."""
    found = set(values := list(values))
    return list(dict.fromkeys([*(value for value in known if value in found), *values]))


def ordering(known: Sequence[Hashable]) -> Callable[[pd.Series], pd.Series]:
    """A key for `sort_values` that puts a column's values in the order of `known`, others after them."""
    return lambda column: column.map({value: at for at, value in enumerate(in_order(column, known))})
