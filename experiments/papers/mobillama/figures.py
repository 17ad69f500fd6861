"""MobiLlama's Table 6 beside ours: tokens/s and memory by device, with and without a cache for what layers share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes

from experiments.figures.stored import Figure, Stored
from experiments.figures.style import RC, save, sheet
from experiments.figures.write import written
from experiments.papers.mobillama import published
from experiments.papers.mobillama.tables import LARGE, OWN, SETTINGS, table

__all__ = ["FIGURES", "SETTINGS"]

MODELS = {OWN: "MobiLlama 0.5B", "mobillama-baseline1": "plain, 22 x 1,024", "mobillama-baseline2": "plain, 8 x 2,048",
          LARGE: "large base 1.2B"}  # fmt: skip
COLORS = ("#0072b2", "#9a9a9a", "#c8c8c8", "#e69f00")
ABOUT = (
    "One request of 128 tokens, 256 generated, by datasheets; nothing was fitted. MobiLlama's 22 layers share one "
    "feed-forward part; light extension: if the last cache kept it from layer to layer. The plain models have its "
    "number of parameters. Diamonds: the paper's Table 6 (which i7 is not said)."
)


def devices(stored: Stored, output: Path) -> list[Path]:
    """Table 6: tokens/s and memory by device, beside the paper's; and as a table."""
    rows = table(stored)
    with mpl.rc_context(RC | {"font.size": 9, "axes.labelsize": 9.5, "legend.fontsize": 8}):
        figure, grid = sheet(2, 3, 2.1, 1.6, ABOUT, left=0.8, gap=0.55, row_gap=0.3, below=1.05)
        for column, (cluster, called) in enumerate(published.CLUSTERS.items()):
            own = rows[rows["device"] == called].set_index("model")
            _bars(grid[0][column], own["tokens/s"].to_dict(), published.SPEED[cluster], own["tokens/s, kept"].to_dict())
            _bars(grid[1][column], own["MB"].to_dict(), published.MEMORY[cluster], {})
            grid[0][column].set_title(called, fontsize=9.5, weight="bold")
            grid[0][column].set_xticks(range(len(MODELS)), [""] * len(MODELS))
        grid[0][0].set_ylabel("tokens/s")
        grid[1][0].set_ylabel("MB, weights and KV")
        grid[0][-1].legend(loc="upper left", bbox_to_anchor=(1.03, 1.02), borderaxespad=0)
    return save(figure, output / "mobillama_devices") + written(
        rows, output / "mobillama_devices", "MobiLlama beside plain models, ours", ABOUT,
        {"parameters": ".3f", "MB": ",.0f", "GFLOP": ",.0f", "GB moved": ",.0f", "ms/token": ".2f",
         "tokens/s": ".1f", "tokens/s, kept": ".1f"},
    )  # fmt: skip


def _bars(axes: Axes, ours: Mapping[str, float], paper: Mapping[str, float], kept: Mapping[str, float]) -> None:
    for number, model in enumerate(MODELS):
        more = max(0.0, kept.get(model, float("nan")) - ours[model])
        axes.bar(number, ours[model], color=COLORS[number], width=0.7, label=None if number else "ours")
        if more > 0:
            axes.bar(number, more, bottom=ours[model], color="#a8d1ea", width=0.7, label="if a cache keeps it")
        if model in paper:
            axes.plot(number, paper[model], "D", color="black", markerfacecolor="none", markersize=5,
                      label=None if number else "the paper's")  # fmt: skip
    axes.set_xticks(range(len(MODELS)), [*MODELS.values()], rotation=30, ha="right", rotation_mode="anchor")
    axes.grid(visible=False, axis="x")


FIGURES = {
    "mobillama_devices": Figure("tokens/s and memory by device: transformer_cost/mobillama, mobillama_cache", devices),
}
