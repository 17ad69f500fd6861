"""What a search found: as text, and as files."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.capacity.binding import words
from experiments.capacity.search import Capacity, compared
from experiments.capacity.systems import Searched, Survey
from experiments.capacity.tries import Tried, holding, unmet, unservable, worst
from experiments.run.written import write_whole
from experiments.tables.stats import Interval

BY = {
    "time": "rates by time: all gaps of a trace are stretched alike",
    "thinning": "rates by thinning: requests are left out by chance, gaps are as recorded; of sessions whole ones",
}


def told(survey: Survey, seconds: float) -> str:
    """The answer: what was asked and under which limits, a row for each system, and what must be known of it."""
    settings = survey.settings
    lines = [f"highest rates at which {said}" for said in dict.fromkeys(str(one.system.slo) for one in survey.found)]
    lines.append(
        f"{BY[settings.by]}; tried on a grid of {100 * settings.grid:g} %, for each seed alone; ± is half of the 95 % "
        "interval over seeds"
    )
    for line in dict.fromkeys(line for one in survey.found for line in one.limits):
        names = [one.system.name for one in survey.found if line in one.limits]
        lines.append(f"limits: {line}" + (f" ({', '.join(names)})" if len(names) < len(survey.found) else ""))
    lines += ["", table(survey).to_string(index=False), "", rows(survey)]
    for one in survey.found:
        lines += [f"{one.system.name}: {note}" for note in notes(survey, one)]
    lines.append(_made(survey, seconds))
    return "\n".join(lines)


def rows(survey: Survey) -> str:
    """How many rows the runs read, kept for training and replayed."""
    counts = [tried.counts for one in survey.found for tried in one.tries.values()]

    def said(name: str) -> str:
        low, high = (function(one[name] for one in counts) for function in (min, max))
        return f"{low:,}" if low == high else f"{low:,} to {high:,}"

    kept, most = "", max(counts, key=lambda one: int(one["training"]))
    if most["training"]:
        share = f"trace.training_share={most['training'] / most['read']:.2g}"
        kept = f", {said('training')} for training (in all runs alike; a run of one of them does so with {share})"
    return (
        f"each run: {said('read')} rows read{kept}, {said('replayed')} replayed, the first {said('warmup')} as warm-up"
    )


def table(survey: Survey) -> pd.DataFrame:
    """A row for each system, its numbers as text."""
    rows = []
    reference = survey.found[0].capacity(survey.grid)
    for one in survey.found:
        capacity = one.capacity(survey.grid)
        seeds = len(capacity.each)
        row = {
            "system": one.system.name,
            "seeds": f"1 of {seeds}" if one.alone and seeds > 1 else str(seeds),
            "requests/s": _rate(capacity),
            "all seeds hold at": f"{capacity.held_in_all:.4g}" if capacity.known else "-",
            "missed first": _most(one.missed()),
            "binds": _most(binding(one)),
        }
        if len(survey.found) > 1:
            same = one is survey.found[0]
            row[f"to {survey.found[0].system.name}, %"] = "" if same else f"{compared(capacity, reference):+.1f}"
        rows.append(row)
    return pd.DataFrame(rows)


def binding(one: Searched) -> Counter[str]:
    """How many of the seeds that were looked at say that each of seats, blocks, prefill and decode binds, or NEVER."""
    found: Counter[str] = Counter()
    for evidence, tried in zip(one.evidence, one.edge(), strict=False):
        found[holding(tried, worst(tried), evidence)] += 1
    return found


def notes(survey: Survey, one: Searched) -> list[str]:
    """What must be known of a system's row."""
    capacity = one.capacity(survey.grid)
    first = next(iter(capacity.each.values()))
    trials = [tried for _, tried in sorted(one.tries.items())]
    lines = []
    if first == 0:
        lines.append(f"no rate holds: with {trials[0].pace.rate:g} requests/s {unmet(trials[0])}")
    elif first == math.inf:
        most = trials[-1].pace.rate
        more = (
            "that of the trace, above which no thinning goes: by=time does"
            if survey.settings.by == "thinning"
            else "give a longer trace"
        )
        lines.append(f"every rate tried holds, up to {most:g} requests/s: {more}")
    elif edge := one.edge():
        mean = {name: np.mean([tried.found[name] for tried in edge]) for name in edge[0].found}
        within = np.mean([tried.attainment for tried in edge])
        said = "".join(f"{name} {value:.3g} s, " for name, value in mean.items())
        lines.append(f"just above it {said}{100 * within:.1f} % of the requests within; {words(one.evidence)}")
    if one.alone:
        lines.append(
            "no interval: all seeds replay the same requests; resample=blocks draws others from a recorded one"
        )
    elif capacity.known and capacity.relative > survey.settings.precision:
        lines.append(
            f"the interval is ± {100 * capacity.relative:.1f} % with {len(capacity.each)} seeds, wider than "
            f"precision={survey.settings.precision:g}: most=N allows more"
        )
    if capacity.doubtful:
        lines.append(
            f"in {capacity.doubtful} of {len(capacity.each)} seeds a run held at a rate above one at which another did "
            "not: the edge is not sharp there"
        )
    if said := unservable(trials):
        lines.append(said)
    return lines


def _made(survey: Survey, seconds: float) -> str:
    trials = [tried for one in survey.found for tried in one.tries.values()]
    made = sum(tried.made for tried in trials)
    return f"{len(trials)} tries, {made} made now and {len(trials) - made} kept from before, in {seconds:.0f} s"


def _rate(capacity: Capacity) -> str:
    if capacity.known:
        return spelled(capacity.interval)
    return "none" if 0 in capacity.each.values() else "any"


def spelled(found: Interval) -> str:
    """An interval with two digits of its half width, or of the mean four."""
    if not found.half_width > 0:
        return f"{found:.4g}"
    return f"{found:.{max(0, 1 - math.floor(math.log10(found.half_width)))}f}"


def _most(found: Counter[str]) -> str:
    if not found:
        return "-"
    if len(found) == 1:
        return next(iter(found))
    return ", ".join(f"{name} {count}" for name, count in found.most_common()) + f" of {found.total()}"


def tries(survey: Survey) -> pd.DataFrame:
    """A row for each try."""

    def row(one: Searched, tried: Tried) -> dict[str, Any]:
        return {
            "system": one.system.name, "seed": tried.seed, "rate": tried.pace.rate, "holds": tried.holds, **tried.found,
            "attainment": tried.attainment, "goodput": tried.goodput, "requests": tried.counts["replayed"],
            "run": Path(tried.folder).name,
        }  # fmt: skip

    rows = [row(one, tried) for one in survey.found for _, tried in sorted(one.tries.items())]
    return pd.DataFrame(rows)


def capacities(survey: Survey) -> pd.DataFrame:
    """A row for each system and seed: the capacity that it finds, requests/s."""
    return pd.DataFrame(
        {"system": one.system.name, "seed": seed, "capacity": value}
        for one in survey.found
        for seed, value in one.capacity(survey.grid).each.items()
    )


def stored(survey: Survey, folder: Path) -> list[Path]:
    """Write what was found and all that was tried; the files."""
    frames = {"capacity.csv": capacities(survey), "capacity-tries.csv": tries(survey)}
    for name, frame in frames.items():
        write_whole(folder / name, frame.to_csv(index=False))
    return [folder / name for name in frames]
