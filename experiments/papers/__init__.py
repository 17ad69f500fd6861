"""What belongs to one paper alone, a folder each."""

from __future__ import annotations

from pathlib import Path


def with_figures() -> list[str]:
    """The papers that have figures, which `<paper>.draw` makes."""
    return sorted(path.parent.name for path in Path(__file__).parent.glob("*/draw.py"))
