"""BiLD's figures: speed-ups beside Tables 1 and 4, thresholds on real confidences, and a check in a closed loop."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from experiments.figures.drawing import provenance_of
from experiments.figures.stored import Figure, Stored, of
from experiments.figures.style import RC, save, sheet
from experiments.figures.write import written
from experiments.papers.bild import tables
from experiments.papers.bild.tables import EXITS, METRIC, METRICS, SETTINGS, THRESHOLDS
from experiments.papers.size_based.panels import COLORS, MARKERS
from experiments.papers.size_based.times import times

__all__ = ["FIGURES", "SETTINGS"]

CLOSED_LOOP = Path(__file__).parent / "closed_loop.json"
TABLE_1 = {  # [R] speed-ups by pair: without loss and with a loss of one point, unaligned, then aligned
    "mT5": {"IWSLT": (1.43, 1.58, 1.62, 1.78), "WMT": (1.34, 1.43, 1.47, 1.70)},
    "T5": {"XSUM": (1.48, 1.72, 1.50, 1.80), "CNN/DM": (1.71, 2.05, 1.85, 2.12)},
}
ROWS = ("unaligned, no loss", "unaligned, 1 point", "aligned, no loss", "aligned, 1 point")
TABLE_4 = {  # [R] by decoding: calls and rollbacks, % of the tokens, and the speed-up
    "bild_iwslt": (21.09, 1.56, 1.43),
    "bild_iwslt_rejection": (23.24, 9.81, 1.28),
    "bild_xsum": (32.33, 6.41, 1.48),
    "bild_xsum_rejection": (36.84, 24.24, 1.25),
}
PAIRS = {"mT5": ("bild_iwslt", "bild_fallback_mt5"), "T5": ("bild_xsum", "bild_fallback_t5")}
PAPER: dict[str, Any] = {"marker": "D", "color": "black", "linestyle": "", "markerfacecolor": "none", "zorder": 4}
ABOUT = (
    "Latency of one request at a time with the large model alone, over that with both. Curves: ours by the calls of "
    "the large model, with the rollbacks of Table 4's BiLD, whole and without the prompt's pass. Filled: ours by the "
    "rates of Table 4, which are given. Diamonds: the paper's at those rates. Grey: its Table 1, whose other rates are "
    "not known. A pass takes what a T4's datasheet says."
)
ABOUT_THRESHOLDS = (
    "SmolLM2-135M beside its own first layers, aligned; 200 chat messages, answers of at most 64 tokens, as recorded. "
    "A curve is a rollback threshold (nats), its points are fallback thresholds from 0 (a window of ten, right) to 0.9 "
    "(left). Differing: tokens of the small model that stand and that the large one would not have said. Times by a "
    "T4's datasheet."
)


def speed_ups(stored: Stored, output: Path) -> list[Path]:
    """Tables 1, 3 and 4: speed-ups by the calls a token, ours and the paper's: bild_iwslt, _xsum, _fallback_*."""
    with mpl.rc_context(RC | {"font.size": 9, "axes.labelsize": 9.5, "legend.fontsize": 8}):
        plain = stored.table(f"speculative/{PAIRS['mT5'][0]}")
        figure, grid = sheet(1, 2, 2.9, 1.9, f"{ABOUT} {provenance_of(plain)}", left=0.7, gap=0.75, below=0.75)
        rows = []
        for axes, (pair, (at_rates, by_calls)) in zip(grid[0], PAIRS.items(), strict=True):
            curves = {word: tables.curve(stored, by_calls, at_rates, metric) for word, metric in METRICS.items()}
            _curves(axes, pair, curves)
            rows += _table_4(stored, axes, at_rates) + _table_1(pair, curves)
            axes.set_title(f"{pair}-large by {pair}-small", fontsize=9.5, weight="bold")
            axes.set_xlabel("calls of the large model, % of the tokens")
        grid[0][0].set_ylabel("speed-up")
        grid[0][1].legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0)
    return save(figure, output / "bild_speed_ups") + written(
        pd.DataFrame(rows), output / "bild_speed_ups", "BiLD's Tables 1, 3 and 4, ours",
        "Table 4's rates are given, its speed-ups found; of Table 1's others the calls are found that they would need.",
        {"ours": ".2f", "paper": ".2f", "calls %": ".1f", "rollbacks %": ".1f", "calls %, decoding alone": ".1f"},
    )  # fmt: skip


