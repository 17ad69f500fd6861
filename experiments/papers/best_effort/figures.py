"""Best-effort serving's figures: by rate, near the peak, what learning pays, shifts, deadlines, GPUs, limits, cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hydra.utils import instantiate

from experiments.figures.stored import Figure, Stored, of
from experiments.figures.write import written
from experiments.papers.best_effort import levels, tables
from experiments.papers.best_effort.tables import CALLED, LARGE, LEARNED, RULES, SETTINGS, STATIC
from experiments.papers.size_based.panels import Curve, Panel, draw
from experiments.run.results import Folder
from experiments.tables.stats import interval

__all__ = ["FIGURES", "SETTINGS"]

ASSUMED = "Tasks, lengths, rates, qualities and the deadline of 1.54 s are assumed; the profiles of A100s are analytic."
ABOUT = f"OPT-125M, 1.3B and 6.7B on 1, 1 and 2 GPUs, static serving: one model on all four. {ASSUMED}"
TRACES = "Bars: 95 % intervals over seeds of traces."
LEVELS = f"{TRACES[:-1]}; of the learned router with that over seeds of training beside it."
ROUTERS, AMONG = tuple(CALLED), tuple(CALLED.values())
RIGHT = 1.7  # inches, of the legend


def _mean(own: pd.DataFrame, metric: str) -> Any:
    return levels.mean(tables.cells(own, metric))


def _by(table: pd.DataFrame, column: str, metric: str) -> dict[str, Curve]:
    """`metric` by the values of `column`, a curve a router."""
    return {
        CALLED[name]: [
            (float(at), _mean(own, metric)) for at, own in of(table, system=name).groupby(column) if not own.empty
        ]
        for name in tables.there(table, ROUTERS)
    }


def stable(stored: Stored, output: Path) -> list[Path]:
    """Availability and performance by the rate of Poisson arrivals."""
    table = tables.runs(stored, tables.STABLE)
    panels = [
        Panel("in time", "requests/s", "availability", _by(table, "trace.rate", "availability")),
        Panel("worth", "requests/s", "performance, of peak", _by(table, "trace.rate", "performance")),
    ]
    seats = stored.table(tables.SEATS)
    panels.append(Panel("in time, 256 seats", "requests/s", "availability", _by(seats, "trace.rate", "availability")))
    rows = [
        {
            "router": CALLED[name],
            "seats": count,
            **{f"{share:.0%} in time": tables.kept(own, name, share) for share in tables.SHARES},
        }
        for count, own in ((128, table), (256, seats))
        for name in tables.there(own, ROUTERS)
    ]
    files = draw(
        panels,
        f"{ABOUT} Poisson arrivals for 20 s; up to 128 requests at a time on a GPU, at the right 256 (one network).",
        output / "best_effort_stable",
        bars=LEVELS,
        right=RIGHT,
        beside=True,
        among=AMONG,
    )
    numbers = {f"{share:.0%} in time": ".0f" for share in tables.SHARES}
    title = "Up to which rate, requests/s, so many are in time"
    return files + written(pd.DataFrame(rows), output / "best_effort_rates", title, f"{stored.root}. {LEVELS}", numbers)


def unpredictable(stored: Stored, output: Path) -> list[Path]:
    """How often a service is near its peak when nobody knows what comes, and how near on the whole."""
    groups = tables.by_process(tables.runs(stored, tables.UNPREDICTABLE))
    words = [f"{called}, {rate:g}/s" for called, rate, _ in groups]
    metrics = {
        "time_above_96": "time above 96 % of peak",
        "time_above_98": "time above 98 %",
        "performance": "performance",
    }
    panels = []
    for metric, label in metrics.items():
        curves: dict[str, list[tuple[float, Any]]] = {}
        for at, (_, _, own) in enumerate(groups):
            names = tables.there(own, [name for name in ROUTERS if name != tables.LARGE_HERE])
            for number, name in enumerate(names):
                shift = 0.09 * (number - len(names) / 2)
                curves.setdefault(CALLED[name], []).append((at + shift, _mean(of(own, system=name), metric)))
        panels.append(Panel(label, "", label, curves, words=words, top=1.02))
    about = (
        f"{ABOUT} Traces of a minute, windows of 2 s. Rates are the processes' means, a trace's own may differ much; "
        "Azure: minutes of a public trace, ten times as fast."
    )
    return draw(panels, about, output / "best_effort_unpredictable", bars=LEVELS, right=RIGHT, beside=True, among=AMONG)


def windows(stored: Stored, output: Path) -> list[Path]:
    """For which share of the time performance is at least so much."""
    groups = tables.by_process(tables.runs(stored, tables.UNPREDICTABLE))
    panels = []
    parts = np.linspace(0.6, 1.0, 21)
    for called, rate, own in [one for one in groups if one[1] == max(group[1] for group in groups)]:
        curves: dict[str, Curve] = {}
        for name in tables.there(own, ROUTERS):
            shares = np.concatenate([_performances(stored, run) for run in of(own, system=name)["run"]])
            curves[CALLED[name]] = [(float(at), interval([float((shares >= at).mean())])) for at in parts]
        panels.append(Panel(f"{called}, {rate:g}/s", "performance, of peak", "share of windows above", curves))
    about = f"{ABOUT} Windows of 2 s of ten traces together; the learned router's of five networks."
    return draw(
        panels, about, output / "best_effort_windows", inches=2.4, bars="", right=RIGHT, beside=True, among=AMONG
    )


def _performances(stored: Stored, run: str) -> np.ndarray:
    """Of the windows of one run, by the reward that it was made with."""
    for sweep in (tables.UNPREDICTABLE, f"{tables.UNPREDICTABLE}_learned"):
        if (folder := Folder(stored.root / sweep / run)).path.exists():
            reward = instantiate(folder.made_of()["config"]["reward"], _convert_="all")
            requests = stored.requests(sweep, run, ("arrival", "task", "reward"))
            break
    start = requests["arrival"].iloc[0] + 0.1 * (requests["arrival"].iloc[-1] - requests["arrival"].iloc[0])
    own = requests[requests["arrival"] >= start]
    part = ((own["arrival"] - start) // reward.window).astype(int)
    sums = own.assign(peak=[reward.peak(task) for task in own["task"]]).groupby(part)[["reward", "peak"]].sum()
    return (sums["reward"] / sums["peak"]).to_numpy()


def paying(stored: Stored, output: Path) -> list[Path]:
    """What each router is worth against the best static serving, and the learned one against the best rule."""
    sweeps = {
        tables.STABLE: "Poisson",
        tables.UNPREDICTABLE: "",
        "best_effort/shifted_arrivals": "spikes",
        "best_effort/shifted_tasks": "other tasks",
        "best_effort/deadlines": "soft deadline",
    }
    rows = []
    for sweep, called in sweeps.items():
        for where, own in tables.by_setting(tables.runs(stored, sweep)):
            static, rule = tables.best(own, STATIC), tables.best(own, RULES)
            row: dict[str, Any] = {
                "workload": ", ".join(one for one in (called, where) if one),
                "best static": f"{CALLED[static]} {_mean(of(own, system=static), 'performance'):.3f}",
                "best rule": f"{CALLED[rule]} {_mean(of(own, system=rule), 'performance'):.3f}",
                "rule over static, %": tables.compared(own, rule, static, "performance"),
            }
            if tables.there(own, [LEARNED]):
                row["learned"] = _mean(of(own, system=LEARNED), "performance")
                row["learned over rule, %"] = tables.compared(own, LEARNED, rule, "performance")
                one = own[(own["system"] != LEARNED) | (own[tables.NETWORK] == tables.CHOSEN)]
                if tables.there(one, [LEARNED]):
                    row["best network over rule, %"] = tables.compared(one, LEARNED, rule, "performance")
            rows.append(row)
    table = pd.DataFrame(rows)
    formats = {"rule over static, %": "+.1f", "learned": ".3f", "learned over rule, %": "+.1f"}
    formats |= {"best network over rule, %": "+.1f"}
    numbers = {name: form for name, form in formats.items() if name in table}
    title = "Performance, of peak: static serving, the best rule, and the learned router"
    return written(table, output / "best_effort_paying", title, f"{stored.root}. {ABOUT} {LEVELS}", numbers)


def shifts(stored: Stored, output: Path) -> list[Path]:
    """Performance under shifted arrivals and tasks, and under hard and soft deadlines."""
    arrivals = tables.runs(stored, "best_effort/shifted_arrivals")
    other, soft = (tables.runs(stored, f"best_effort/{name}") for name in ("shifted_tasks", "deadlines"))
    panels = [
        Panel("spikes of 1 s", "requests/s, mean", "performance, of peak", _by(arrivals, "trace.rate", "performance")),
        _words("other tasks", other),
        Panel("soft deadline", "requests/s, mean", "performance, of peak", _by(soft, "trace.rate", "performance")),
    ]
    about = (
        f"{ABOUT} Spikes: eight times the rate for 1 s in 5; other tasks: MMPP, 200 requests/s; soft: MMPP, an answer "
        "loses its worth from 1.54 to 3.08 s."
    )
    return draw(panels, about, output / "best_effort_shifts", bars=LEVELS, right=RIGHT, beside=True, among=AMONG)


def _words(title: str, table: pd.DataFrame) -> Panel:
    """Performance by what `table`'s runs differ in."""
    groups, names = tables.by_setting(table), tables.there(table, ROUTERS)
    curves = {
        CALLED[name]: [
            (at + 0.09 * (number - len(names) / 2), _mean(of(own, system=name), "performance"))
            for at, (_, own) in enumerate(groups)
        ]
        for number, name in enumerate(names)
    }
    return Panel(title, "", "performance, of peak", curves, words=[called for called, _ in groups])


