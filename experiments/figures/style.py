"""What all figures share: a policy's colour, marker and dashes, sizes, the caption about provenance, and saving."""

from __future__ import annotations

import os
import textwrap
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from experiments.tables.labels import devices_of

RC: dict[Any, Any] = {
    "font.size": 10,
    "axes.labelsize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "pdf.fonttype": 42,  # text stays text
}
CAPTION_SIZE = 8.0
CAPTION_CHARACTERS_PER_INCH = 16.5  # of the default font at that size
LINE_INCHES = 0.155


@dataclass(frozen=True, slots=True)
class Look:
    """How a policy is drawn; `dashes` are lengths on and off, none for a solid line."""

    color: str
    marker: str
    dashes: tuple[float, ...] = ()

    def line(self) -> dict[str, Any]:
        """What matplotlib is told of the line."""
        return {"color": self.color, "linestyle": (0, self.dashes) if self.dashes else "-", "linewidth": 1.6}

    def points(self) -> dict[str, Any]:
        """What matplotlib is told of the points: in the policy's colour, with a white rim."""
        size = {"*": 12.0, "P": 8.5, "X": 8.5, "o": 7.0, "s": 6.5, "D": 6.0}.get(self.marker, 7.5)
        return {"marker": self.marker, "markersize": size, "markeredgecolor": "white", "markeredgewidth": 0.7}


# Black and nine colours made after Paul Tol's "muted" scheme, which the colour-blind can tell apart; then the papers'
# of scheduling by size, told apart by marker and dashes too.
LOOKS = {
    "fifo": Look("#000000", "o"),
    "hpf": Look("#9a9a9a", "D", (4, 2)),
    "sjf": Look("#117733", "s"),
    "sjf_oracle": Look("#2fb46e", "s", (3, 1.5)),
    "luf": Look("#88ccee", "v", (4, 2)),
    "muf": Look("#aa4499", "^", (1, 1.5)),
    "up": Look("#332288", "P"),
    "consolidation": Look("#a08a2c", "<", (6, 1.5, 1, 1.5)),
    "offload": Look("#44aa99", ">", (6, 1.5, 1, 1.5)),
    "up_consolidation": Look("#882255", "X", (4, 2)),
    "rtlm": Look("#dd4433", "*"),
    "vllm": Look("#d8a24a", "h", (3, 1.5)),
    "ssjf": Look("#7fbf3f", "d", (3, 1.5)),
    "fastserve": Look("#ff7f7f", "p", (3, 1.5)),
    "trail": Look("#1f77d0", "8", (3, 1.5)),
    "ltr": Look("#5b3a1e", "H", (3, 1.5)),
    "alise": Look("#c9a0ff", "o", (1, 1.5)),
    "infercept": Look("#006d77", "d", (1, 1.5)),
    "lamps": Look("#b5179e", "8", (6, 1.5, 1, 1.5)),
    "best_effort": Look("#00c2a8", "D", (3, 1.5)),
    "gittins": Look("#5c7c00", "*", (6, 1.5, 1, 1.5)),
    "tie": Look("#e6399b", "P", (3, 1.5)),
    "a_min": Look("#7a5195", "v", (1, 1.5)),
    "boost": Look("#c65d00", ">", (3, 1.5)),
    "uniboost": Look("#8c2d04", "<", (1, 1.5)),
}
OTHER_COLORS = ("#0072b2", "#e69f00", "#6b4c9a", "#7f4f24", "#cc79a7", "#5f8700")
OTHER_MARKERS = ("h", "d", "p", "8", "H")
# How a paper's own value is drawn beside ours, where both are points
PAPER: dict[str, Any] = {
    "marker": "D",
    "color": "black",
    "linestyle": "",
    "markersize": 5,
    "markerfacecolor": "none",
    "zorder": 4,
}