def thresholds(stored: Stored, output: Path) -> list[Path]:
    """Fig. 5 and 10 on real confidences: what both thresholds cost and save; speculative/bild_thresholds, bild_pair."""
    table = tables.frame(stored, THRESHOLDS)
    layers = sorted(table["trace.layers"].unique())
    with mpl.rc_context(RC | {"font.size": 9, "axes.labelsize": 9.5, "legend.fontsize": 8}):
        caption = f"{ABOUT_THRESHOLDS} {provenance_of(stored.table(THRESHOLDS))}"
        figure, grid = sheet(1, len(layers), 2.9, 0.2, caption, left=0.7, gap=0.55, below=0.75)
        for axes, count in zip(grid[0], layers, strict=True):
            own = of(table, **{"trace.layers": count})
            for number, (nats, curve) in enumerate(own.groupby("decoding.rollback_above")):
                _trade_off(axes, curve, "no rollback" if nats >= 100 else f"{nats:g} nats", number)
            axes.axhline(1.0, color="black", linewidth=0.9, zorder=1)
            axes.set_title(tables.called(int(count), True), fontsize=9.5, weight="bold")
            axes.set_xlabel("tokens that differ, %")
        grid[0][0].set_ylabel("speed-up")
        grid[0][-1].legend(loc="lower right", title="rolled back above", title_fontsize=8)
    return save(figure, output / "bild_thresholds") + written(
        table, output / "bild_thresholds", "BiLD's thresholds on real confidences",
        "% of the tokens after an answer's first; as recorded, which supposes the large model's own answer.",
        dict.fromkeys(("calls %", "rollbacks %", "drafted %", "differing %"), ".1f")
        | {"speed-up": ".2f", "tokens a pass": ".2f"},
    )  # fmt: skip


def exits(stored: Stored, output: Path) -> list[Path]:
    """By how many layers the small model has, by Algorithm 1 and as released; speculative/bild_exits, bild_pair."""
    table = tables.frame(stored, EXITS)
    agreed = [
        tables.agreement(int(layers), bool(aligned))
        for layers, aligned in zip(table["trace.layers"], table["trace.aligned"], strict=True)
    ]
    table.insert(3, "agrees %", agreed)
    return written(
        table, output / "bild_exits", "BiLD by the layers of the small model",
        "Rolled back above 5 nats; agrees: first choices that are the large model's too.",
        dict.fromkeys(("agrees %", "calls %", "rollbacks %", "drafted %", "differing %"), ".1f")
        | {"speed-up": ".2f", "tokens a pass": ".2f"},
    )  # fmt: skip


def closed_loop(stored: Stored, output: Path) -> list[Path]:
    """Rates of real decoding beside those of the recording, of the same answers; tokenyard validate pair."""
    told, rows = json.loads(CLOSED_LOOP.read_text(encoding="utf-8")), []
    for row in told["rows"]:
        said = {name: row[name] for name in ("layers", "aligned", "fallback_below", "rollback_above")}
        shares = {
            f"{part} %, {kind}": 100 * row[key][part] / row[key]["tokens"]
            for part in ("calls", "rollbacks", "drafted", "differing")
            for key, kind in (("closed_loop", "real"), ("recorded", "recorded"))
        }
        rows.append({**said, **shares})
    table = pd.DataFrame(rows)
    return written(
        table, output / "bild_closed_loop", "BiLD in earnest, beside its recording",
        f"{told['messages']} messages, {told['processor']}, {told['date']}; % of the tokens after an answer's first.",
        {name: ".1f" for name in table.columns if "%" in name},
    )  # fmt: skip


