"""What belongs to one paper alone, a folder each."""

from __future__ import annotations

from pathlib import Path


def with_figures() -> list[str]:
    """The papers that have figures: `FIGURES` in `<paper>.figures`, and the `SETTINGS` that tell their traces apart."""
    return sorted(folder.parent.name for folder in Path(__file__).parent.glob("*/figures/"))
