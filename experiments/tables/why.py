"""Why a policy is slower than the reference: what its requests spent more time in, and which of them, in a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from experiments.run.results import Folder
from experiments.tables.labels import shown
from experiments.tables.parts import of_folder, seconds_in
from experiments.tables.stats import Interval

DECIDED, ANYWAY = (
    5.0,
    20.0,
)  # % slower in the mean, from which on it is told: where the interval leaves out 0, and where not
MOST = 0.5  # of the difference, in few requests: they are told
FEW = 0.1  # of all requests
LEAST = 0.1  # of the difference, that a part must have to be told
Why = Callable[[pd.DataFrame, pd.Series, str, Interval], str]


def of_folders(folders: Mapping[str, Folder]) -> Why:
    """A function of a collected table, of the reference's run of each run of one row of it (`partners`), and a change.

    It reads the requests of these runs alone. `folders` by `run`.
    """

    def why(table: pd.DataFrame, partners: pd.Series, reference: str, percent: Interval) -> str:
        least = DECIDED if percent.mean > percent.half_width else ANYWAY
        pairs = partners.dropna()
        if not percent.mean >= least or not len(pairs):
            return ""
        runs = [table.loc[index, "run"] for index in (pairs.index, pairs)]
        if not {*runs[0], *runs[1]} <= set(folders):
            return ""
        ours, theirs = (pd.concat([of_folder(folders[run]) for run in of], keys=range(len(of))) for of in runs)
        return reason(ours, theirs, reference)

    return why


def reason(ours: pd.DataFrame, theirs: pd.DataFrame, reference: str) -> str:
    """Of the parts (`of_folder`) of paired runs, what the difference of their mean response times is made of."""
    common = ours.index.intersection(theirs.index)
    ours, theirs = ours.loc[common], theirs.loc[common]
    more = ours["response_time"] - theirs["response_time"]
    if not len(common) or not more.mean() > 0:
        return ""
    said = f"why {more.mean():+.2f} s a request:"
    for who, rows in _candidates(ours, theirs):
        share = more[rows].sum() / more.sum()
        if rows.any() and share >= MOST:
            mine, other = ours[rows]["response_time"].mean(), theirs[rows]["response_time"].mean()
            return (
                f"{said} {min(share, 1):.0%} of it in the {rows.mean():.1%} of the requests {who} "
                f"({mine:.3g} s each, {other:.3g} s under {reference}: {_parts(ours[rows], theirs[rows])})"
            )
    return f"{said} {_parts(ours, theirs)}"


def _candidates(ours: pd.DataFrame, theirs: pd.DataFrame) -> list[tuple[str, pd.Series]]:
    """Few requests that may carry a difference: served elsewhere, stopped, of the longest answers."""
    kinds = [kind for kind in dict.fromkeys(ours["replica_kind"]) if kind]
    elsewhere = [
        (f"that a {shown(kind)} served", (ours["replica_kind"] == kind) & (theirs["replica_kind"] != kind))
        for kind in kinds
    ]
    stopped = (ours["preemptions"] > 0) & (theirs["preemptions"] == 0)
    longest = ours["output_tokens"].rank(pct=True, method="first") > 1 - FEW
    return [*elsewhere, ("that were stopped", stopped), ("with the longest answers", longest)]


def _parts(ours: pd.DataFrame, theirs: pd.DataFrame) -> str:
    """In which parts the mean of these requests differs, most first."""
    names = list(dict.fromkeys([*seconds_in(ours), *seconds_in(theirs)]))
    zero = pd.Series(0.0, ours.index)
    more = {name: float((ours.get(name, zero) - theirs.get(name, zero)).mean()) for name in names}
    whole = sum(more.values())
    told = sorted((name for name in more if abs(more[name]) >= LEAST * abs(whole)), key=lambda name: -abs(more[name]))
    return ", ".join(f"{name} {more[name]:+.3g} s" for name in told)
