"""Our values for SPEED's claims, from stored results: what claims.yaml names.

Each is told at the ends of the published rates at which predictions change, and where the pipeline fills while the
prompt is read, or after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from experiments.claims import Found
from experiments.figures.stored import Stored, of
from experiments.papers.size_based.times import times
from experiments.tables.stats import interval

SETTINGS = ("decoding.changes", "decoding.filling", "cluster.devices.gpu.profile.model")
UNSHARED, LATENCY = "speculative/speed_unshared", "response_time_mean"
MODEL = "cluster.devices.gpu.profile.model"
DEEP = "t5-v1.1-base"
TASKS = {"cnn_dm": "CNN/DM", "wikilingua": "WikiLingua", "wmt_ende": "WMT"}
EXCEPTION = "wmt_ende"
FILLING = {0: "filled with the prompt", 1: "filled after it"}


class System(NamedTuple):
    """One of the paper's shared decoders: its sweep, its shallow model, and the ends of its changes (%)."""

    sweep: str
    shallow: str
    changes: dict[str, str]
    called: str


SYSTEMS = {
    "speed_4x3": System(
        "speculative/speed_4x3", f"{DEEP}-decoder-4", {"[0.06, 0.0]": "6 %", "[0.14, 0.0]": "14 %"}, "4x3"
    ),
    "speed_2x6": System(
        "speculative/speed_2x6",
        f"{DEEP}-decoder-2",
        {"[0.13, 0.0, 0.0, 0.0, 0.0]": "13 %", "[0.17, 0.0, 0.0, 0.0, 0.0]": "17 %"},
        "2x6",
    ),
}


def beside_shallow(stored: Stored, system: str) -> list[Found]:
    """How many times as long as the shallow model's, by task, changes and filling; without the exception."""
    return [Found(where, times(own, shallow, LATENCY)) for where, own, shallow, _ in cells(stored, system)]


def over_deep(stored: Stored, system: str) -> list[Found]:
    """How many times as long an unshared decoder of 12 layers takes, likewise."""
    return [Found(where, times(deep, own, LATENCY)) for where, own, _, deep in cells(stored, system)]


def exception(stored: Stored, system: str) -> list[Found]:
    """How many times as long it takes beside the shallow model on WMT as on CNN/DM, by changes and filling."""
    known = SYSTEMS[system]
    shallow = of(stored.table(UNSHARED), **{MODEL: known.shallow})
    found = []
    for where, own in settings(stored, system):
        ratios = []
        for task in (EXCEPTION, "cnn_dm"):
            both = [of(rows, **{"trace/lengths": task}).set_index("seed")[LATENCY] for rows in (own, shallow)]
            ratios.append(both[0] / both[1])
        found.append(Found(where, interval((ratios[0] / ratios[1]).dropna())))
    return found


def in_vain(stored: Stored, system: str) -> list[Found]:
    """Passes in vain for each token that is followed by another, %, where the pipeline does not fill apart."""
    found = []
    for where, own in settings(stored, system):
        if where.endswith(FILLING[0]):
            runs = of(own, **{"trace/lengths": "cnn_dm"})["run"]  # another task's requests draw the same
            shares = [100 * _in_vain(stored, system, run) for run in runs]
            found.append(Found(where, interval(shares)))
    return found


def cells(stored: Stored, system: str) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame, pd.DataFrame]]:
    """Where, and the runs there of `system`, its shallow model and the deep one, for each task but the exception."""
    unshared = stored.table(UNSHARED)
    for where, own in settings(stored, system):
        for task, called in TASKS.items():
            if task != EXCEPTION:
                at = {"trace/lengths": task}
                shallow, deep = (of(unshared, **at, **{MODEL: name}) for name in (SYSTEMS[system].shallow, DEEP))
                yield f"{called}, {where}", of(own, **at), shallow, deep


def settings(stored: Stored, system: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """Where, and the runs of `system` there, at both ends of its changes, and for each filling."""
    known = SYSTEMS[system]
    table = stored.table(known.sweep)
    for changes, called in known.changes.items():
        for number, filling in enumerate(sorted(table["decoding.filling"].unique())):
            yield (
                f"{called} change, {FILLING[number]}",
                of(table, **{"decoding.changes": changes, "decoding.filling": filling}),
            )


def _in_vain(stored: Stored, system: str, run: str) -> float:
    requests = stored.requests(SYSTEMS[system].sweep, run, ["output_tokens", "passes"])
    followed = (requests["output_tokens"] - 2).clip(lower=0).sum()
    return float((requests["passes"] - (requests["output_tokens"] - 1)).sum() / followed)
