"""The learning curve of a training: a table, and a picture of how its network served traces that it never saw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.figures.style import RC
from experiments.run.written import write_whole

SHARE = "share_"  # columns: of the held-out requests, those that went to a model


def write(curve: Sequence[dict[str, Any]], folder: Path) -> None:
    """Write curve.csv and curve.png."""
    table = pd.DataFrame(curve)
    write_whole(folder / "curve.csv", table.to_csv(index=False))
    temporary = folder / ".curve.png"
    draw(table).savefig(temporary, format="png", dpi=120)
    temporary.replace(folder / "curve.png")


def draw(table: pd.DataFrame) -> Figure:
    """Performance on held-out episodes and on those played with chance, and which models were chosen."""
    thousands = table["decisions"] / 1000
    with mpl.rc_context(RC):
        figure = Figure(figsize=(9.5, 3.0), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.plot(thousands, table["performance"], color="#332288", label="held out, no chance")
        left.plot(thousands, table["training_performance"], color="#999933", lw=0.8, label="while training")
        left.set(xlabel="thousand decisions", ylabel="reward over the peak")
        left.legend()
        names = [str(name) for name in table if str(name).startswith(SHARE)]
        called = [name.removeprefix(SHARE) for name in names]
        colors = mpl.colormaps["Blues"](np.linspace(0.25, 0.9, len(names)))
        right.stackplot(thousands, table[names].to_numpy().T, labels=called, colors=colors)
        right.set(xlabel="thousand decisions", ylabel="held-out requests", ylim=(0, 1))
        right.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), reverse=True)
    return figure
