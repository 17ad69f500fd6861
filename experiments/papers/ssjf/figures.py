"""Every figure of SSJF, by name: ours beside the means of its own simulator, and on a real profile."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import pandas as pd

from experiments.figures.drawing import PAIRED, Panels, draw, provenance_of
from experiments.figures.stored import Figure, Stored
from experiments.figures.style import RC, Look, save, sheet
from experiments.figures.write import written
from experiments.papers.size_based.panels import requests_of
from experiments.papers.ssjf import tables
from experiments.papers.ssjf.tables import BATCHINGS, JCT, SETTINGS, THROUGHPUT

__all__ = ["FIGURES", "SETTINGS"]

CALLED = {"ssjf_fcfs": "FCFS", "ssjf_oracle": "SJF oracle", "ssjf_simulator": "SSJF", "ssjf": "SSJF"}
LOOKS = {
    "FCFS": Look("#555555", "o"),
    "SJF oracle": Look("#117733", "s"),
    "SSJF": Look("#dd4433", "^"),
}
RATES = (1, 2, 5)
BURST = 4.0  # the load from which on it is one


def simulator(stored: Stored, output: Path) -> list[Path]:
    """Draw the 27 means beside theirs, and write the table; their files."""
    found = tables.means(stored)
    caption = (
        "Mean job completion time in SSJF's own simulator, by configuration: filled, ours with 95 % intervals over "
        "seeds; open, a run of its code (20 runs of 50 jobs), with the interval that a mean of as many of ours has. "
        + provenance_of(tables.simulated(stored))
    )
    with mpl.rc_context(RC):
        figure, grid = sheet(
            1, len(found["policy/batching"].unique()), 2.3, 1.75, caption, left=0.8, gap=0.3, below=0.7
        )
        for axes, (batching, panel) in zip(grid[0], found.groupby("policy/batching", sort=False), strict=True):
            for shift, (system, own) in enumerate(panel.groupby("system", sort=False)):
                name = CALLED[str(system)]
                ours, theirs = ([place + 0.24 * (shift - 1) + by for place in range(len(own))] for by in (-0.05, 0.05))
                color, marker = LOOKS[name].color, LOOKS[name].marker
                means, halves = ([getattr(one, part) for one in own["ours"]] for part in ("mean", "half_width"))
                axes.errorbar(ours, means, halves, fmt=marker, color=color, label=name, markersize=4, linewidth=1)
                axes.errorbar(
                    theirs, own["theirs"], own["half_width"], fmt=marker, color=color, mfc="white", markersize=4,
                    linewidth=1, alpha=0.7, label=f"{name}, theirs",
                )  # fmt: skip
            axes.set_xticks(range(len(RATES)), [f"{rate}" for rate in RATES])
            axes.set_title(BATCHINGS[str(batching)], fontsize=9)
            axes.set_xlabel("requests/s")
            axes.set_ylim(0)
        grid[0][0].set_ylabel("mean JCT (s)")
        grid[0][-1].legend(loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False, fontsize=8)
    named = {"policy/batching": found["policy/batching"].map(BATCHINGS), "system": found["system"].map(CALLED)}
    return [
        *save(figure, output / "ssjf_simulator"),
        *written(
            found.assign(**named), output / "ssjf_simulator", "SSJF's simulator: mean JCT (s)",
            "Ours with 95 % intervals; theirs, and the half width that a mean over 20 runs has.",
            {"ours": ".1f", "theirs": ".1f", "half_width": ".1f"},
        ),
    ]  # fmt: skip


def engine(stored: Stored, output: Path) -> list[Path]:
    """Draw what SSJF changes on a real profile, and write the table; their files."""
    runs = {sweep: tables.engine(stored, sweep) for sweep in (tables.ENGINE, tables.BURST)}
    found = pd.concat([tables.changes(one, "load", ("ssjf_oracle", "ssjf")) for one in runs.values()])
    counts = [requests_of(one) for one in runs.values()]
    loads = {
        load: f"{load:g}" if load < BURST else f"{load:g}, {counts[-1]} requests" for load in sorted(set(found["load"]))
    }
    rows = {JCT: "change of mean JCT (%)", THROUGHPUT: "change of throughput at a quarter of the completions (%)"}
    named = found.assign(
        system=found["system"].map(CALLED), batching=found["policy/batching"].map(BATCHINGS),
        load=found["load"].map(loads),
    )  # fmt: skip
    drawn = pd.concat([named.assign(row=label, change=named[metric]) for metric, label in rows.items()])
    panels = Panels(
        "load", "change", "row", "batching", xlabel="load", zero="FCFS", known=tuple(BATCHINGS.values()),
        order=tuple(loads.values()), right=1.5,
    )  # fmt: skip
    about = (
        "SSJF against FCFS in the same batches, at multiples of what FCFS can serve in them: "
        f"{counts[0]} requests, or a burst of {counts[-1]}; answers as long as Vicuna-13B's to LMSYS-Chat-1M; "
        "prediction and scheduling are charged."
    )
    caption = f"{about} {PAIRED} {provenance_of(pd.concat(runs.values()))}"
    return [
        *save(draw(drawn, panels, caption, LOOKS), output / "ssjf_engine"),
        *written(
            named.drop(columns="policy/batching").rename(columns=rows),
            output / "ssjf_engine", "SSJF against FCFS", about,
            dict.fromkeys(rows.values(), "+.1f"),
        ),
    ]  # fmt: skip


FIGURES = {
    "ssjf_simulator": Figure("the means of SSJF's own simulator, ours beside theirs", simulator),
    "ssjf_engine": Figure("what SSJF changes on a real profile, in four kinds of batches", engine),
}
