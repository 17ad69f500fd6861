"""Our values for RT-LM's claims, from stored results: what experiments/papers/rtlm/claims.yaml names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from experiments.claims import Found
from experiments.figures.stored import Stored, of
from experiments.papers.rtlm.figures import ladder
from experiments.papers.rtlm.figures.shared import SETTINGS as SHARED
from experiments.prediction.rule_correlations import correlations
from experiments.tables.stats import Interval, change, interval
from traces.kinds import KINDS
from traces.recorded import SHIPPED, read_recording

SETTINGS = (*SHARED, "calibration.malicious_quantile")
SWEEP, OFFLOAD, RECORDED = "rtlm/claims", "rtlm/claims_offload", "rtlm/claims_recorded"
PAIRINGS = {0.27: "as real pairs (rank correlation 0.27)", 0.8: "much better (0.8)"}
DRAWS = 300  # of the bootstrap over prompts


def changed(
    stored: Stored, system: str, metric: str, reference: str = "fifo", pairings: Sequence[float] = tuple(PAIRINGS)
) -> list[Found]:
    """By how many percent `system` changes `metric` against `reference`, by how well texts foretell lengths."""
    table = stored.table(SWEEP)
    return [
        Found(PAIRINGS[level], _change(of(table, trace__correlation=level), system, reference, metric))
        for level in pairings
    ]


def gain_by_foretelling(stored: Stored, system: str) -> list[Found]:
    """The change of the mean response time at a rank correlation of 0.8, less that at 0: points of percent."""
    table = stored.table(SWEEP)
    ours, theirs = (
        np.column_stack(
            [_values(of(table, trace__correlation=level), name, "response_time_mean") for level in (0.8, 0.0)]
        )
        for name in (system, "fifo")
    )
    return [Found("", change(ours, theirs, weights=(1, -1)))]


def overhead(stored: Stored) -> list[Found]:
    """The part of RT-LM's mean response time that prediction and scheduling take, in percent."""
    table = of(stored.table(SWEEP), system="rtlm")
    return [
        Found(where, interval(100 * (one["predicting_share"] + one["scheduling_share"])))
        for level, where in PAIRINGS.items()
        for one in [of(table, trace__correlation=level)]
    ]


def offload(stored: Stored, metric: str) -> list[Found]:
    """By how many percent offload changes `metric`, by k: one core of the host serves those above that quantile."""
    table = stored.table(OFFLOAD)
    return [
        Found(f"k = {k}", _change(of(table, calibration__malicious_quantile=k), "rtlm", "up_consolidation", metric))
        for k in (0.9, 0.999)
    ]


def recorded_by_kind(stored: Stored, column: str) -> list[Found]:
    """Spearman's correlation of each kind of uncertainty with a `column` of the recorded answers that ship.

    Its interval is the longer half of the bootstrap's, over prompts.
    """
    table = read_recording(SHIPPED)
    draws = np.random.default_rng(0).integers(len(table), size=(DRAWS, len(table)))
    values = table[column].to_numpy(dtype=float)
    found = {kind: correlations(table[kind].to_numpy(), values, draws)["spearman"] for kind in KINDS}
    return [
        Found(kind, Interval(one.value, max(one.high - one.value, one.value - one.low))) for kind, one in found.items()
    ]


def foretold(stored: Stored) -> list[Found]:
    """Kendall's tau of what LW foretells of recorded answers and what they are: the mean of each seed's requests."""
    runs = of(stored.table(RECORDED), system="rtlm")["run"]
    requests = (stored.requests(RECORDED, run, ladder.PREDICTED) for run in runs)
    return [Found("", interval([ladder.correlations(one)["Kendall's tau"] for one in requests]))]


def changed_recorded(stored: Stored) -> list[Found]:
    """By how many percent RT-LM, and RT-LM without offload, change FIFO's mean response time on recorded answers."""
    table = stored.table(RECORDED)
    systems = {"rtlm": "with offload, k = 0.999", "up_consolidation": "without"}
    return [Found(where, _change(table, system, "fifo", "response_time_mean")) for system, where in systems.items()]


def _values(table: pd.DataFrame, system: str, metric: str) -> pd.Series:
    """A metric of a system, by seed."""
    return of(table, system=system).sort_values("seed")[metric]


def _change(table: pd.DataFrame, system: str, reference: str, metric: str) -> Interval:
    return change(*(_values(table, name, metric) for name in (system, reference)))
