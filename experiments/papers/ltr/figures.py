"""LTR's figures: the latency a token in bursts and by rate, what the ranking is worth, and who waits long."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from experiments.figures.drawing import provenance_of
from experiments.figures.stored import Figure, Stored, of
from experiments.papers.ltr.tables import (
    BURST,
    FAIRNESS,
    LATENCIES,
    LATENCY,
    MODELS,
    OTHERS,
    RANKED,
    RATE,
    RATES,
    SETTINGS,
    SHAREGPT,
    TAU,
    longest_wait,
    of_requests,
)
from experiments.papers.size_based.panels import Curve, Panel, draw, requests_of
from experiments.papers.size_based.times import times
from experiments.tables.stats import interval

__all__ = ["FIGURES", "SETTINGS"]

NAMES = {
    "ltr_fcfs": "FCFS",
    "ltr_mlfq": "MLFQ",
    "ltr_po": "perception only",
    "ltr_class": "classes",
    "ltr": "LTR",
    "ltr_oracle": "true lengths",
}
CLAIMED = (2.8, 6.9)  # [R] of chatbot serving, [S] the most; the rates are not known


def by_rate(stored: Stored, output: Path) -> list[Path]:
    """Fig. 3, and the headline."""
    table = stored.table(RATES)
    fcfs = of(table, system="ltr_fcfs")
    absolute = {called: _means(of(table, system=name), RATE, LATENCY) for name, called in NAMES.items()}
    lower = {
        called: [
            (float(rate), times(of(fcfs, **{RATE: rate}), own, LATENCY))
            for rate, own in of(table, system=name).groupby(RATE)
        ]
        for name, called in NAMES.items()
        if name != "ltr_fcfs"
    }
    panels = [
        Panel("mean latency", "requests/s", "s/token", absolute, log="xy"),
        Panel(
            "beside first come, first served", "requests/s", "times lower", lower, band=CLAIMED, level=1.0, log="xy",
            called="stated: 2.8, up to 6.9",
        ),
    ]  # fmt: skip
    caption = (
        "A minute of requests, Llama-3-8B on one A100 of 40 GB, LMSYS's prompts with answers as long as Alpaca's [A]. "
        f"{provenance_of(table)}"
    )
    return draw(panels, caption, output / "ltr")


def in_burst(stored: Stored, output: Path) -> list[Path]:
    """Table 1: mean and 90th percentile of the latency a token."""
    panels = []
    for part, value in LATENCIES.items():
        lmsys = of_requests(stored, BURST, value)
        sharegpt = pd.concat([
            of_requests(stored, SHAREGPT, value),
            of_requests(stored, RANKED, value).assign(system="ltr"),
        ])  # fmt: skip
        curves = {
            f"{model}, {called}": [
                (float(at), interval(of(table, cluster=cluster, system=name)["value"])) for at, name in enumerate(NAMES)
            ]
            for cluster, model in MODELS.items()
            for called, table in (("LMSYS", lmsys), ("ShareGPT", sharegpt))
        }
        panels.append(
            Panel(
                {"mean": "mean", "p90": "90th percentile"}[part],
                "",
                "s/token",
                curves,
                words=[*NAMES.values()],
                log="y",
            )
        )
    caption = (
        f"{requests_of(stored.table(BURST))} requests at once. The values of the paper's Table 1 are not known. The "
        f"answers of 70B are as long as those of 8B [A]. {provenance_of(stored.table(BURST))}"
    )
    return draw(panels, caption, output / "ltr_burst")


def by_ranking(stored: Stored, output: Path) -> list[Path]:
    """Fig. 2, and Figs 4 and 5."""
    waits = of_requests(stored, FAIRNESS, longest_wait)
    others = of_requests(stored, OTHERS, longest_wait)
    ruled = waits["policy.order.starvation"].notna()
    lines = {
        "FCFS": of(others, system="ltr_fcfs"),
        "MLFQ": of(others, system="ltr_mlfq"),
        "LTR without the rule": waits[~ruled],
        "LTR": waits[ruled],
    }
    panels = [
        Panel(
            "what the ranking is worth", "Kendall's tau", "mean latency, s/token",
            {"LTR": _means(stored.table(TAU), "predictor.tau", LATENCY)},
        ),
        Panel(
            "longest wait for a token", "requests/s", "mean over requests, s",
            {name: _means(rows, RATE, "value") for name, rows in lines.items()},
            log="xy",
        ),
    ]  # fmt: skip
    both = pd.concat([stored.table(TAU), stored.table(FAIRNESS)])
    caption = (
        f"Left: {requests_of(stored.table(TAU))} requests at once, Llama-3-8B. Right: a minute of requests, "
        f"Llama-3-70B on eight A100s; the rule: after 200 steps to the front, for 10. {provenance_of(both)}"
    )
    return draw(panels, caption, output / "ltr_ranking")


def _means(table: pd.DataFrame, x: str, column: str) -> Curve:
    return [(float(at), interval(own[column])) for at, own in table.groupby(x)]


FIGURES = {
    "ltr": Figure("LTR's Fig. 3: latency a token by rate, and the headline", by_rate),
    "ltr_burst": Figure("LTR's Table 1: latency a token in a burst", in_burst),
    "ltr_ranking": Figure("LTR's Figs 2, 4 and 5: Kendall's tau, the longest wait", by_ranking),
}
