"""LAMPS's figures: by rate against INFERCEPT and vLLM, what its parts are worth, starvation, and wrong predictions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from experiments.figures.drawing import provenance_of
from experiments.figures.stored import Figure, Stored, of
from experiments.figures.write import written
from experiments.papers.lamps import tables
from experiments.papers.lamps.tables import SETTINGS
from experiments.papers.size_based.panels import Curve, Panel, draw
from experiments.papers.size_based.times import percent
from experiments.tables.stats import interval

__all__ = ["FIGURES", "SETTINGS"]

NAMES = {
    "lamps": "LAMPS",
    "lamps_released": "LAMPS as released",
    "lamps_fcfs": "LAMPS without scheduling",
    "infercept": "INFERCEPT, the paper's",
    "infercept_vllm": "vLLM",
}
RANGES = {"e2e": (-85.0, -27.0), "ttft": (-96.0, -4.0)}  # [R] the abstract's, %, over what is not said
WORDS = {"e2e": "end-to-end latency", "ttft": "time to first token", "tpot": "time per output token"}
ABOUT = (
    "GPT-J-6B by the released constants; requests that arrive within {}, served to their end. Mean over those that "
    "finish in that time, as the benchmark counts, or over all."
)


def by_rate(stored: Stored, output: Path) -> list[Path]:
    """Latency and time to first token at the paper's rates, beside the abstract's ranges; vLLM is in the table."""
    multi, single = (tables.runs(stored, sweep) for sweep in (tables.MULTI, tables.SINGLE))
    single = of(single, trace__rate=tables.RATES)
    panels = []
    for metric, counted in (("e2e", "window"), ("e2e", "all"), ("ttft", "window")):
        several = _changes(multi, f"{metric}_mean {counted}")
        curves = {called: curve for called, curve in several.items() if called != NAMES["infercept_vllm"]}
        curves["LAMPS, one call"] = _changes(single, f"{metric}_mean {counted}")[NAMES["lamps"]]
        panels.append(
            Panel(
                f"{WORDS[metric]}, {'in the window' if counted == 'window' else 'all'}",
                "requests/s",
                "change from INFERCEPT, %",
                curves,
                band=RANGES[metric],
                level=0.0,
            )
        )
    about = ABOUT.format(f"{_seconds(multi):g} s (one call: {_seconds(single):g} s)")
    return draw(panels, f"{about} Several calls but for one curve. {provenance_of(multi)}", output / "lamps_rates")


def _changes(table: pd.DataFrame, metric: str) -> Mapping[str, Curve]:
    """By system and rate: the change of `metric` from INFERCEPT as released, %."""
    there = set(table["system"])
    return {
        called: [
            (rate, percent(of(table, system=name, trace__rate=rate), _reference(table, rate), metric))
            for rate in tables.rates_of(table)
        ]
        for name, called in NAMES.items()
        if name in there
    }


def _reference(table: pd.DataFrame, rate: float) -> pd.DataFrame:
    return of(table, system=tables.REFERENCE, trace__rate=rate)


def _seconds(table: pd.DataFrame) -> float:
    return float(table["trace.seconds"].iloc[0])


def parts(stored: Stored, output: Path) -> list[Path]:
    """Fig. 6, App. C.2 and Fig. 16: without scheduling, half plain, and the threshold of starvation."""
    multi, mixed, starved = (tables.runs(stored, name) for name in (tables.MULTI, tables.MIXED, tables.STARVATION))
    systems = {"LAMPS": "lamps", "LAMPS without scheduling": "lamps_fcfs", "INFERCEPT": tables.REFERENCE}
    thresholds = [str(value) for value in (10, 100, 1000, 10000, None)]
    shown = {
        called: [
            (number, interval(_threshold(starved, threshold)[metric])) for number, threshold in enumerate(thresholds)
        ]
        for called, metric in (("mean", "e2e_mean all"), ("P99", "e2e_p99 all"))
    }
    panels = [
        Panel(
            "several calls: parts",
            "requests/s",
            "mean end-to-end latency, s",
            {called: _levels(multi, name, "e2e_mean all") for called, name in systems.items()},
        ),
        Panel(
            "half plain",
            "requests/s",
            "mean latency, from INFERCEPT, %",
            _changes(mixed, "e2e_mean all"),
            level=0.0,
        ),
        Panel(
            "starvation",
            "threshold, steps",
            "end-to-end latency, s",
            shown,
            words=[*thresholds[:-1], "off"],
        ),
    ]
    caption = (
        f"{ABOUT.format(f'{_seconds(multi):g} s')} Here: all. Starvation: 6 requests/s, {_seconds(starved):g} s; half "
        f"plain: {_seconds(mixed):g} s. {provenance_of(multi)}"
    )
    return draw(panels, caption, output / "lamps_parts")


def _threshold(table: pd.DataFrame, threshold: str) -> pd.DataFrame:
    """The runs with this threshold, `None` for none."""
    known = table["policy.order.starvation"]
    return table[known.isna() if threshold == "None" else known.astype(float) == float(threshold)]


def _levels(table: pd.DataFrame, system: str, metric: str) -> Curve:
    """By rate, s."""
    return [(rate, interval(of(table, system=system, trace__rate=rate)[metric])) for rate in tables.rates_of(table)]


def errors(stored: Stored, output: Path) -> list[Path]:
    """Where predictions are wrong: against the order of arrival with a handling as wrong, and against true ones."""
    both = tables.runs(stored, tables.ERRORS)
    fcfs = dict(tables.by_choice(of(both, **{"policy/order": "fifo"}), "predictor.length_error"))
    lamps = of(both, **{"policy/order": "lamps"})
    true = of(lamps, predictor__length_error=0)
    alone = {
        "lengths and durations": (lamps, "predictor.length_error"),
        "lengths": (tables.runs(stored, f"{tables.ERRORS}_lengths"), "predictor.length_error"),
        "durations": (tables.runs(stored, f"{tables.ERRORS}_durations"), "predictor.duration_error"),
    }
    mean, tail = (
        {
            counted: [
                (100 * error, percent(rows, fcfs[error], f"{metric} {counted}"))
                for error, rows in tables.by_choice(lamps, "predictor.length_error")
            ]
            for counted in tables.COUNTED
        }
        for metric in ("e2e_mean", "e2e_p99")
    )
    panels = [
        Panel("mean latency", "error, % of the truth", "change from arrival's order, %", mean, level=0.0),
        Panel("P99 of latency", "error, % of the truth", "change from arrival's order, %", tail, level=0.0),
        Panel(
            "what is wrong",
            "error, % of the truth",
            "mean latency, from true ones, %",
            {
                called: [
                    (100 * error, percent(rows, true, "e2e_mean all"))
                    for error, rows in tables.by_choice(table, setting)
                    if error
                ]
                for called, (table, setting) in alone.items()
            },
            level=0.0,
        ),
    ]
    caption = (
        f"{ABOUT.format(f'{_seconds(both):g} s')} Several calls, {tables.rates_of(both)[0]:g} requests/s; errors are "
        f"Gaussian, drawn anew for each call. {provenance_of(both)}"
    )
    return draw(panels, caption, output / "lamps_errors")


def latencies(stored: Stored, output: Path) -> list[Path]:
    """Mean, median and P99 of latency, time to first token and time per output token, by set, rate and system."""
    rows = []
    for sweep, called in tables.SETS.items():
        table = tables.runs(stored, sweep)
        for rate in tables.rates_of(table):
            for name in [*NAMES, tables.REFERENCE]:
                if name not in set(table["system"]):
                    continue
                own = of(table, system=name, trace__rate=rate)
                for counted in tables.COUNTED:
                    times = {
                        f"{metric} {part}": interval(own[f"{metric}_{part} {counted}"])
                        for metric in tables.TIMES
                        for part in tables.PARTS
                    }
                    told = {"set": called, "requests/s": rate, "system": name, "counted": counted}
                    rows.append({**told, "finished": interval(own[f"finished {counted}"]), **times})
    shown = {name: ".3g" for name in rows[0] if name.split()[0] in tables.TIMES}
    return written(
        pd.DataFrame(rows), output / "lamps_latencies", "LAMPS: latency, time to first token, time per output token, s",
        "Counted: those that finish in the window of arrivals, as the benchmark counts, or all. TPOT without calls.",
        {"requests/s": "g", "finished": ".0f", **shown},
    )  # fmt: skip


FIGURES = {
    "lamps_rates": Figure("LAMPS, INFERCEPT and vLLM by rate, beside the abstract's ranges", by_rate),
    "lamps_parts": Figure("LAMPS without scheduling (Fig. 6), half plain (App. C.2), starvation (Fig. 16)", parts),
    "lamps_errors": Figure("LAMPS with wrong predictions (Fig. 7)", errors),
    "lamps_latencies": Figure("mean, median and P99 by set, rate and system", latencies),
}
