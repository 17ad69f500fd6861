"""The figures of TIE and A_min: their schedulers beside the paper's, what its parts do, and bounds in short memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from experiments.figures.drawing import provenance_of
from experiments.figures.stored import Figure, Stored, of
from experiments.papers.distributions.tables import (
    CLAIMED,
    DECAY,
    KNOWN,
    PARTS,
    PARTS_CLAIMED,
    PARTS_KNOWN,
    SCHEDULERS,
    SETTINGS,
    TAIL,
    TIE,
    B,
    parts,
    runs,
    values,
)
from experiments.papers.size_based.panels import Panel, draw, requests_of
from experiments.tables.stats import Interval, interval

__all__ = ["FIGURES", "SETTINGS"]

PREDICTORS = ("log_t", "tfidf", "ltr", "ssjf_classifier", "gbm", "concordant", "samples", "oracle")
A_MIN, WIDTHS, LEVELS, RESERVE = (
    f"distributions/{name}" for name in ("a_min", "a_min_widths", "a_min_levels", "a_min_reserve")
)
RESPONSE, PREEMPTIONS = "response_time_mean", "preemptions"
SIGMA, LEVEL, KV = "predictor.sigma", "policy.order.level", "cluster.devices.gpu.kv_tokens"


def tie(stored: Stored, output: Path) -> list[Path]:
    """The paper's table and its ablation, ours beside them, and each predictor with and without the inflation."""
    panels = [
        _beside(title, {name: interval(runs(stored, name, part)["value"]) for name in SCHEDULERS}, CLAIMED[part])
        for part, title in (("mean", "mean"), ("p90", "90th percentile"))
    ]
    ablation = {name: interval(own["value"]) for name, own in parts(stored).items()}
    panels.append(_beside("TIE's parts, mean", ablation, PARTS_CLAIMED))
    both = pd.concat([values(stored, sweep) for sweep in (TIE, KNOWN)])
    curves = {
        called: [
            (float(at), interval(of(both, policy=policy, predictor=name)["value"]))
            for at, name in enumerate(PREDICTORS)
        ]
        for policy, called in (("sjf", "by the expected length"), ("tie", "TIE"))
    }
    panels.append(Panel("mean, by predictor", "", "s/token", curves, words=PREDICTORS, log="y", top=1.0))
    caption = (
        f"{requests_of(stored.table(TIE))} requests at 100/s, Llama-3.1-8B's answers to CASTILLO's chats and "
        "instructions, on one A100. The paper's prompts, device and number of requests are not known; its 90th "
        f"percentiles may be of another model. {provenance_of(stored.table(TIE))}"
    )
    return draw(panels, caption, output / "tie")


def _beside(title: str, ours: Mapping[str, Interval], claimed: Mapping[str, float]) -> Panel:
    curves = {
        "ours": [(float(at), value) for at, value in enumerate(ours.values())],
        "the paper's [S]": [(float(at), Interval(claimed[name], 0.0)) for at, name in enumerate(ours)],
    }
    return Panel(title, "", "s/token", curves, words=[*ours], log="y")


def inflation(stored: Stored, output: Path) -> list[Path]:
    """What a fixed b costs, in seconds a token and in seconds: by predicted laws, of two caps, and by known ones."""
    short = of(values(stored, PARTS), **{DECAY: 0.9})
    tables = {
        "log-t, cut at 2,000 tokens": short,
        "log-t, cut at 8,192": values(stored, TAIL),
        "the prompt's law known": values(stored, PARTS_KNOWN),
    }
    panels = [
        Panel(
            title, "b", unit, {name: _curve(own, B, column) for name, own in tables.items()},
        )
        for title, unit, column in (("seconds a token", "s/token", "value"), ("response time", "s", RESPONSE))
    ]  # fmt: skip
    caption = f"TIE with its inflation b alike for all requests. {provenance_of(short)}"
    return draw(panels, caption, output / "tie_inflation")


def a_min(stored: Stored, output: Path) -> list[Path]:
    """A_min in short memory: by what is known, by the width of the interval, by the quantile that is believed."""
    table, widths, levels = (stored.table(name) for name in (A_MIN, WIDTHS, LEVELS))
    laws = ("oracle", "samples", "log_t")
    panels = [
        Panel(
            title, "", unit,
            {
                name: [
                    (float(at), interval(of(table, policy=name, predictor=law)[column])) for at, law in enumerate(laws)
                ]
                for name in ("fifo", "sjf", "a_min")
            },
            words=laws,
        )
        for title, unit, column in (
            ("short memory", "mean response time (s)", RESPONSE), ("and who is put out", "preemptions", PREEMPTIONS),
        )
    ]  # fmt: skip
    panels += [
        Panel(
            "intervals of a width", "sigma of the log", "mean response time (s)",
            {name: _curve(of(widths, policy=name), SIGMA, RESPONSE) for name in ("sjf", "a_min")},
        ),
        Panel(
            "the quantile believed", "level", "mean response time (s)",
            {
                called: _curve(levels[levels[KV].isna() == ample], LEVEL, RESPONSE)
                for called, ample in (("KV of 16,384 tokens", False), ("ample", True))
            },
        ),
    ]  # fmt: skip
    caption = (
        f"{requests_of(table)} requests at 100/s, as TIE's, KV of 16,384 tokens. sjf goes by the mean of the same law. "
        f"{provenance_of(table)}"
    )
    return draw(panels, caption, output / "a_min", inches=2.6)


def _curve(table: pd.DataFrame, x: str, column: str) -> list[tuple[float, Interval]]:
    return [(float(at), interval(own[column])) for at, own in table.groupby(x)]


FIGURES = {
    "tie": Figure("TIE's table, its ablation, and each predictor with and without the inflation", tie),
    "tie_inflation": Figure("what TIE's inflation costs by the cap on answers", inflation),
    "a_min": Figure("A_min in short memory, by law, width and quantile", a_min),
}
