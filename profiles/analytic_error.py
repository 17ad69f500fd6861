"""How far analytic profiles are from those measured or imported."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, NullLocator

from profiles.analytic import analytic_seconds
from profiles.devices import datasheet, settings
from profiles.fit import summarize
from profiles.operators.architecture import ARCHITECTURES
from profiles.operators.roofline import Device, Launching, Roofline
from profiles.plot import PHASE_COLOURS, milliseconds
from profiles.point import PHASES, Point
from profiles.profile import DATA, DeviceProfile, available, load

LAUNCHINGS = {"hf": "eager", "vllm": "graphs", "operators": "graphs"}
COLUMNS = "{:<16} {:<14} {:<9} {:<9} {:<8} {:<8} {:>6} {:>7} {:>7} {:>7} {:>8}"
PANELS = 4
FACTORS = (0.25, 0.5, 1 / 1.2, 1, 1.2, 2, 4)  # of error, that the picture names


def launching(profile: DeviceProfile) -> str:
    """How the profile's engine launches operators: `graphs` for vLLM and for composed operator times, else `eager`."""
    composed = str(profile.provenance["weights"]).startswith("none")
    return LAUNCHINGS.get(str(profile.provenance.get("engine") or ("operators" if composed else "")), "eager")


def judged(profile: DeviceProfile, samples: pd.DataFrame, device: Device) -> pd.DataFrame:
    """The profile's own points with the median of its samples (`median`) and the analytic time (`analytic`), seconds.

    Nothing of the profile goes into the analytic time but what was run: model, device, dtype, engine and the number of
    devices. An encoder's chunks, which it cannot read, and derived samples are left out.
    """
    model = ARCHITECTURES[profile.model]
    times = Roofline(device, profile.provenance["dtype"], Launching(**settings("launching", launching(profile))))
    devices = int(profile.provenance.get("tensor_parallelism", 1))
    measured = samples[~samples["derived"]] if "derived" in samples else samples
    table = summarize(measured)
    if model.encoder_layers:
        table = table[(table["phase"] == "decode") | (table["computed"] == 0)]
    rows = table[["phase", "batch", "new", "computed"]].itertuples(index=False, name=None)
    seconds = [analytic_seconds(model, times, Point(*row), devices) for row in rows]
    return table.assign(analytic=seconds)


def errors(table: pd.DataFrame) -> dict[str, float]:
    """P50, P90 and largest |analytic - median| / median of the rows, and the median with its sign (`bias`)."""
    signed = (table["analytic"] / table["median"] - 1).to_numpy()
    p50, p90 = np.quantile(np.abs(signed), [0.5, 0.9])
    return {"p50": p50, "p90": p90, "max": np.abs(signed).max(), "bias": float(np.median(signed))}


def comparisons(folder: Path = DATA) -> Iterator[tuple[DeviceProfile, pd.DataFrame]]:
    """Each measured or imported profile with samples, a known model and a datasheet, and its judged points."""
    for name, device_name in available(folder):
        profile = load(name, device_name, folder)
        samples = folder / name / f"{device_name}.samples.parquet"
        device = datasheet(device_name)
        compared = profile.kind in ("measured", "imported") and name in ARCHITECTURES and samples.is_file()
        if compared and device and profile.provenance["dtype"] in device.flops_per_second:
            yield profile, judged(profile, pd.read_parquet(samples), device)


def error_rows(compared: list[tuple[DeviceProfile, pd.DataFrame]]) -> list[dict[str, Any]]:
    """One row for each profile and phase: what was compared, the number of points and the errors (shares)."""
    return [
        {
            "model": profile.model,
            "device": profile.device,
            "kind": profile.kind,
            "engine": profile.provenance.get("engine", ""),
            "launching": launching(profile),
            "phase": phase,
            "points": int((table["phase"] == phase).sum()),
            **{label: float(f"{value:.4g}") for label, value in errors(table[table["phase"] == phase]).items()},
        }
        for profile, table in compared
        for phase in PHASES
    ]


