"""Draw a profile: what was measured, what was fitted, and how far apart they are."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from profiles.profile import DeviceProfile

COLOURS: Colormap = mpl.colormaps["viridis"].resampled(256)
LEFT_OUT = "#d62728"
BATCHES_SHOWN = 7
PHASE_COLOURS = {"prefill": "#4c78a8", "decode": "#e0a030"}


def plot(profile: DeviceProfile, table: pd.DataFrame, path: Path) -> None:
    """Write a PNG of `profile` against `table`, the table of `profiles.fit.Fitted`."""
    figure = Figure(figsize=(15, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    prefill, decode, agreement = figure.subplots(1, 3)
    draw_prefill(prefill, profile, table[table["phase"] == "prefill"])
    draw_decode(decode, profile, table[table["phase"] == "decode"])
    draw_agreement(agreement, profile, table)
    facts = f"{profile.provenance['device_name']}, {profile.provenance['dtype']}, {profile.kind}"
    figure.suptitle(f"{profile.model} on {profile.device}   ({facts})")
    temporary = path.with_suffix(".tmp.png")
    figure.savefig(temporary, dpi=110)
    temporary.replace(path)


def draw_prefill(axes: Axes, profile: DeviceProfile, rows: pd.DataFrame) -> None:
    """Time by new tokens; colour is the mean context, lines are the fit at three mean contexts."""
    curve = profile.prefill
    context = (rows["attended"] / rows["tokens"]).to_numpy()
    shallowest = max(1.0, context.min())
    scale = LogNorm(shallowest, curve.max_context)
    tokens = np.unique(np.geomspace(curve.knots[0], curve.knots[-1], 80).round().astype(int))
    for mean in np.geomspace(shallowest, curve.max_context, 3):
        times = [curve.time(int(n), mean * n) for n in tokens]
        axes.plot(tokens, times, lw=1.3, color=COLOURS(scale(mean)))
    mark(axes, rows, rows["tokens"].to_numpy(), COLOURS(scale(context)))
    axes.figure.colorbar(ScalarMappable(scale, COLOURS), ax=axes, label="mean context (tokens)", pad=0.01)
    both_log(axes)
    axes.set(title="Prefill: fitted (lines), samples (marks)", xlabel="new tokens in the pass", ylabel="time (ms)")


def draw_decode(axes: Axes, profile: DeviceProfile, rows: pd.DataFrame) -> None:
    """Time by context, a line and a colour for each of a few batch sizes."""
    curve = profile.decode
    batches = np.unique(rows["batch"])
    shown = batches[np.unique(np.linspace(0, len(batches) - 1, BATCHES_SHOWN).round().astype(int))]
    scale = Normalize(0, max(1, len(shown) - 1) * 1.1)
    for index, batch in enumerate(shown):
        colour = COLOURS(scale(index))
        part = rows[rows["batch"] == batch]
        context = (part["attended"] / part["tokens"]).to_numpy()
        mean = np.geomspace(context.min(), context.max(), 60)
        axes.plot(mean, [curve.time(int(batch), c * batch) for c in mean], lw=1.3, color=colour, label=f"{batch}")
        mark(axes, part, context, np.tile(colour, (len(part), 1)))
    axes.legend(title="jobs", fontsize=8, title_fontsize=8, loc="upper left", reverse=True)
    both_log(axes)
    axes.set(title="Decode step: fitted (lines), samples (marks)", xlabel="context of each job (tokens)")
    axes.set_ylabel("time (ms)")


def draw_agreement(axes: Axes, profile: DeviceProfile, table: pd.DataFrame) -> None:
    """Fitted against measured, with the left-out errors."""
    bounds = np.array([table[["median", "fitted"]].min().min() / 1.3, table[["median", "fitted"]].max().max() * 1.3])
    axes.fill_between(bounds, bounds / 1.1, bounds * 1.1, color="0.9", label="within 10 %", zorder=0)
    axes.plot(bounds, bounds, color="0.6", lw=0.8, zorder=1)
    for phase, colour in PHASE_COLOURS.items():
        rows = table[(table["phase"] == phase) & ~table["left_out"]]
        axes.scatter(rows["median"], rows["fitted"], s=16, color=colour, label=f"{phase}, fitted to", zorder=2)
    for phase, marker in (("prefill", "D"), ("decode", "s")):
        rows = table[(table["phase"] == phase) & table["left_out"]]
        errors = profile.provenance["residuals"][phase]["left_out"]
        label = f"{phase}, left out ({errors['points']})"
        if "p50" in errors:
            label += f": P50 {100 * errors['p50']:.1f} %, P90 {100 * errors['p90']:.1f} %"
        axes.scatter(
            rows["median"],
            rows["fitted"],
            s=26,
            marker=marker,
            facecolors="none",
            edgecolors=LEFT_OUT,
            label=label,
            zorder=3,
        )
    both_log(axes, base=10)
    axes.set(xlim=bounds, ylim=bounds, title="Fitted against samples", xlabel="sample (ms)", ylabel="fitted (ms)")
    axes.legend(fontsize=8, loc="upper left")


def mark(axes: Axes, rows: pd.DataFrame, x: np.ndarray, colours: np.ndarray) -> None:
    """Measured medians at `x`: dots, and diamonds with a red edge for the points that the fit did not see."""
    for left_out, marker, edge in ((False, "o", "white"), (True, "D", LEFT_OUT)):
        chosen = (rows["left_out"] == left_out).to_numpy()
        axes.scatter(
            x[chosen],
            rows["median"][chosen],
            s=24,
            marker=marker,
            c=colours[chosen],
            edgecolors=edge,
            linewidths=1.0 if left_out else 0.5,
            zorder=3,
        )


def milliseconds(seconds: float, _position: float = 0) -> str:
    """A tick label in milliseconds."""
    return f"{1e3 * seconds:g}"


def both_log(axes: Axes, base: int = 2) -> None:
    """Logarithmic axes, tokens in whole numbers and seconds shown as milliseconds."""
    axes.set_xscale("log", base=base)
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}" if value < 1024 else f"{value / 1024:g}k")
    for axis in (axes.yaxis,) if base == 2 else (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(milliseconds)
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(True, which="major", alpha=0.25)
