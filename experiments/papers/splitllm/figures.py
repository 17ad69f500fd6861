"""SplitLLM's figures: work saved and gained beside the paper's, waits by load, and what a cut costs each token."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes

from experiments.figures.stored import Figure, Stored, of
from experiments.figures.style import PAPER, RC, save, sheet
from experiments.figures.write import written
from experiments.papers.size_based.panels import COLORS, MARKERS, Curve, Panel, draw
from experiments.papers.splitllm import tables
from experiments.papers.splitllm.tables import AT_SERVER, GREEDY, OURS, SETTINGS
from experiments.tables.stats import Interval, interval

__all__ = ["FIGURES", "SETTINGS"]

GENERATION = "split/generation"
LAYERS = "cluster.devices.gpu.profile.client_layers"
MODELS = {"transformer": "Transformer", "bert": "BERT", "gpt2": "GPT-2", "vit": "ViT", None: "all"}
SERVERS = {"a100_sxm": "A100", "agx_xavier": "AGX Xavier", "cpu": "one CPU core"}
SAVED = {"transformer": 28.9, "bert": 27.8, "gpt2": 29.2, None: 33.3}  # [S], all [R]: %
GAINED = {"transformer": 14.6, "bert": 5.5, "gpt2": 12.5, "vit": 55.4, None: 19.0}  # [S], all [R]: %
PLACES = {AT_SERVER: "all at the server", **GREEDY, OURS: "dynamic program"}
ASSUMED = (
    "Computed from datasheets, nothing drawn: clients 5, 7, 10 times as slow as the server, 50 and 100 Mbit/s up and "
    "twice down, round trips of 10 and 20 ms, SLAs of 1.2 to 2 times the latency with all layers at the server; all "
    "assumed, as the paper's are not known."
)


def saved(stored: Stored, output: Path) -> list[Path]:
    """The server's work that is saved, by SLA and by tokens, on servers of three speeds."""
    works = tables.works(stored)
    shares = (100 * (1 - works[OURS] / works[AT_SERVER])).rename("saved").reset_index()
    with mpl.rc_context(RC | {"font.size": 9, "axes.labelsize": 9.5, "legend.fontsize": 8.5}):
        caption = f"{ASSUMED} Means over the rest. Dashed: the paper's mean of its models, 28 to 29 %."
        figure, grid = sheet(2, 3, 1.9, 1.3, caption, left=0.75, gap=0.35, row_gap=0.75, below=0.65)
        for axes, (server, called) in zip(zip(*grid, strict=True), SERVERS.items(), strict=True):
            own = shares[shares["server"] == server]
            for place, column, label in zip(
                axes, ("sla", "tokens"), ("SLA, times server alone", "tokens"), strict=True
            ):
                _lines(place, own, column)
                place.set_xlabel(label)
            axes[0].set_title(called, fontsize=9.5, weight="bold")
            axes[1].set_xscale("log", base=2)
            axes[1].set_xticks([64, 128, 256, 512, 1024], ["64", "128", "256", "512", "1024"])
            axes[1].minorticks_off()
        for row in grid:
            row[0].set_ylabel("server's work saved, %")
            for place in row[1:]:
                place.tick_params(labelleft=False)
        grid[0][2].legend(loc="upper left", bbox_to_anchor=(1.03, 1.02), borderaxespad=0)
        return save(figure, output / "splitllm_saved")


def _lines(axes: Axes, table: pd.DataFrame, column: str) -> None:
    for number, model in enumerate(name for name in MODELS if name):
        means = table[table["task"] == model].groupby(column)["saved"].mean()
        axes.plot(means.index, means, color=COLORS[number], marker=MARKERS[number], markersize=5, label=MODELS[model])
    axes.axhline(28.6, color="black", linewidth=0.9, linestyle="--")
    axes.set_ylim(-4, 104)


def greedy(stored: Stored, output: Path) -> list[Path]:
    """Work saved, and gained over two greedy rules, beside the paper's: means and the range over assumptions."""
    panels: dict[str, tuple[dict[Any, pd.Series], Mapping[Any, float]]] = {
        "saved, of all": ({model: 100 * (1 - tables.left(stored, model)[OURS]) for model in MODELS}, SAVED)
    }
    for rule, called in GREEDY.items():
        panels[f"less than by {called}"] = (
            {model: tables.gain(tables.left(stored, model), rule) for model in MODELS},
            GAINED,
        )
    rows = []
    with mpl.rc_context(RC | {"font.size": 9, "axes.labelsize": 9.5, "legend.fontsize": 8.5}):
        caption = (
            f"{ASSUMED} Bars: the mean over all of these; lines: from the least to the most under one set of them; "
            "diamonds: the paper's, whose greedy rule and way of counting are not known."
        )
        figure, grid = sheet(1, 3, 2.6, 1.35, caption, left=0.7, gap=0.5, below=0.75)
        for axes, (label, (values, theirs)) in zip(grid[0], panels.items(), strict=True):
            for number, (model, each) in enumerate(values.items()):
                for shift, (server, called) in enumerate([*SERVERS.items(), (None, "all three")]):
                    own = each if server is None else each.xs(server, level="server")
                    _bar(axes, number + 0.2 * shift - 0.3, own, "#444444" if server is None else COLORS[shift], called)
                rows.append(_row(label, MODELS[model], each, theirs.get(model)))
                if model in theirs:
                    axes.plot(number, theirs[model], label="the paper's" if not number else None, **PAPER)
            axes.set_xticks(range(len(MODELS)), [*MODELS.values()], rotation=30, ha="right", rotation_mode="anchor")
            axes.set_ylim(-4, 104)
            axes.set_title(label, fontsize=9.5, weight="bold")
            axes.grid(visible=False, axis="x")
        grid[0][0].set_ylabel("server's work, %")
        told = dict(zip(*reversed(grid[0][0].get_legend_handles_labels()), strict=True))
        grid[0][2].legend(told.values(), told, loc="upper left", bbox_to_anchor=(1.03, 1.02), borderaxespad=0)
        files = save(figure, output / "splitllm_greedy")
    numbers = dict.fromkeys(["mean", "least", "most", *SERVERS.values(), "the paper's"], ".1f")
    return files + written(
        pd.DataFrame(rows), output / "splitllm_greedy", "SplitLLM's values, ours", f"{stored.root}. {ASSUMED}", numbers
    )