def gpus(stored: Stored, output: Path) -> list[Path]:
    """Performance for each GPU, by how many there are."""
    count = tables.GPUS[2]
    routed, static = tables.runs(stored, "best_effort/gpus"), stored.table("best_effort/gpus_static")
    panels = []
    for rate, own in routed.groupby("trace.rate"):
        curves: dict[str, Curve] = {
            CALLED[name]: [
                (large + 2, levels.mean(tables.cells(each, "performance") / (large + 2)))
                for large, each in of(own, system=name).groupby(count)
            ]
            for name in tables.there(own, ROUTERS)
        }
        curves[CALLED[LARGE]] = [
            (large, levels.mean(tables.cells(each, "performance") / large))
            for large, each in of(static, trace__rate=rate).groupby(count)
        ]
        panels.append(Panel(f"{rate:g} requests/s", "GPUs", "performance a GPU, of peak", curves))
    about = f"One GPU each for OPT-125M and 1.3B, the others for 6.7B; static serving: all for 6.7B. {ASSUMED}"
    return draw(
        panels, about, output / "best_effort_gpus", bars=f"{TRACES} One network.", right=RIGHT, beside=True, among=AMONG
    )


def limits(stored: Stored, output: Path) -> list[Path]:
    """Performance by the limit of jobs at the large model, and what the router's own time costs."""
    table = stored.table("best_effort/thresholds")
    first = table["policy.routing.limits"].map(lambda text: float(str(text).strip("[]").split(",")[0]))
    own = table.assign(first=first)
    curves = {
        "performance": [(float(at), _mean(each, "performance")) for at, each in own.groupby("first")],
        "availability": [(float(at), _mean(each, "availability")) for at, each in own.groupby("first")],
    }
    panels = [Panel("the rule's limit", "jobs a GPU up to which 6.7B takes one", "share", curves, log="x")]
    try:
        cost = stored.table("best_effort/router_cost")
    except FileNotFoundError:
        cost = None
    if cost is not None:
        seconds = "policy.overhead.route_seconds"
        panels.append(
            Panel(
                "the router's own time",
                "microseconds a request",
                "performance, of peak",
                {
                    f"{rate:g} requests/s": [
                        (1e6 * float(at), _mean(each, "performance")) for at, each in one.groupby(seconds)
                    ]
                    for rate, one in cost.groupby("trace.rate")
                },
            )
        )
    return draw(panels, f"{ABOUT} Limit: MMPP, 200 requests/s.", output / "best_effort_limits", bars=TRACES)


FIGURES = {
    "stable": Figure("availability and performance by rate: best_effort/stable", stable),
    "unpredictable": Figure("time near the peak: best_effort/unpredictable", unpredictable),
    "windows": Figure("share of the time above each performance: best_effort/unpredictable", windows),
    "paying": Figure("static serving, the best rule, the learned router: five sweeps", paying),
    "shifts": Figure("shifted arrivals and tasks, deadlines: three sweeps", shifts),
    "gpus": Figure("performance a GPU: best_effort/gpus, best_effort/gpus_static", gpus),
    "limits": Figure("the rule's limit, the router's time: best_effort/thresholds, best_effort/router_cost", limits),
}
