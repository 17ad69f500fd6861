"""TRAIL's figures: its headline by rate, and what c, the errors and the refinement of its predictions do to it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from experiments.figures.drawing import provenance_of
from experiments.figures.stored import Figure, Stored, of
from experiments.papers.size_based.panels import Curve, Panel, draw, requests_of
from experiments.papers.size_based.times import times
from experiments.papers.trail.tables import RATES, SETTINGS, SHARES

__all__ = ["FIGURES", "SETTINGS"]

NOISE, REFINEMENT = "size_based/trail_noise", "size_based/trail_refinement"
LATENCY, TTFT = "response_time_mean", "ttft_mean"
CLAIMED = {LATENCY: (1.66, 2.01), TTFT: (1.76, 24.07)}  # [S] times lower than vLLM's, at rates that are not known
NAMES = {
    "trail": "TRAIL",
    "trail_released": "as released",
    "trail_oracle": "true lengths",
    "trail_prompt": "prompt's guess alone",
}
ABOUT = (
    "How many times lower than under vLLM's first come, first served, with the same requests: {} of Alpaca answered by "
    "Llama-3, 48 at a time, one A100."
)


def by_rate(stored: Stored, output: Path) -> list[Path]:
    """The headline, by rate."""
    table = stored.table(RATES)
    panels = [
        Panel(
            title,
            "requests/s",
            "times lower",
            {called: _over(table, table, "trace.rate", metric, system=name) for name, called in NAMES.items()},
            band=CLAIMED[metric],
            level=1.0,
            log="y" if metric == TTFT else "",
        )
        for title, metric in (("mean latency", LATENCY), ("mean time to first token", TTFT))
    ]
    about = ABOUT.format(requests_of(table))
    caption = f"{about} The paper's ranges are of rates that are not known. {provenance_of(table)}"
    return draw(panels, caption, output / "trail")


def by_prediction(stored: Stored, output: Path) -> list[Path]:
    """What c, errors and refinement do, at 20 requests/s."""
    shares, noise, refinement = (of(stored.table(sweep), **{"trace.rate": 20}) for sweep in (SHARES, NOISE, REFINEMENT))
    reference = of(stored.table(RATES), system="vllm", trace__rate=20)
    lower = "times lower mean latency"
    kept = {"KV dropped": "recompute", "KV kept": "keep"}
    panels = [
        Panel(
            "limit of preemption",
            "c",
            lower,
            {
                called: _over(shares, reference, "policy.batching.share", **{"policy/eviction": name})
                for called, name in kept.items()
            },
        ),
        Panel(
            "error of a guess, not refined",
            "mean absolute error, tokens",
            lower,
            {
                "oracle with noise": [
                    (round(at * 0.798, 1), value) for at, value in _over(noise, reference, "predictor.sigma")
                ]
            },
        ),
        Panel(
            "refinement",
            "tokens between observations",
            lower,
            {
                f"errors correlate by {level:g}": _over(rows, reference, "predictor.every")
                for level, rows in refinement.groupby("predictor.correlation")
            },
            log="x",
        ),
    ]
    caption = (
        f"{ABOUT.format(requests_of(reference))} 20 requests/s. Mean absolute error: sigma * sqrt(2 / pi). 512 tokens "
        "between observations: one. "
        f"How an answer's errors correlate is not known [A]. {provenance_of(shares)}"
    )
    return draw(panels, caption, output / "trail_predictions")


def _over(table: pd.DataFrame, reference: pd.DataFrame, x: str, metric: str = LATENCY, **values: object) -> Curve:
    """By `x`: how many times lower `metric` is in the rows with these values than under vLLM."""
    rows = of(table, **values) if values else table
    vllm = of(reference, system="vllm")
    return [
        (float(at), times(of(vllm, trace__rate=own["trace.rate"].iloc[0]), own, metric)) for at, own in rows.groupby(x)
    ]


FIGURES = {
    "trail": Figure("TRAIL's headline by rate, beside the paper's ranges", by_rate),
    "trail_predictions": Figure("TRAIL: c, errors of guesses, refinement", by_prediction),
}
