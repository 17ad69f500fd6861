"""Every figure and table of RT-LM, a module each: `make(stored, output)` returns the files it made."""

from __future__ import annotations

from types import ModuleType

from experiments.figures.rtlm import ablation, main

FIGURES: dict[str, ModuleType] = {"main": main, "ablation": ablation}
