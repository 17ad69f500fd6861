"""RT-LM's main result: response time and throughput against load, where RT-LM gains and where it loses (rtlm/main)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from experiments.figures import forest
from experiments.figures.drawing import PAIRED, Panels, provenance_of
from experiments.figures.forest import Forest
from experiments.figures.stored import METRICS, Stored, of, ordering
from experiments.figures.style import save
from experiments.figures.write import written
from experiments.papers.rtlm.figures.shared import CLUSTERS, MODELS, SYSTEMS, against, draw, look_of, over_seeds
from experiments.tables.stats import Interval

BASELINES = ("fifo", "hpf", "luf", "muf")
OURS = ("up", "up_consolidation", "rtlm", "sjf_oracle")
AVERAGED = ["model", "cluster", "load"]  # a cell of the first table, workloads averaged
CELLS = [*AVERAGED, "trace.workload"]
FAVOURED = (
    "The best baseline is the one of fifo, hpf, luf and muf with the smallest mean response time in the cell (mean of "
    "the changes against fifo), chosen over the same seeds that it is then judged by: that favours it. "
)


def make(stored: Stored, output: Path) -> list[Path]:
    """Draw the figures and write the tables; their files."""
    table = stored.table("rtlm/main")
    changes = against(table, of(table, system="fifo"))
    return [
        *_figures(table, changes, output),
        *_gains(table, changes, output / "main_gains"),
        *_systems(changes, output / "main_systems"),
        *_cells(table, changes, output),
    ]


def against_best(table: pd.DataFrame, changes: pd.DataFrame, cell: Sequence[str]) -> pd.DataFrame:
    """`table` against the best baseline of its `cell`, whose name is in column `best`."""
    keys = [*cell, "system"]
    averaged = [name for name in CELLS if name not in cell]
    means = over_seeds(of(changes, system=BASELINES), keys, ["response_time_mean"], averaged)
    means["change"] = [found.mean for found in means["response_time_mean"]]
    best = means.loc[means.groupby(list(cell))["change"].idxmin(), keys]
    found = against(table, table.merge(best, on=keys))
    return found.merge(best.rename(columns={"system": "best"}), on=list(cell))


def _figures(table: pd.DataFrame, changes: pd.DataFrame, output: Path) -> list[Path]:
    averaged = over_seeds(changes, [*AVERAGED, "system"])
    files = []
    seeds = sorted(set(averaged["seeds"]))
    ours = of(averaged, system=tuple(name for name in SYSTEMS if name != "fifo"))
    for metric, label in METRICS.items():
        shown = Forest(
            metric, "system", "model", "load", "cluster", f"change of {label} (%)", "fifo",
            (*CLUSTERS, *MODELS, *SYSTEMS), CLUSTERS,
        )  # fmt: skip
        caption = (
            f"{label.capitalize()} against FIFO's (the line at 0), averaged over {table['trace.workload'].nunique()} "
            f"workloads, {' or '.join(map(str, seeds))} seeds; load: arrivals as a multiple of what FIFO serves; each "
            f"column has its own axis. {PAIRED} {provenance_of(table)}"
        )
        files += save(forest.draw(ours, shown, caption, look_of), output / f"main_{metric}")
    for workload, runs in table.groupby("trace.workload"):
        absolute = over_seeds(runs, [*AVERAGED, "system"], averaged=())
        panels = Panels(
            "load",
            "response_time_mean",
            "cluster",
            "model",
            xlabel="load",
            ylabel="mean response time (s)",
            zero="",
            log=True,
        )
        caption = (
            f"Workload {workload}. Means over seeds; bars: 95 % intervals of the mean, over traces: compare "
            f"systems by their paired differences, not by overlap. {provenance_of(runs)}"
        )
        files += save(draw(absolute, panels, caption), output / f"main_{workload}")
    return files


def _gains(table: pd.DataFrame, changes: pd.DataFrame, stem: Path) -> list[Path]:
    to_best = against_best(table, changes, AVERAGED)
    fifo = over_seeds(of(changes, system="rtlm"), AVERAGED)
    best = over_seeds(of(to_best, system="rtlm"), [*AVERAGED, "best"])
    both = fifo.merge(best.drop(columns="seeds"), on=AVERAGED, suffixes=(" - fifo", " - best"))
    both = both.sort_values(AVERAGED, key=ordering((*MODELS, "rtlm_server")), ignore_index=True)
    names = {f"{metric} - {to}": f"{label} - {to} (%)" for to in ("fifo", "best") for metric, label in METRICS.items()}
    return written(
        both.rename(columns=names), stem, "RT-LM against FIFO and against the best baseline",
        "Changes in %, averaged over workloads, with 95 % intervals (docs/statistics.md). " + FAVOURED,
        dict.fromkeys(names.values(), "+.1f"),
    )  # fmt: skip


def _systems(changes: pd.DataFrame, stem: Path) -> list[Path]:
    averaged = over_seeds(changes, [*AVERAGED, "system"])
    systems = [name for name in SYSTEMS if name in set(averaged["system"]) and name != "fifo"]
    wide = averaged.pivot_table(
        index=AVERAGED, columns="system", values="response_time_mean", aggfunc="first", sort=False
    )[systems].reset_index()
    return written(
        wide.sort_values(AVERAGED, key=ordering((*MODELS, "rtlm_server"))), stem,
        "All systems against FIFO: mean response time",
        "Changes in % of the mean response time, averaged over workloads, with 95 % intervals (docs/statistics.md).",
        dict.fromkeys(systems, "+.1f"),
    )  # fmt: skip


def verdict(change: Interval, metric: str) -> str:
    """`better`, `worse`, or `undecided` where the interval has 0 in it; smaller is better but for throughput."""
    if not abs(change.mean) > change.half_width:
        return "undecided"
    return "better" if (change.mean > 0) == (metric == "throughput_requests") else "worse"


def _cells(table: pd.DataFrame, changes: pd.DataFrame, output: Path) -> list[Path]:
    """How many cells of model, platform, workload and load each system wins, and where RT-LM loses."""
    counts, losses = [], []
    for to, changed in {"fifo": changes, "best": against_best(table, changes, CELLS)}.items():
        ours = of(changed, system=OURS).assign(all="all")
        found = over_seeds(ours, [*CELLS, "system"], averaged=())
        means = over_seeds(ours, ["all", "system"], averaged=CELLS).rename(columns={"all": "load"})
        means = pd.concat([means, over_seeds(ours, ["load", "system"], averaged=[*AVERAGED[:2], "trace.workload"])])
        for metric, label in METRICS.items():
            judged = found.assign(against=to, metric=label, change=found[metric])
            judged["verdict"] = [verdict(change, metric) for change in judged["change"]]
            lost = of(judged, system="rtlm").query("verdict == 'worse'")
            losses.append(lost.sort_values("change", key=lambda column: [-abs(change.mean) for change in column]))
            for system, own in judged.groupby("system"):
                mean = means[means["system"] == system].set_index("load")[metric]
                loads = [("all", own), *own.groupby("load")]
                counts += [
                    {"load": load, "system": system, "against": to, "metric": label, "cells": len(cells)}
                    | {name: int((cells["verdict"] == name).sum()) for name in ("better", "worse", "undecided")}
                    | {"mean (%)": mean[load]}
                    for load, cells in loads
                ]
    note = (
        "A cell is a model, platform, workload and load; better and worse: its 95 % interval, over paired seeds, "
        "excludes 0 (of 100 cells without any change some 5 would, too). mean: over the cells, interval over seeds. "
        + FAVOURED
    )
    order = ordering(("all", "fifo", "best", *SYSTEMS, *METRICS.values()))
    count = pd.DataFrame(counts).sort_values(["load", "against", "metric", "system"], key=order)
    worst = pd.concat(losses)[[*CELLS, "against", "metric", "change"]]
    title = f"Where RT-LM loses, by metric, the most first: {len(worst)} times"
    return [
        *written(count, output / "main_cells", "Cells won and lost", note, {"mean (%)": "+.1f"}),
        *written(
            worst.rename(columns={"change": "change (%)"}), output / "main_losses", title, note, {"change (%)": "+.1f"}
        ),
    ]
