"""What about a trace's clock is hard to believe, and which setting is then likely wrong."""

from __future__ import annotations

import pandas as pd

SHORT = 1.0  # s
LONG = 3 * 365 * 86400.0  # s, three years
FAST = 1000.0  # requests/s
UNIT = "are its stamps in another unit (trace.unit=s, ms, us or ns, where the format has one)?"


def doubts(table: pd.DataFrame) -> list[str]:
    """A line for each doubt: a span under 1 s or over three years, a rate over 1,000 requests/s. None of one request,
    or of a closed loop, whose requests come when others have ended."""
    rows = len(table)
    if rows < 2 or "think" in table:
        return []
    span = float(table["arrival"].iloc[-1] - table["arrival"].iloc[0])
    if span == 0:
        return [f"all {rows:,} requests arrive at one instant: is that so, or has the file no arrivals?"]
    found = []
    if span < SHORT:
        found.append(f"its {rows:,} requests arrive within {span:.3g} s: {UNIT}")
    if span > LONG:
        found.append(f"its {rows:,} requests arrive over {span / 86400:,.0f} days: {UNIT}")
    if (rows - 1) / span > FAST:
        found.append(f"it has {(rows - 1) / span:,.0f} requests/s: is that so (trace.rate), or {UNIT}")
    return found
