"""InfLLM beside full attention: what a request holds, moves and takes by its length, and several of them by rate."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from experiments.figures.stored import Figure, Stored, of
from experiments.figures.write import written
from experiments.papers.infllm.tables import FULL, LOAD, MEAN, OWN, SETTINGS, by_length
from experiments.papers.size_based.panels import Curve, Panel, draw
from experiments.papers.size_based.times import times
from experiments.papers.transformer_cost.tables import exact
from experiments.tables.stats import interval

__all__ = ["FIGURES", "SETTINGS"]

NAMES = {OWN: "InfLLM", FULL: "full attention"}
ABOUT = (
    "Llama-3-8B on one A100 of 80 GB: one request, 128 tokens of answer. Full attention is refused where its KV does "
    "not fit. Dashed: the paper's Table 2 (26.3 and 76.6 GB, 26.7 and 40.4 s), at its benchmark's mean of 145,100 "
    "tokens, which it does not say to be those that it timed. The host link is assumed, and 20 % of units "
    "missed. Nothing is drawn by chance, so bars have no width."
)
ABOUT_LOAD = (
    "Prompts of 100,000 tokens, 128 of answer, Poisson arrivals, chunks of 8,192 tokens in a continuous batch of up to "
    "8: of full attention four have room in memory. Right: paired by seed."
)


def length(stored: Stored, output: Path) -> list[Path]:
    """What a request holds, moves and takes by its length; and as a table."""
    rows = {cluster: by_length(stored, cluster) for cluster in NAMES}

    def curves(column: str, unit: float, only: str = "") -> dict[str, Curve]:
        return {
            name: [(at / 1e3, exact(value / unit)) for at, value in rows[cluster][column].dropna().items()]
            for cluster, name in NAMES.items()
            if not only or cluster == only
        }

    held = {"on the device": curves("costs.device_bytes", 1e9)["InfLLM"],
            "on the host": curves("costs.host_bytes", 1e9, OWN)["InfLLM"],
            "moved to the device": curves("costs.moved_bytes", 1e9, OWN)["InfLLM"],
            "full attention, device": curves("costs.device_bytes", 1e9)["full attention"]}  # fmt: skip
    panels = [
        Panel("Holds, and moves in all", "thousand tokens", "GB", held, log="xy", paper=_point(26.3, 76.6)),
        Panel("Reads the prompt", "thousand tokens", "s", curves("ttft_mean", 1), log="xy", paper=_point(26.7, 40.4)),
        Panel("A token of the answer", "thousand tokens", "ms", curves("tpot_mean", 1e-3), log="x"),
    ]
    table = pd.DataFrame([
        {"": NAMES[cluster], "tokens": at, "device GB": one["costs.device_bytes"] / 1e9,
         "host GB": one["costs.host_bytes"] / 1e9, "moved GB": one["costs.moved_bytes"] / 1e9,
         "prompt s": one["ttft_mean"], "ms/token": 1e3 * one["tpot_mean"]}
        for cluster in NAMES for at, one in rows[cluster].iterrows()
    ])  # fmt: skip
    formats = {"tokens": ",.0f", "ms/token": ".1f", "device GB": ".1f", "host GB": ".1f", "moved GB": ".0f"}
    return draw(panels, ABOUT, output / "infllm_length", inches=2.6, bars="") + written(
        table, output / "infllm_length", "InfLLM and full attention by length", ABOUT, formats | {"prompt s": ".1f"}
    )


def load(stored: Stored, output: Path) -> list[Path]:
    """Several at a time: mean response time, first token and time between tokens by rate."""
    table = stored.table(LOAD)
    panels = [
        Panel(title, "requests/s", "s", {
            name: [(float(at), interval(own[metric])) for at, own in of(table, cluster=cluster).groupby("trace.rate")]
            for cluster, name in NAMES.items()
        }, log="y")
        for metric, title in (("response_time_mean", "response time"), ("ttft_mean", "first token"))
    ]  # fmt: skip
    ratios = {
        title: [
            (float(at), times(of(rows, cluster=FULL), of(rows, cluster=OWN), metric))
            for at, rows in table.groupby("trace.rate")
        ]
        for metric, title in (("response_time_mean", "response time"), ("tpot_mean", "a token after the first"))
    }
    panels.append(Panel("full attention, times as long", "requests/s", "times", ratios))
    return draw(panels, ABOUT_LOAD, output / "infllm_load", inches=2.6)


def _point(own: float, full: float) -> dict[str, list[tuple[float, float]]]:
    """A short dash at each of the paper's values."""
    ends = (MEAN / 1.35e3, MEAN * 1.35 / 1e3)
    return {"the paper's": [(end, own) for end in ends], "_full": [(end, full) for end in ends]}


FIGURES = {
    "infllm_length": Figure("what a request holds, moves and takes by its length: long_context/length", length),
    "infllm_load": Figure("several at a time, by rate: long_context/load", load),
}
