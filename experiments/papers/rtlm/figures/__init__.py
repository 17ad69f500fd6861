"""Every figure and table of RT-LM, a module each: `make(stored, output)` returns the files it made."""

from __future__ import annotations

from types import ModuleType

from experiments.papers.rtlm.figures import (
    ablation,
    calibration,
    continuous,
    kinds,
    ladder,
    main,
    malicious,
    overhead,
    predictions,
    real,
    sensitivity,
    strength,
    variance,
)

FIGURES: dict[str, ModuleType] = {
    "main": main,
    "ablation": ablation,
    "sensitivity": sensitivity,
    "kinds": kinds,
    "ladder": ladder,
    "malicious": malicious,
    "variance": variance,
    "strength": strength,
    "predictions": predictions,
    "continuous": continuous,
    "real": real,
    "overhead": overhead,
    "calibration": calibration,
}
