"""Which settings of a sweep are drawn along what: names made whole, and what else the runs differ in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from experiments.settings.wording import did_you_mean
from experiments.tables.labels import ending, labelled, settings_of, shown
from experiments.tables.reference import DEFAULT, Reference

REST = "what else differs"  # the column that puts settings together which nobody named
UNITS = {"trace.rate": "requests/s", "horizon": "s"}  # of settings whose names do not say it


@dataclass(frozen=True, slots=True)
class Chosen:
    """The settings along which runs are drawn; an empty one is none."""

    x: str = ""
    y: str = ""  # of a heat map
    hue: str = ""
    row: str = ""
    col: str = ""

    @property
    def names(self) -> list[str]:
        """Those that are chosen."""
        return list(dict.fromkeys(name for name in (self.row, self.col, self.y, self.hue, self.x) if name))


def one_of(name: str, known: Sequence[str], what: str) -> str:
    """The one of `known` that `name` is, or is the last part of (`rate` of trace.rate); ValueError for none."""
    ends = ending(known, name)
    if name in known or len(ends) == 1:
        return name if name in known else ends[0]
    if ends:
        raise ValueError(f"{what} {name} is one of {', '.join(ends)}: say which")
    raise ValueError(f"no {what} {name}{did_you_mean(name, known)}; there are {', '.join(known)}")


def metrics_of(table: pd.DataFrame) -> list[str]:
    """The columns of a collected table that hold a number of what came out."""
    return [name for name in table.columns[len(settings_of(table)) + 1 :] if pd.api.types.is_numeric_dtype(table[name])]


def only(table: pd.DataFrame, wanted: Iterable[str]) -> pd.DataFrame:
    """The runs of a collected table of which each `key=value` or `key=value,value` is true; ValueError if none is."""
    for text in wanted:
        key, equals, values = text.partition("=")
        if not equals:
            raise ValueError(f"--only {text}: give KEY=VALUE, as --only trace=recorded")
        name = one_of(key, settings_of(table), "setting")
        here = table[name].map(shown)
        kept = here.isin(values.split(",")) if values not in set(here) else here == values
        if not kept.any():
            raise ValueError(f"no run has {name}={values}; there are {', '.join(dict.fromkeys(here))}")
        table = table[kept]
    return table.reset_index(drop=True)


def chosen(table: pd.DataFrame, asked: Chosen, reference: str = "") -> tuple[pd.DataFrame, Chosen]:
    """A collected table with each run's policy as it is called, and the names in `asked` made whole.

    Settings that differ and that nobody named are put together in a row of panels for each of their combinations, or in
    a column; ValueError where both are taken. Along `reference`, what the policies are compared with, nothing differs.
    """
    settings = settings_of(table)
    parts = {part: getattr(asked, part) for part in ("x", "y", "hue", "row", "col")}
    whole = {part: one_of(name, settings, "setting") for part, name in parts.items() if name}
    asked = replace(asked, **whole)
    of = Reference.of(reference or DEFAULT)
    own = [name for name in asked.names if name not in ("policy", "system")]
    policies = labelled(table.drop(columns=own), of.value if reference and not of.axis else "", of.axis)["policy"]
    table = table.assign(policy=policies)
    if not asked.hue and not asked.y and "policy" not in asked.names and policies.nunique() > 1:
        asked = replace(asked, hue="policy")
    if "system" in asked.names:
        asked = replace(asked, **{part: "policy" for part, name in whole.items() if name == "system"})
    rest = differing(table, asked.names)
    table = _in_words(table, [*asked.names, *rest])
    if not rest:
        return table, asked
    free = next((part for part in ("row", "col") if not getattr(asked, part)), None)
    if free is None:
        there = "; ".join(f"{name} is {', '.join(dict.fromkeys(table[name].map(shown)))}" for name in rest)
        raise ValueError(f"the runs differ in {', '.join(rest)} too: choose with --only KEY=VALUE ({there})")
    if len(rest) == 1:
        return table, replace(asked, **{free: rest[0]})
    words = table[rest].map(shown).apply(lambda row: ", ".join(f"{a}={b}" for a, b in row.items()), axis=1)
    return table.assign(**{REST: words}), replace(asked, **{free: REST})


def _in_words(table: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """`table` with those settings as words that some run does not have: null."""
    return table.assign(**{name: table[name].map(shown) for name in names if table[name].isna().any()})


def differing(table: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """The settings besides `names` and seed in which runs differ; of a policy, those that differ at equal `names`."""
    found: list[str] = []
    for name in sorted(settings_of(table), key=lambda one: one != "policy"):  # most of its parts go with it
        if name in (*names, "seed", "system"):
            continue
        own = name.startswith(("policy", "predictor"))
        keys = [table[other] for other in (*names, *found)] if own else []
        if (table.groupby(keys or np.zeros(len(table)), dropna=False)[name].nunique(dropna=False) > 1).any():
            found.append(name)
    return found


def short(setting: str) -> str:
    """What a setting is called on a figure: the last part of its name."""
    return setting.rpartition(".")[2]


def axis_name(setting: str) -> str:
    """What stands at the axis of a setting: what it is called, and its unit where that does not say it."""
    unit = UNITS.get(setting)
    return f"{short(setting)} ({unit})" if unit else short(setting)


def panel_name(setting: str, value: object) -> str:
    """What stands above a panel."""
    return str(value) if setting in (REST, "policy", "") else f"{short(setting)}={shown(value)}"
