"""What covers what on a figure: measured on the drawn page, in pixels."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.transforms import Bbox


def legends(figure: Figure) -> list[Legend]:
    """All legends of a figure."""
    return [*figure.legends, *(legend for axes in figure.axes if (legend := axes.get_legend()))]


def points(axes: Axes) -> np.ndarray:
    """Where the points and the ends of the lines of `axes` stand, those of scatters and bars too."""
    found = [axes.transData.transform(np.column_stack(line.get_data())) for line in axes.lines if len(line.get_xdata())]
    for collection in axes.collections:
        found += [collection.get_transform().transform(path.vertices) for path in collection.get_paths()]
        found.append(collection.get_offset_transform().transform(collection.get_offsets()))
    found += [patch.get_window_extent().corners() for patch in axes.patches]
    return np.concatenate(found) if found else np.empty((0, 2))


def covered(figure: Figure) -> list[str]:
    """What a legend lies on: points of any axes, and panels; and what does not fit on the page."""
    FigureCanvasAgg(figure).draw()
    said = []
    for legend in legends(figure):
        box = legend.get_window_extent()
        for axes in figure.axes:
            at = points(axes)
            inside = (at >= box.min).all(axis=1) & (at <= box.max).all(axis=1)
            if inside.any():
                said.append(f"{inside.sum()} points lie under a legend")
            others = [text.get_window_extent() for text in (axes.title, axes.xaxis.label, axes.yaxis.label)]
            if any(_overlap(box, other) for other in others):
                said.append("a legend lies on a word of the axes")
    page = figure.bbox
    texts = [*figure.texts, *(text for legend in legends(figure) for text in legend.get_texts())]
    texts += [text for axes in figure.axes if axes.axison for text in (axes.xaxis.label, axes.yaxis.label)]
    texts += [label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for label in labels(axis)]
    for text in texts:
        if text.get_visible() and text.get_text() and not _within(text.get_window_extent(), page):
            said.append(f"{text.get_text()!r} leaves the page")
    for axes in figure.axes:
        boxes = [label.get_window_extent() for label in labels(axes.xaxis) if not label.get_rotation()]
        said += ["two labels of an axis lie on one another"] * any(map(_overlap, boxes, boxes[1:]))
    return said


def labels(axis: Axis) -> list[Text]:
    """The labels of the ticks that are seen."""
    low, high = sorted(axis.get_view_interval())
    ticks = [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [label for label in ticks if label.get_visible() and label.get_text()]


def _overlap(one: Bbox, other: Bbox) -> bool:
    return one.width > 0 < other.width and bool(one.fully_overlaps(other))


def _within(one: Bbox, page: Bbox) -> bool:
    return one.x0 >= page.x0 - 1 and one.x1 <= page.x1 + 1 and one.y0 >= page.y0 - 1 and one.y1 <= page.y1 + 1
