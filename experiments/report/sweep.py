"""The runs that a page is of: their table, which of them are compared, and which are looked at request by request."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.figures.style import ordered
from experiments.run.results import Folder
from experiments.tables.collect import collect
from experiments.tables.labels import settings_of, shown
from experiments.tables.parts import of_folder
from experiments.tables.reference import Reference

STATES = {"failed": "failed", "running": "running, or killed while they ran", "damaged": "damaged"}


@dataclass(frozen=True)
class Sweep:
    """Complete runs, labelled; `said` is what collecting them had to say, `others` counts those left out by state."""

    roots: Sequence[Path]
    table: pd.DataFrame
    folders: Mapping[str, Folder]
    reference: Reference
    groups: Sequence[str]  # the settings at whose equal values runs are compared
    said: Sequence[str]
    others: Mapping[str, int]
    _configs: dict[str, dict[str, Any]] = field(default_factory=dict)
    _parts: dict[str, pd.DataFrame] = field(default_factory=dict)

    def apart(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Each combination of the settings that tell tables apart, in words, and its runs."""
        if not self.groups:
            yield "", self.table
            return
        for key, own in self.table.groupby(list(self.groups), sort=True, dropna=False):
            yield ", ".join(f"{name}={shown(value)}" for name, value in zip(self.groups, key, strict=True)), own

    def policies(self) -> list[str]:
        """The policies as they are called, in the order of all figures."""
        return ordered(self.table["policy"].map(str))

    def axis(self) -> str:
        """The setting along which most is to be seen: the number with the most values; empty if none varies."""
        numbers = [
            name
            for name in self.groups
            if pd.api.types.is_numeric_dtype(self.table[name]) and self.table[name].notna().all()
        ]
        return max(numbers, key=lambda name: self.table[name].nunique(), default="")

    def busiest(self) -> tuple[str, pd.DataFrame]:
        """The runs at the largest value along the axis that each policy was run at, and that value in words."""
        axis = self.axis()
        if not axis:
            return "", self.table
        common = set.intersection(*(set(own[axis]) for _, own in self.table.groupby("policy")))
        most = max(common or set(self.table[axis]))
        return f"{axis}={shown(most)}", self.table[self.table[axis] == most]

    def config(self, run: str) -> dict[str, Any]:
        """The settings of a run, all of them."""
        if run not in self._configs:
            self._configs[run] = self.folders[run].made_of()["config"]
        return self._configs[run]

    def parts(self, run: str) -> pd.DataFrame:
        """What the time of each request of a run is made of."""
        if run not in self._parts:
            self._parts[run] = of_folder(self.folders[run])
        return self._parts[run]


def read(roots: Sequence[Path], reference: str | None) -> Sweep:
    """The runs below `roots`; FileNotFoundError if none is complete, ValueError as `collect` has it."""
    found: list[Folder] = []
    others: dict[str, int] = {}
    for root in roots:
        if not root.is_dir():
            raise FileNotFoundError(f"{root} is no folder: give the results/NAME that `tokenyard -m ...` printed")
        for path in sorted(root.glob("**/status.json")):
            folder = Folder(path.parent)
            state = folder.state
            if state == "complete":
                found.append(folder)
            else:
                others[state] = others.get(state, 0) + 1
    if not found:
        raise FileNotFoundError(
            f"no complete run below {', '.join(map(str, roots))} ({sum(others.values())} runs in all)"
        )
    with redirect_stderr(io.StringIO()) as said:
        collected = collect(found)
    if collected.empty:
        raise ValueError(" ".join(said.getvalue().split()) or "no run can be read")
    of = Reference.of(reference)
    table = of.labelled(collected.assign(_policy=collected["policy"]))
    return Sweep(
        roots, table, {folder.path.name: folder for folder in found}, of, of.groups(table),
        said.getvalue().splitlines(), others,
    )  # fmt: skip


def raw(table: pd.DataFrame) -> pd.DataFrame:
    """`table` with each policy by its own name, as figures want it, that call it anew."""
    return table.assign(policy=table["_policy"]).reset_index(drop=True)


def varying(table: pd.DataFrame) -> list[str]:
    """The settings in which runs differ."""
    found = [name for name in settings_of(table) if table[name].map(shown).nunique() > 1]
    return [name for name in found if name != "system" or not (table["system"] == table["policy"]).all()]