def _curves(axes: Axes, pair: str, curves: Mapping[str, Sequence[tuple[float, Any]]]) -> None:
    for (word, curve), dashes in zip(curves.items(), ("-", "--"), strict=True):
        x, y = [100 * at for at, _ in curve], [value.mean for _, value in curve]
        halves = np.nan_to_num([value.half_width for _, value in curve])
        axes.errorbar(x, y, yerr=halves, color=COLORS[0], marker="o", markersize=3.5, linestyle=dashes, label=word)
    for task, values in TABLE_1[pair].items():
        for value in values:
            axes.axhline(value, color="#b0b0b0", linewidth=0.8, zorder=0)
        axes.annotate(task, (50, max(values)), fontsize=7.5, color="#707070", ha="right", va="bottom")


def _table_4(stored: Stored, axes: Axes, sweep: str) -> list[dict[str, Any]]:
    table, rows = stored.table(f"speculative/{sweep}"), []
    for number, (decoding, word) in enumerate(((sweep, "BiLD"), (f"{sweep}_rejection", "rejection sampling"))):
        calls, rollbacks, claimed = TABLE_4[decoding]
        own = times(of(table, decoding="plain"), of(table, decoding=decoding), METRIC)
        look: dict[str, Any] = {
            "color": COLORS[number + 1],
            "marker": MARKERS[number + 1],
            "linestyle": "",
            "markersize": 8,
            "zorder": 5,
        }
        axes.plot([calls], [own.mean], **look, label=f"{word}, ours")
        axes.plot([calls], [claimed], **PAPER, label="the paper's" if number else None)
        task = "IWSLT" if "iwslt" in sweep else "XSUM"
        said = {"task": task, "": f"{word} (rates given)", "paper": claimed, "ours": own}
        rows.append({**said, "calls %": calls, "rollbacks %": rollbacks, "calls %, decoding alone": calls})
    return rows


def _table_1(pair: str, curves: Mapping[str, Sequence[tuple[float, Any]]]) -> list[dict[str, Any]]:
    """A row for each speed-up of Table 1, with the calls that it needs by our curves (NaN outside of them)."""
    whole, decoding = curves.values()
    return [
        {
            "task": task,
            "": word,
            "paper": value,
            "ours": None,
            "calls %": _needed(whole, value),
            "rollbacks %": None,
            "calls %, decoding alone": _needed(decoding, value),
        }
        for task, values in TABLE_1[pair].items()
        for word, value in zip(ROWS, values, strict=True)
    ]


def _needed(curve: Sequence[tuple[float, Any]], speed_up: float) -> float:
    calls, found = np.array([100 * at for at, _ in curve]), np.array([value.mean for _, value in curve])
    return float(np.interp(-speed_up, -found, calls, left=np.nan, right=np.nan))


def _trade_off(axes: Axes, curve: pd.DataFrame, label: str, number: int) -> None:
    x, y = curve["differing %"], [value.mean for value in curve["speed-up"]]
    halves = np.nan_to_num([value.half_width for value in curve["speed-up"]])
    color, marker = COLORS[number % len(COLORS)], MARKERS[number % len(MARKERS)]
    axes.errorbar(x, y, yerr=halves, color=color, marker=marker, markersize=4.5, linewidth=1.3, label=label)


FIGURES = {
    "bild_speed_ups": Figure((speed_ups.__doc__ or ""), speed_ups),
    "bild_thresholds": Figure((thresholds.__doc__ or ""), thresholds),
    "bild_exits": Figure((exits.__doc__ or ""), exits),
    "bild_closed_loop": Figure((closed_loop.__doc__ or ""), closed_loop),
}