def draw(compared: list[tuple[DeviceProfile, pd.DataFrame]], path: Path) -> None:
    """Write a picture of analytic times over samples, one panel a profile, with one axis of errors for all."""
    columns = min(PANELS, len(compared))
    lines = -(-len(compared) // columns)
    figure = Figure(figsize=(3 * columns + 0.9, 2.3 * lines + 0.9), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(lines, columns, squeeze=False, sharey=True)
    most = 1.1 * max(np.exp(np.abs(np.log(table["analytic"] / table["median"]))).max() for _, table in compared)
    for axes, (profile, table) in zip(panels.ravel().tolist(), compared, strict=False):
        axes.axhspan(1 / 1.2, 1.2, color="0.92", zorder=0)
        axes.axhline(1, color="0.5", lw=0.8, zorder=1)
        for phase, colour in PHASE_COLOURS.items():
            rows = table[table["phase"] == phase]
            axes.scatter(
                rows["median"], rows["analytic"] / rows["median"], s=9, color=colour, alpha=0.6, lw=0, zorder=2
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        _ticks(axes, most)
        medians = (f"{phase} {100 * errors(table[table['phase'] == phase])['bias']:+.0f} %" for phase in PHASE_COLOURS)
        axes.set_title(
            f"{profile.model}, {profile.device} ({profile.kind})\nmedian: {', '.join(medians)}", fontsize=10, loc="left"
        )
    for axes in panels.ravel()[len(compared) :]:
        axes.set_visible(False)
    for row in panels:
        row[0].set_ylabel("analytic / sample", fontsize=10)
    for axes in panels[-1]:
        axes.set_xlabel("sample (ms)", fontsize=10)
    handles = [Line2D([], [], marker="o", ls="", color=colour, label=name) for name, colour in PHASE_COLOURS.items()]
    figure.legend(
        handles=[*handles, Patch(color="0.92", label="within 20 %")], loc="outside lower center", ncols=3, fontsize=11,
        frameon=False,
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp.png")
    figure.savefig(temporary, dpi=110)
    temporary.replace(path)


def _ticks(axes: Axes, most: float) -> None:
    """Decades, or 1, 2, 5 of a short axis of times; factors up to `most` along that of errors."""
    axes.set_ylim(1 / most, most)
    axes.yaxis.set_major_locator(FixedLocator(FACTORS))
    axes.yaxis.set_major_formatter(lambda factor, _: f"{factor:.2g}")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1,) if high > 50 * low else (1, 2, 5)))
    axes.xaxis.set_major_formatter(milliseconds)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.tick_params(labelsize=9)
    axes.grid(True, which="major", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def describe(rows: list[dict[str, Any]]) -> str:
    """The rows as a table for reading; errors in percent."""
    titles = ("model", "device", "kind", "engine", "launched", "phase", "points", "P50 %", "P90 %", "max %", "bias %")
    lines = [COLUMNS.format(*titles)]
    for row in rows:
        shares = (f"{100 * row[label]:.1f}" for label in ("p50", "p90", "max"))
        names = (row[key] for key in ("model", "device", "kind", "engine", "launching", "phase", "points"))
        lines.append(COLUMNS.format(*names, *shares, f"{100 * row['bias']:+.1f}"))
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=f"{__doc__} Relative errors, %, at each profile's own samples.",
        epilog="example: tokenyard profile analytic-error --picture analytic-error.png",
    )
    parser.add_argument("--folder", type=Path, default=DATA, help="profiles with samples (default: those that ship)")
    parser.add_argument("--json", action="store_true", help="a JSON object a line instead of a table")
    parser.add_argument("--picture", type=Path, help="write a PNG, a panel a profile")
    options = parser.parse_args(arguments)
    compared = list(comparisons(options.folder))
    if not compared:
        parser.error(f"no measured or imported profile in {options.folder} has samples, a known model and a datasheet")
    rows = error_rows(compared)
    print("\n".join(json.dumps(row) for row in rows) if options.json else describe(rows))
    if options.picture:
        draw(compared, options.picture)


if __name__ == "__main__":
    sys.exit("this is now: tokenyard profile analytic-error")
