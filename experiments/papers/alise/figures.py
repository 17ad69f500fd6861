"""ALISE's figures: latency per output token by rate, beside the throughput that its abstract claims."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes

from experiments.figures.drawing import provenance_of
from experiments.figures.stored import Figure, Stored, over_seeds
from experiments.figures.style import RC, Look, plain_log_ticks, save, sheet
from experiments.figures.write import written
from experiments.papers.alise.tables import LATENCY, SETTINGS

__all__ = ["FIGURES", "SETTINGS"]

SWEEPS = {"size_based/alise_sharegpt": "ShareGPT", "size_based/alise_alpaca": "Alpaca"}
SYSTEMS = {
    "vllm_v0": "vLLM's V0",
    "alise_fcfs": "FCFS, ALISE's engine",
    "alise": "ALISE-like",
    "alise_oracle": "with true lengths",
}
PARTS = "size_based/alise_parts"
KNOBS = {"policy.order.patience": "patience", "cluster.devices.gpu.host.share": "share moved"}
MEASURED = {LATENCY: "s/token", "response_time_mean": "mean E2E (s)", "response_time_p99": "P99 of E2E (s)"}
FORMATS = (".3f", ".1f", ".0f")
LOOKS = {
    "vllm_v0": Look("#000000", "o", ()),
    "alise_fcfs": Look("#7f7f7f", "s", (4, 1.5)),
    "alise": Look("#d55e00", "^", ()),
    "alise_oracle": Look("#0072b2", "v", (2, 1.5)),
}
CLAIMED = {"ShareGPT": 2.1, "Alpaca": 1.8}  # times vLLM's throughput at the same latency, up to; [R] abstract
ABOUT = (
    "OPT-13B on one A100 of 40 GB. Mean latency of a request over its output tokens. Bars: 95 % intervals over seeds "
    "(docs/statistics.md). Thin: vLLM's curve at so many times its rate as the abstract claims at most [R]; at which "
    "latency is not said, nor are ALISE's own curves known. Throughputs are compared at 0.1 and 0.2 s/token [A]."
)


def make(stored: Stored, output: Path) -> list[Path]:
    """Draw the figure; its files."""
    tables = stored.tables(SWEEPS)
    caption = f"{ABOUT} {provenance_of(pd.concat(tables.values()))}"
    with mpl.rc_context(RC | {"font.size": 9, "axes.labelsize": 9.5, "legend.fontsize": 9}):
        figure, [panels] = sheet(1, len(tables), 2.8, 2.2, caption, left=0.9, gap=0.6)
        for axes, (sweep, table) in zip(panels, tables.items(), strict=True):
            _panel(axes, SWEEPS[sweep], over_seeds(table, ["system", "trace.rate"], [LATENCY]))
        panels[0].set_ylabel("latency (s/token)")
        panels[-1].legend(loc="upper left", bbox_to_anchor=(1.03, 1.02), borderaxespad=0, handlelength=3.2)
    return save(figure, output / "alise")


def _panel(axes: Axes, name: str, found: pd.DataFrame) -> None:
    for system, label in SYSTEMS.items():
        own = found[found["system"] == system].sort_values("trace.rate")
        rates, seconds = own["trace.rate"].to_numpy(dtype=float), [one.mean for one in own[LATENCY]]
        halves, how = [one.half_width for one in own[LATENCY]], LOOKS[system]
        axes.errorbar(rates, seconds, yerr=halves, label=label, capsize=2, elinewidth=0.8, **how.line(), **how.points())
        if system == "vllm_v0":
            times = CLAIMED[name]
            axes.plot(times * rates, seconds, color="#d55e00", linewidth=0.7, label="claimed, at most")
    axes.set_title(name, fontsize=9.5, weight="bold")
    axes.set_yscale("log")
    axes.set_xlim(0, 1.05 * float(found["trace.rate"].max()))
    axes.set_xlabel("requests/s")
    plain_log_ticks(axes.yaxis)


def make_parts(stored: Stored, output: Path) -> list[Path]:
    """Write the table of `alise_parts`; its files."""
    found = over_seeds(stored.table(PARTS), [*KNOBS], [LATENCY, "response_time_mean", "response_time_p99"])
    found = found.sort_values([*KNOBS]).rename(columns={**KNOBS, **MEASURED})
    notes = "OPT-13B on one A100 of 40 GB, ShareGPT at 6 requests/s. Means, with 95 % intervals (docs/statistics.md)."
    title = "ALISE: its ageing, in times its queue's seconds, and the share of the KV's bytes that is moved"
    return written(found, output / "alise_parts", title, notes, dict(zip(MEASURED.values(), FORMATS, strict=True)))


FIGURES = {
    "alise": Figure("ALISE: latency per output token by rate, ShareGPT and Alpaca", make),
    "alise_parts": Figure("ALISE: what its ageing and its compressed moves are worth", make_parts),
}
