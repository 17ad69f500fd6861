"""Points of figures: a metric's mean over seeds with its interval, or its change from a reference over paired seeds."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from experiments.tables.labels import settings_of, shown, varying
from experiments.tables.reference import Reference, same_requests
from experiments.tables.stats import Interval, change, distinct, interval

VALUE = "value"


def points(table: pd.DataFrame, by: Sequence[str], metric: str) -> pd.DataFrame:
    """A row for each combination of the settings `by`: `seeds`, and `value`, the Interval of the metric's mean.

    ValueError for two runs of a seed there, or where no run measured it.
    """
    _once(table, by)
    rows = [
        [*key, runs["seed"].nunique(), interval(distinct(runs)[metric])]
        for key, runs in table.groupby(list(by), dropna=False, sort=True)
    ]
    return _known(
        pd.DataFrame(rows, columns=[*by, "seeds", VALUE]), f"{metric} was measured in no run{_unseen(metric)}"
    )


def changes(table: pd.DataFrame, by: Sequence[str], metric: str, reference: str) -> pd.DataFrame:
    """The same of the change in % from the runs of `reference` with equal seed and other settings: of paired seeds.

    The reference's own runs are left out. ValueError as `points`, and where pairs replayed other requests.
    """
    _once(table, by)
    of = Reference.of(reference)
    if absent := of.absent(table):
        raise ValueError(absent.removeprefix("no difference: "))
    held = of.holds(table)
    swept = [
        name
        for name in varying(table, of.axis)
        if not name.startswith(("policy", "predictor")) or table.loc[held, name].nunique() > 1
    ]
    partners = of.partners(table, swept)
    rows = []
    for key, runs in table[~held].groupby(list(by), dropna=False, sort=True):
        pairs = partners[runs.index].dropna()
        alike = same_requests(table, pairs)
        if not alike.all() and not of.of_trace:
            run = table.loc[alike[~alike].index[0], "run"]
            raise ValueError(f"not paired: run {run} and others replayed other requests than those of {of}")
        ours, theirs = (table.loc[index, metric].to_numpy() for index in (pairs.index, pairs))
        both = pd.DataFrame({"ours": ours, "theirs": theirs}).drop_duplicates()
        if len(both):
            rows.append([*key, len(both), change(both["ours"], both["theirs"])])
    found = pd.DataFrame(rows, columns=[*by, "seeds", VALUE])
    return _known(found, f"no run of {of} measured a {metric} above 0 beside another's with its seed and settings")


def _once(table: pd.DataFrame, by: Sequence[str]) -> None:
    keys = [*by, "seed"]
    twice = table[table.duplicated(keys, keep=False)]
    if len(twice):
        same = next(own for _, own in twice.groupby(keys, dropna=False))
        said = ", ".join(f"{name}={shown(same.iloc[0][name])}" for name in keys)
        others = [name for name in settings_of(same) if same[name].map(shown).nunique() > 1]
        raise ValueError(f"two runs at {said}: they differ in {', '.join(others) or 'nothing that a table shows'}")


def _known(found: pd.DataFrame, otherwise: str) -> pd.DataFrame:
    """`found` without the points that are no number; ValueError if none is left."""
    kept = found[[isinstance(one, Interval) and abs(one.mean) < float("inf") for one in found[VALUE]]]
    if not len(kept):
        raise ValueError(otherwise)
    return kept.reset_index(drop=True)


def _unseen(metric: str) -> str:
    """Why a metric may be missing in every run."""
    if metric.startswith(("ttft", "tpot")):
        return ": static batches show no first token, policy/batching=continuous does"
    return ": it is told with record=steps or jobs" if metric.startswith("itl") else ""
