"""Tables of intervals as csv, as Markdown and as text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from experiments.run.written import write_whole
from experiments.tables.stats import Interval

PRINTED = 40  # rows of a table


def written(table: pd.DataFrame, stem: Path, title: str, notes: str, formats: Mapping[str, str]) -> list[Path]:
    """Write `stem`.csv (an interval takes two columns, the second its half width) and `stem`.md, and print the table.

    `formats` are of the columns that hold numbers or intervals, for Markdown and print.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    shown = table.assign(**{name: [_text(value, form) for value in table[name]] for name, form in formats.items()})
    csv, md = (stem.with_name(f"{stem.name}.{kind}") for kind in ("csv", "md"))
    write_whole(csv, _numbers(table).to_csv(index=False))
    write_whole(md, f"## {title}\n\n{_markdown(shown)}\n\n{notes}\n")
    more = f"\n... {len(shown) - PRINTED} more rows in {md}" if len(shown) > PRINTED else ""
    text = shown.head(PRINTED).to_string(index=False) if len(shown) else "none"
    print(f"\n{title}\n{text}{more}\n{notes}")
    return [csv, md]


def _text(value: object, form: str) -> str:
    return "" if value is None or value != value else format(value, form)


def _numbers(table: pd.DataFrame) -> pd.DataFrame:
    columns: dict[str, object] = {}
    for name in table.columns:
        values = table[name].tolist()
        if any(isinstance(value, Interval) for value in values):
            columns[name] = [value.mean if isinstance(value, Interval) else value for value in values]
            columns[f"{name} ±"] = [value.half_width if isinstance(value, Interval) else None for value in values]
        else:
            columns[name] = values
    return pd.DataFrame(columns)


def _markdown(table: pd.DataFrame) -> str:
    rows = [list(table.columns), ["---"] * table.shape[1], *table.astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