def look(policy: str) -> Look:
    """How `policy` is drawn in every figure; one that is not in LOOKS gets colour and marker from its name's hash."""
    if policy in LOOKS:
        return LOOKS[policy]
    number = zlib.crc32(policy.encode())
    color, marker = number % len(OTHER_COLORS), number // len(OTHER_COLORS) % len(OTHER_MARKERS)
    return Look(OTHER_COLORS[color], OTHER_MARKERS[marker], (3, 1.5))


def ordered(policies: Iterable[str]) -> list[str]:
    """The policies in the order of LOOKS, others after them by name."""
    known = list(LOOKS)
    return sorted(set(policies), key=lambda policy: (known.index(policy) if policy in LOOKS else len(known), policy))


def provenance(table: pd.DataFrame) -> str:
    """Which traces are recorded or synthetic, and from what kind of profile each device's times come."""
    traces = sorted({(str(row["trace"]), _kind(row["provenance.trace"])) for _, row in table.iterrows()})
    lines = [f"{'Trace' if len(traces) == 1 else 'Traces'}: " + ", ".join(f"{name} ({kind})" for name, kind in traces)]
    devices = devices_of(table)
    profiles = [
        f"{name.removeprefix('provenance.')} {' or '.join(sorted(set(table[name].dropna())))}" for name in devices
    ]
    return "; ".join([*lines, *(["profiles: " + ", ".join(profiles)] if profiles else [])]) + "."


def _kind(stated: str) -> str:
    kind, _, more = stated.partition(":")
    return f"{kind}, its arrivals synthetic" if kind == "recorded" and "arrivals, synthetic" in more else kind


def sheet(
    rows: int,
    columns: int,
    row_inches: float,
    right: float,
    text: str,
    left: float = 0.8,
    gap: float = 0.85,
    row_gap: float = 0.85,
    below: float = 0.8,
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of `rows` x `columns` axes between margins of `left` and `right` inches, with `text` as its caption.

    `gap` and `row_gap` are the inches between columns and rows, `below` those between the last row and the caption.
    """
    width, top = 10.0, 0.35
    lines = textwrap.wrap(text, int((width - 0.3) * CAPTION_CHARACTERS_PER_INCH), break_on_hyphens=False)
    bottom = below + LINE_INCHES * len(lines)
    height = top + rows * row_inches + (rows - 1) * row_gap + bottom
    figure = Figure(figsize=(width, height))
    figure.text(0.15 / width, 0.12 / height, "\n".join(lines), fontsize=CAPTION_SIZE, color="#444444", va="bottom")
    grid = figure.subplots(rows, columns, squeeze=False)
    column_inches = (width - left - right - (columns - 1) * gap) / columns
    figure.subplots_adjust(
        left=left / width,
        right=1 - right / width,
        bottom=bottom / height,
        top=1 - top / height,
        wspace=gap / column_inches,
        hspace=row_gap / row_inches,
    )
    return figure, [list(axes) for axes in grid]


def legend(axes: Axes, policies: Iterable[str], points: bool = True) -> None:
    """Name the policies at the right of `axes`, outside the data, with their markers if the data have `points`."""
    looks = {policy: look(policy) for policy in policies}
    handles = [
        Line2D([], [], label=policy, **how.line(), **(how.points() if points else {})) for policy, how in looks.items()
    ]
    axes.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1.03, 1.02), borderaxespad=0, handlelength=3.6,
        labelspacing=0.55,
    )  # fmt: skip


def plain_log_ticks(axis: Axis, steps: tuple[float, ...] = (1, 2, 5)) -> None:
    """Label a logarithmic axis 1, 2, 5, 10 ..., without powers; `steps` of a decade are labelled."""
    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write `stem`.png (150 dpi) and `stem`.pdf, each whole or not at all; equal figures give equal files."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure)
    paths = []
    for kind, metadata in (("png", {"Software": None}), ("pdf", {"CreationDate": None})):
        path = stem.with_name(f"{stem.name}.{kind}")
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        figure.savefig(temporary, format=kind, dpi=150, metadata=metadata)
        temporary.replace(path)
        paths.append(path)
    return paths
