"""The distributions of TTFT, TPOT and E2E, measured and simulated: the share of requests that took so long or less."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from experiments.figures.style import RC, plain_log_ticks, sheet
from experiments.validation.errors import METRICS

LABELS = {"TTFT": "time to first token (s)", "TPOT": "time per output token (s)", "E2E": "response time, E2E (s)"}
SHORT = {"TTFT": "TTFT (s)", "TPOT": "TPOT (s)", "E2E": "E2E (s)", "ITL": "ITL (s)"}  # of four
REAL, SIMULATED = "#555555", "#dd4433"
DECADE = 10.0


def draw(
    real: pd.DataFrame | Sequence[pd.DataFrame],
    simulated: pd.DataFrame,
    caption: str,
    gaps: Sequence[np.ndarray] | None = None,
) -> Figure:
    """A panel a metric: the distribution of each real run and of the simulated one.

    The tables are those of `experiments.validation`; `caption` says where the numbers come from. A panel is
    logarithmic where its values span more than a decade. `gaps` between tokens (s) of each have one, too.
    """
    runs = [real] if isinstance(real, pd.DataFrame) else list(real)
    values = {name: [metric(one) for one in [*runs, simulated]] for name, metric in METRICS.items()}
    values |= {} if gaps is None or not all(map(len, gaps)) else {"ITL": list(gaps)}
    values = {name: several for name, several in values.items() if not all(np.isnan(one).all() for one in several)}
    wide = len(values) > len(METRICS)
    with mpl.rc_context(RC):
        figure, [panels] = sheet(1, len(values), 2.7, 0.2, caption, gap=0.45 if wide else 0.85)
        for axes, (name, several) in zip(panels, values.items(), strict=True):
            drawn = [np.sort(of[~np.isnan(of)]) for of in several]
            for one, last in zip(drawn, [*[False] * len(runs), True], strict=True):
                share = np.arange(1, len(one) + 1) / len(one)
                look = {"color": SIMULATED, "linestyle": (0, (4, 1.5))} if last else {"color": REAL}
                axes.plot(one, share, drawstyle="steps-post", linewidth=1.6, **look)
            everything = np.concatenate(drawn)
            if everything.min() > 0 and everything.max() > DECADE * everything.min():
                axes.set_xscale("log")
                plain_log_ticks(axes.xaxis)
                if everything.max() > DECADE**2 * everything.min():
                    axes.xaxis.set_major_locator(LogLocator())
            axes.set(xlabel=SHORT[name] if wide else LABELS[name], ylim=(0, 1.02))
        panels[0].set_ylabel("share of requests")
        handles = [
            Line2D([], [], color=REAL, label="measured" if len(runs) == 1 else f"measured, {len(runs)} runs"),
            Line2D([], [], color=SIMULATED, linestyle=(0, (4, 1.5)), label="simulated"),
        ]
        panels[-1].legend(handles=handles, loc="lower right")  # where no distribution goes
    return figure
