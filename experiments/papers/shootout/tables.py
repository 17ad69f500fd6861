"""What the shoot-out's tables and figures show: changes against first come, first served, paired by seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from experiments.papers.shootout.runs import FIFTHS, LONGEST, TRACES
from experiments.tables.stats import Interval, change, holm, interval, p_value

MEAN, P99 = "response_time_mean", "response_time_p99"
CELL = ("trace", "kv", "load")
VARIANT = ("contender", "predictor", "eviction")
FIFO = ("fifo", "none", "kept")
MEMORIES = ("ample", "short")
HEAVY = 1.2  # the load at which all are compared
BLIND = ("fifo", "fb", "skip_join", "uniboost")  # who asks for no prediction
MAIN = ("fifo", "sjf", "ssjf", "up", "tie", "a_min", "boost", "srpt", "gittins", "fb", "ltr")
OTHERS = ("hpf", "luf", "muf", "aging", "lamps", "gittins_waiting", "alise", "trail", "skip_join", "uniboost")
PARTS: Mapping[str, tuple[str, str, str]] = {  # what the gain is made of, by name; see `parts`
    "fifo, KV dropped": ("fifo", "none", "recompute"),
    "sjf, wrong lengths": ("sjf", "shuffled", "kept"),
    "sjf": ("sjf", "told", "kept"),
    "sjf, KV dropped": ("sjf", "told", "recompute"),
    "shortest, true lengths": ("shortest", "oracle", "kept"),
    "srpt, wrong lengths": ("srpt", "shuffled", "kept"),
    "srpt": ("srpt", "told", "kept"),
    "srpt, KV dropped": ("srpt", "told", "recompute"),
    "srpt, KV swapped at once": ("srpt", "told", "swap"),
    "srpt, true lengths": ("srpt", "oracle", "kept"),
    "gittins, no preemption": ("gittins_waiting", "told", "kept"),
    "gittins, workload's law": ("gittins", "shuffled", "kept"),
    "gittins": ("gittins", "told", "kept"),
    "fb": ("fb", "none", "kept"),
}


def changes(found: pd.DataFrame, metrics: Iterable[str] = (MEAN,), by: Sequence[str] = CELL) -> pd.DataFrame:
    """By cell and variant: `seeds`, and of each metric the change against FIFO in the same cell, in % (`Interval`).

    With fewer columns in `by` it is averaged over the cells that these do not tell apart.
    """
    metrics = list(metrics)
    reference = _of(found, FIFO).set_index([*CELL, "seed"])[metrics]
    rows = []
    for key, own in found.groupby([*by, *VARIANT], sort=False):
        ours = own.set_index([*CELL, "seed"])[metrics]
        theirs = reference.reindex(ours.index)
        pairs = [_pairs(ours[name], theirs[name]) for name in metrics]
        values = [change(both["ours"].to_numpy(), both["theirs"].to_numpy()) for both in pairs]
        rows.append([*key, min(map(len, pairs)), *values])
    return pd.DataFrame(rows, columns=[*by, *VARIANT, "seeds", *metrics])


def _pairs(ours: pd.Series, theirs: pd.Series) -> pd.DataFrame:
    """A row for each seed that has all cells of both, a column for each cell of each; what is there twice, once."""
    both = {"ours": ours.unstack([*CELL]), "theirs": theirs.unstack([*CELL])}
    return pd.concat(both, axis=1).dropna().drop_duplicates()


def _of(found: pd.DataFrame, variant: tuple[str, str, str]) -> pd.DataFrame:
    own = found[(found[list(VARIANT)] == list(variant)).all(axis=1)]
    if own.empty:
        raise ValueError(f"no run of {', '.join(variant)}: has the sweep been cut short?")
    return own


def told(found: pd.DataFrame) -> pd.DataFrame:
    """The runs with each contender's usual predictor and eviction: those of the main sweeps, and of the others."""
    usual = found["contender"].isin(BLIND).map({True: "none", False: "told"})
    return found[(found["predictor"] == usual) & (found["eviction"].isin(("kept", "waiting_time")))]


def certain(table: pd.DataFrame, metric: str = MEAN) -> pd.Series:
    """Whether each change of `table` differs from 0 after Holm's correction for all of them but FIFO's own."""
    values = [
        float("nan") if row["contender"] == "fifo" else p_value(row[metric], row["seeds"])
        for row in table.to_dict("records")
    ]
    return pd.Series(holm(values) < 0.05, index=table.index)


def main(found: pd.DataFrame, metric: str = MEAN, load: float = HEAVY) -> pd.DataFrame:
    """By contender: the change of `metric` in each cell of `load`, and in the mean of them; * where it is certain.

    The corrected family are all changes of the table.
    """
    own = told(found[found["load"] == load])
    cells = changes(own, [metric])
    cells["cell"] = cells["trace"] + ", " + cells["kv"]
    overall = changes(own, [metric], ["load"]).assign(cell="all")
    every = pd.concat([cells, overall], ignore_index=True)
    every["sure"] = certain(every, metric)
    every["text"] = [_marked(value, sure) for value, sure in zip(every[metric], every["sure"], strict=True)]
    order = [f"{trace}, {kv}" for trace in TRACES for kv in MEMORIES]
    table = every.pivot(index="contender", columns="cell", values="text")
    wanted = [name for name in (*MAIN, *OTHERS) if name in table.index and name != "fifo"]
    return table.reindex(index=wanted, columns=[*order, "all"]).fillna("").reset_index()


def _marked(value: Interval, sure: bool) -> str:
    return f"{value:+.1f}{' *' if sure else ''}"


def levels(found: pd.DataFrame, metrics: Sequence[str], load: float = HEAVY) -> pd.DataFrame:
    """By cell and contender the metrics themselves, means over seeds with their intervals."""
    rows = [
        [*key, *(interval(own[name]) for name in metrics)]
        for key, own in told(found[found["load"] == load]).groupby([*CELL, "contender"], sort=False)
    ]
    return pd.DataFrame(rows, columns=[*CELL, "contender", *metrics])


def parts(found: pd.DataFrame, metric: str = MEAN) -> pd.DataFrame:
    """What a gain is made of, at the heaviest load: the changes of PARTS against FIFO, by cell."""
    table = changes(found[found["load"] == HEAVY], [metric])
    names = {variant: name for name, variant in PARTS.items()}
    table["part"] = [names.get(tuple(one)) for one in table[list(VARIANT)].to_numpy().tolist()]
    return table.dropna(subset="part")


def by_size(found: pd.DataFrame) -> pd.DataFrame:
    """By cell, contender and size the change of the slowdown: fifths of the requests by their time alone, and 1 %."""
    names = dict(zip((*FIFTHS, LONGEST), ("1", "2", "3", "4", "5", "top 1 %"), strict=True))
    table = changes(told(found[found["load"] == HEAVY]), names).rename(columns=names)
    return table.melt([*CELL, *VARIANT, "seeds"], list(names.values()), "size", "change")


def front(points: pd.DataFrame, *names: str) -> pd.Series:
    """Which rows are not beaten by another in all of the columns `names`, where less is better."""
    values = points[list(names)].to_numpy(dtype=float)
    beaten = [((values <= own).all(axis=1) & (values < own).any(axis=1)).any() for own in values]
    return ~pd.Series(beaten, index=points.index)
