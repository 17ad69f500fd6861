"""The pictures of a page: metrics against the setting that varies most, distributions, and where the time goes."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from experiments.figures import charts
from experiments.figures.chosen import Chosen, chosen, metrics_of, panel_name
from experiments.figures.figure import label_of
from experiments.figures.place import inches, legend_inches
from experiments.figures.points import points
from experiments.figures.style import RC, sheet
from experiments.report.page import picture
from experiments.report.sweep import Sweep, raw
from experiments.tables.parts import PARTS, seconds_in
from experiments.tables.requests import measured

DRAWN = ("response_time_mean", "response_time_p99", "ttft_p99", "tpot_p99", "throughput_requests", "goodput")
BARS = ("#bbbbbb", "#e0a030", "#4c78a8", "#d62728", "#ff9896", "#7f7f7f", "#8c564b", "#2a9d8f", "#9d4edd", "#333333")
COLOURS = dict(zip(PARTS, BARS, strict=True))


def metrics(sweep: Sweep) -> list[Element]:
    """A picture a metric, as far as it was measured."""
    found = []
    known = metrics_of(sweep.table)
    for metric in (name for name in DRAWN if name in known and sweep.table[name].notna().any()):
        table, along = chosen(raw(sweep.table), Chosen(x=sweep.axis() or "policy"), str(sweep.reference))
        of = points(table, along.names, metric)
        many = f"{of['seeds'].max()} seeds; bars: 95 % intervals" if of["seeds"].max() > 1 else "one seed, no interval"
        told = f"{label_of(metric)} against {along.x}: {many}"
        found.append(picture(charts.lines(of, along, label_of(metric), ""), told))
    return found


def distributions(sweep: Sweep) -> list[Element]:
    """Response times of all requests, and their tail, where most arrives."""
    where, busiest = sweep.busiest()
    table, along = chosen(raw(busiest), Chosen(), str(sweep.reference))
    requests = pd.concat(
        [
            measured(sweep.folders[row["run"]], ["response_time"]).assign(
                **{name: row[name] for name in (*along.names, "seed")}
            )
            for _, row in table.iterrows()
        ],
        ignore_index=True,
    )
    if not len(requests):
        return []
    at = f" at {where}" if where else ""
    label = label_of("response_time")
    tails = {"the share of requests answered within a time": False, "the tail, the share that takes longer": True}
    return [
        picture(
            charts.distributions(requests, along, "response_time", label, "", tail),
            f"Response times{at}: {words}; {len(requests):,} requests, bands: 95 % intervals over seeds",
        )
        for words, tail in tails.items()
    ]


def where_time_goes(sweep: Sweep) -> list[Element]:
    """Of a mean request of each policy, the seconds in each part, where most arrives."""
    where, busiest = sweep.busiest()
    table, along = chosen(raw(busiest), Chosen(hue="policy"), str(sweep.reference))
    of_runs = {run: sweep.parts(run) for run in dict.fromkeys(table["run"])}
    means = {run: found[seconds_in(found)].mean() for run, found in of_runs.items() if len(found)}
    panels = table.groupby(along.row) if along.row else [("", table)]
    shown = {
        panel_name(along.row, name): pd.DataFrame(
            {str(policy): pd.DataFrame([means[run] for run in own["run"] if run in means]).fillna(0.0).mean()
             for policy, own in runs.groupby("policy")}
        ).fillna(0.0).T
        for name, runs in panels
    }  # fmt: skip
    told = f"Where the time of a mean request goes{f' at {where}' if where else ''} (s): means over seeds"
    return [picture(_bars(shown, sweep.policies()), told)]


def _bars(panels: dict[str, pd.DataFrame], policies: Sequence[str]) -> Figure:
    names = [name for name in PARTS if any(name in of and of[name].max() > 0 for of in panels.values())]
    with mpl.rc_context(RC | {"axes.grid": False}):
        size = mpl.rcParams["font.size"]
        left, right = inches(policies, size) + 0.35, legend_inches(names, "", size)
        figure, grid = sheet(len(panels), 1, 0.35 * len(policies) + 0.2, right, "", left=left, row_gap=0.75, below=0.5)
        for [axes], (title, of) in zip(grid, panels.items(), strict=True):
            there = [policy for policy in policies if policy in of.index]
            ends = pd.Series(0.0, index=there)
            for name in (name for name in names if name in of):
                seconds = of.loc[there, name]
                axes.barh(there, seconds, left=ends, height=0.66, color=COLOURS[name])
                ends += seconds
            axes.invert_yaxis()
            axes.set_title(title, loc="left", fontsize=size, weight="bold")
            axes.set_xlabel("mean response time (s)")
            axes.grid(visible=True, axis="x")
            axes.tick_params(axis="y", length=0)
        handles = [mpl.patches.Patch(color=COLOURS[name], label=name) for name in names]
        grid[0][0].legend(handles=handles, loc="upper left", bbox_to_anchor=(1.03, 1.02), borderaxespad=0)
    return figure
