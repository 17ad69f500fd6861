"""What stands under a printed table: the rows behind its numbers, the load, and what makes a number doubtful."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from traces.doubt import FAST, SHORT

COUNTS = {  # column -> what is said of it; those of ALWAYS always, the others above 0
    "counts.read": "read",
    "counts.training": "for training",
    "counts.replayed": "replayed",
    "counts.warmup": "warm-up",
    "counts.measured": "measured",
    "counts.rejected": "rejected",
    "counts.censored": "censored",
    "counts.never_came": "would have come after the horizon",
}
ALWAYS = ("counts.read", "counts.training", "counts.warmup", "counts.measured")
FEW = 500  # requests, below which a P99 is nearly the maximum
IDLE = 0.05  # requests in the system, on average
SHARED = 0.1  # of the rows of the seeds' windows
UNIT = "are the trace's times in another unit (trace.unit=s, ms, us or ns)?"


def footers(runs: pd.DataFrame) -> list[str]:
    """The lines under the table of `runs`, which are labelled."""
    return [*_counts(runs), *_rejection(runs), *_load(runs), *_doubts(runs), *_overlap(runs)]


def _counts(runs: pd.DataFrame) -> list[str]:
    """What was read, trained on, warmed up, measured, rejected and censored: of each policy, where they differ."""
    found = {str(policy): _counted(own) for policy, own in runs.groupby("policy", sort=False)}
    if len(set(found.values())) == 1:
        return [f"each run: {next(iter(found.values()))}"]
    return [f"each run of {policy}: {text}" for policy, text in found.items()]


def _counted(runs: pd.DataFrame) -> str:
    # a table that was collected before there were counts has the measured ones alone
    told = {name: name.removeprefix("counts.").replace("measured", "requests") for name in COUNTS}
    columns = {name: name if name in runs else told[name] for name in COUNTS}
    shown = [name for name in COUNTS if columns[name] in runs and (name in ALWAYS or runs[columns[name]].max() > 0)]
    said = {name: f"{_range(runs[columns[name]], ',.0f')} {COUNTS[name]}" for name in shown}
    if "counts.replayed" in runs:
        read, training, replayed = (runs[f"counts.{name}"] for name in ("read", "training", "replayed"))
        apart = (training > 0) & (replayed >= read)
        if (apart | (read == training + replayed)).all():
            del said["counts.replayed"]  # the rest of what was read
        if apart.any():
            said["counts.training"] = f"{_range(training, ',.0f')} drawn apart for training"
    if "fitted" in runs and (names := sorted(set(runs["fitted"].dropna()) - {""})):
        said["counts.training"] += f" ({'; '.join(names)})"
    return ", ".join(said.values())


def _rejection(runs: pd.DataFrame) -> list[str]:
    """Why the first request that was rejected can never be served."""
    reasons = sorted(set(runs["rejection"].dropna()) - {""}) if "rejection" in runs else []
    return [f"rejected, for one: {reasons[0]}"] if reasons else []


def _load(runs: pd.DataFrame) -> list[str]:
    """The rate that a load stands for."""
    if "load.rate" not in runs:
        return []
    known = runs[runs["load.rate"].notna()]
    lines = []
    for load, own in known.groupby("load" if "load" in known else known["load.of"]):
        of = " or ".join(dict.fromkeys(own["load.of"].astype(str)))
        name = f"load {load:g}" if "load" in known else "load"
        rate, capacity = (_range(own[f"load.{part}"], ".3g") for part in ("rate", "capacity"))
        lines.append(f"{name} = {rate} requests/s of a capacity of {capacity} requests/s, {of} on this cluster")
    return lines


def _doubts(runs: pd.DataFrame) -> list[str]:
    """What makes a number of the table worth less than it looks."""
    lines = []
    measured = runs["counts.measured"] if "counts.measured" in runs else runs.get("requests", pd.Series(dtype=float))
    if measured.min() < FEW:
        lines.append(
            f"P99 is of {_range(measured, ',.0f')} requests, fewer than {FEW}: little better than their maximum"
        )
    seconds = runs.get("window_seconds", pd.Series(dtype=float))
    if seconds.min() < SHORT:
        lines.append(
            f"the measured span is {_range(seconds, '.3g')} s, under {SHORT:g} s: {UNIT} "
            "What is finished in so short a window says little of throughput"
        )
    if "itl_requests" in runs and (seen := (runs["itl_requests"] / runs["finished"]).min()) < 1:
        lines.append(
            f"ITL is of {seen:.0%} of the finished requests at least: without those that got no token in some step, "
            "whose gaps are long"
        )
    rates = [runs[name] for name in ("throughput_requests", "throughput_requests_overall") if name in runs]
    if len(measured) and len(seconds):
        rates.append((measured / seconds)[seconds > 0])
    fastest = max((rate.max() for rate in rates if rate.notna().any()), default=0.0)
    if fastest > FAST:
        lines.append(f"{fastest:,.0f} requests/s, over {FAST:,.0f}: {UNIT}")
    if "throughput_requests_overall" in runs:
        inside = (runs["throughput_requests_overall"] * runs["response_time_mean"]).min()  # Little's law
        if inside < IDLE:
            lines.append(f"{inside:.2g} requests are in the system on average, it is nearly always idle: {UNIT}")
    return lines


def _overlap(runs: pd.DataFrame) -> list[str]:
    """Whether the windows of a stored trace that the seeds replay share rows: they are no independent seeds then."""
    if "counts.first" not in runs or runs["counts.first"].isna().any():
        return []
    windows = runs[["counts.first", "counts.replayed"]].drop_duplicates().to_numpy(dtype=int)
    resampled = "resample" in runs and runs["resample"].notna().any()
    rows = end = 0
    for first, count in sorted(map(tuple, windows)):
        rows += max(0, first + count - max(first, end))
        end = max(end, first + count)
    shared = 1 - rows / windows[:, 1].sum()
    if len(windows) < 2 or shared <= SHARED or resampled:
        return []
    return [
        f"the windows of the seeds have {100 * shared:.0f} % of their rows in common: intervals are too narrow; "
        "resample=blocks draws the trace anew for each seed"
    ]


def _range(values: Sequence[float] | pd.Series, form: str) -> str:
    """A number, or the smallest and the largest; `-` for none."""
    known = pd.Series(values, dtype=float).dropna()
    if not len(known):
        return "-"
    low, high = format(known.min(), form), format(known.max(), form)
    return low if low == high else f"{low} to {high}"