def _bar(axes: Axes, at: float, values: pd.Series, color: str, called: str) -> None:
    axes.bar(at, values.mean(), width=0.18, color=color, label=called)
    axes.plot([at, at], [values.min(), values.max()], color="#9a9a9a", linewidth=1, zorder=3)


def _row(label: str, model: str, values: pd.Series, theirs: float | None) -> dict[str, Any]:
    servers = {called: values.xs(name, level="server").mean() for name, called in SERVERS.items()}
    told = {"mean": values.mean(), "least": values.min(), "most": values.max(), **servers}
    return {"work, %": label, "model": model, **told, "the paper's": float("nan") if theirs is None else theirs}


def units(stored: Stored, output: Path) -> list[Path]:
    """What the dynamic program saves with time in so many units of the SLA, by server."""
    at_server = tables.works(stored)[AT_SERVER]
    by_units = tables.works(stored, tables.UNITS, "trace.place.units").reindex(at_server.index, fill_value=0.0)
    means = (100 * (1 - by_units.div(at_server, axis=0))).groupby(level="server").mean()
    rows = [{"units of an SLA": count, **means[count].rename(SERVERS).to_dict()} for count in means]
    title, numbers = "SplitLLM: work saved, %, by the units of time", dict.fromkeys(SERVERS.values(), ".2f")
    return written(pd.DataFrame(rows), output / "splitllm_units", title, str(stored.root / tables.UNITS), numbers)


def waits(stored: Stored, output: Path) -> list[Path]:
    """Waits for the server by load, with and without splitting, and who is late; beside the formula."""
    table, works = tables.waits(stored), tables.works(stored)
    files, panels = [], []
    for server in sorted(set(table["server"])):
        own, each = table[table["server"] == server], works.xs(server, level="server")
        called = SERVERS[server]
        formula = {
            f"formula, {name}": [(load, tables.by_formula(each[place], each[AT_SERVER], load)) for load in _loads(own)]
            for place, name in PLACES.items()
            if place in (AT_SERVER, OURS)
        }
        panels += [
            Panel(called, "load", "mean wait, s", _by_load(own, "mean"), paper=formula, log="y"),
            Panel(called, "load", "largest wait, s", _by_load(own, "max"), log="y"),
            Panel(called, "load", "later than their SLA, % of all", _by_load(own, "late")),
        ]
    for server, three in zip(sorted(set(table["server"])), (panels[:3], panels[3:]), strict=True):
        caption = (
            "Four models' requests, drawn alike from all that is assumed, Poisson arrivals; a load of 1 is what the "
            "server serves with all layers at it. Waits of those that come to the server. Dashed: Pollaczek and "
            "Khinchine, as if each came once."
        )
        files += draw(three, caption, output / f"splitllm_waits_{server}", inches=2.5)
    return files


def _loads(table: pd.DataFrame) -> list[float]:
    return sorted(set(table["load"]))


def _by_load(table: pd.DataFrame, metric: str) -> dict[str, Curve]:
    return {
        called: [*tables.mean_waits(of(table, place=place), metric).items()]
        for place, called in PLACES.items()
        if (table["place"] == place).any()
    }


def generation(stored: Stored, output: Path) -> list[Path]:
    """Seconds to the first token, and for each other, by how many of GPT-2's layers run at the client."""
    table = stored.table(GENERATION)
    panels = [
        Panel("first token", "layers at the client", "TTFT, s", {"mean and interval": _by_cut(table, "ttft_mean")}),
        Panel(
            "each other",
            "layers at the client",
            "s per output token",
            {"mean and interval": _by_cut(table, "tpot_mean")},
        ),
    ]
    about = (
        "GPT-2 cut in two in every pass, one request at a time: a client of one CPU core (measured), a server with an "
        "L40S (imported), 75 Mbit/s up, twice down, a round trip of 15 ms (assumed)."
    )
    return draw(panels, about, output / "splitllm_generation")


def _by_cut(table: pd.DataFrame, metric: str) -> list[tuple[float, Interval]]:
    return [(float(at), interval(own[metric])) for at, own in table.groupby(LAYERS)]


FIGURES = {
    "saved": Figure("work saved, by SLA and tokens: split/placements", saved),
    "greedy": Figure("work saved and gained over two greedy rules, beside the paper's: split/placements", greedy),
    "units": Figure("work saved by the units of time: split/placements, split/units", units),
    "waits": Figure("waits for the server by load: split/placements, split/waits", waits),
    "generation": Figure("what a cut costs each token: split/generation", generation),
}
