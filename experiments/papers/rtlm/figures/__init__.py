"""Every figure and table of RT-LM, by name in the order in which they are made."""

from __future__ import annotations

from functools import partial

from experiments.figures.stored import Figure
from experiments.papers.rtlm.figures import (
    ablation,
    calibration,
    conditions,
    continuous,
    kinds,
    ladder,
    main,
    overhead,
    real,
    sensitivity,
)
from experiments.papers.rtlm.figures.shared import SETTINGS

__all__ = ["FIGURES", "SETTINGS"]

BEFORE = (main, ablation, sensitivity, kinds, ladder)
AFTER = (continuous, real, overhead, calibration)
FIGURES = {
    **{module.__name__.rpartition(".")[2]: Figure(module.__doc__ or "", module.make) for module in BEFORE},
    **{name: Figure(of.shows, partial(conditions.make, name)) for name, of in conditions.CONDITIONS.items()},
    **{module.__name__.rpartition(".")[2]: Figure(module.__doc__ or "", module.make) for module in AFTER},
}
