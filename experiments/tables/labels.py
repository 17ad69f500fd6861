"""What a run is called in a table: its policy or system, and the settings that tell it from the others."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from experiments.run.results import Loader

CONF = Path(__file__).parents[1] / "conf"


@lru_cache(maxsize=256)
def stock(group: str, name: str) -> dict[str, Any] | None:
    """What the shipped yaml `name` of a config group says; None where none is shipped."""
    path = CONF / group / f"{name}.yaml"
    return (yaml.load(path.read_bytes(), Loader) or {}) if path.exists() else None


def devices_of(table: pd.DataFrame) -> list[str]:
    """The columns that say where the times of each device come from."""
    others = ("provenance.trace", "provenance.build")
    return [name for name in table.columns if name.startswith("provenance.") and name not in others]


def part_name(group: str, choice: str, config: dict[str, Any]) -> str:
    """What the part that `config` holds is called: the yaml chosen, or its class if the yaml names another."""
    found: Any = config
    for key in group.split("/"):
        found = found.get(key) if isinstance(found, dict) else None
    shipped = stock(group, choice) or {}
    targets = [part.get("_target_") if isinstance(part, dict) else None for part in (found, shipped)]
    if None in targets or _where_it_was(str(targets[0])) == _where_it_was(str(targets[1])):
        return choice
    return str(targets[0]).rsplit(".", 1)[-1]


def _where_it_was(target: str) -> str:
    """A part of `policies` by its class alone, for results of before the parts had a folder a slot."""
    package, _, name = target.rpartition(".")
    return name if package.split(".")[0] == "policies" else target


def is_usual(policy: str, column: str, value: object) -> bool:
    """Whether a setting of a policy is a part (`policy/order`) that the shipped policy has anyway."""
    defaults = (stock("policy", policy) or {}).get("defaults", [])
    return {column.removeprefix("policy/"): value} in defaults


def ending(known: Iterable[str], name: str) -> list[str]:
    """Those whose last part is `name`, as `rate` is that of trace.rate."""
    return [other for other in known if other.endswith((f".{name}", f"/{name}"))]


def shown(value: object) -> str:
    """A setting's value in few characters: 1.0 is 1."""
    if value is None or value != value:
        return "null"
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value)


def settings_of(table: pd.DataFrame) -> list[str]:
    """The columns of a collected table that say what a run was: those before `run`."""
    return list(table.columns[: table.columns.get_loc("run")])


def varying(table: pd.DataFrame, axis: str = "") -> list[str]:
    """The settings, but policy (and the system that chose it), seed and `axis`, in which the runs of `table` differ.

    A part of a policy (`policy/order` ...) or a predictor counts only where one policy was run with several.
    """
    found = []
    for name in settings_of(table):
        if name in ("policy", "system", "seed") or of_axis(name, axis):
            continue
        own = name.startswith(("policy", "predictor"))
        within = table.groupby(table["policy"] if own else np.zeros(len(table)))[name]
        if (within.nunique(dropna=False) > 1).any():
            found.append(name)
    return found


def of_axis(name: str, axis: str) -> bool:
    """Whether a setting is `axis`, or is of the part that it chooses (`policy.routing.limit` of policy/routing)."""
    return bool(axis) and (name == axis or name.startswith(axis.replace("/", ".") + "."))


def labelled(table: pd.DataFrame, policy: str = "fifo", axis: str = "") -> pd.DataFrame:
    """`table` with what one policy's runs differ in put into the policy's name (`up order.alpha=-4`).

    That is a policy's knobs and the predictor, and any part that is not shipped; a system that chose the policy gives
    its name. What `policy`, the reference, was swept over too stays a setting, so that differences are taken at its
    equal values; `axis`, along which they are taken, stays out of the name.
    """
    table = as_asked(table)
    names = table["policy"].astype(str)
    for column in (name for name in settings_of(table) if name.startswith(("policy.", "policy/", "predictor"))):
        if of_axis(column, axis):
            continue
        foreign = _foreign(table, column)
        swept = table[~foreign].groupby("policy")[column].nunique(dropna=False) > 1
        told = foreign | (table["policy"].map(swept).eq(True) & (not swept.get(policy, False)))
        text = " " + column.removeprefix("policy.").removeprefix("policy/") + "=" + table[column].map(shown)
        names = names + text.where(told, "")
    return table.assign(policy=names)


def as_asked(table: pd.DataFrame) -> pd.DataFrame:
    """`table` with the name of the system that chose a policy as that policy's."""
    return table.assign(policy=table["system"].fillna(table["policy"])) if "system" in table else table


def with_foreign_parts(table: pd.DataFrame) -> pd.DataFrame:
    """`table` with the parts of a policy that are not shipped in its name alone."""
    names = table["policy"].astype(str)
    for column in (name for name in settings_of(table) if name.startswith("policy/")):
        text = " " + column.removeprefix("policy/") + "=" + table[column].map(shown)
        names = names + text.where(_foreign(table, column), "")
    return table.assign(policy=names)


def _foreign(table: pd.DataFrame, column: str) -> pd.Series:
    """Where a setting is a part of a policy that is not shipped."""
    if not column.startswith("policy/"):
        return pd.Series(False, index=table.index)
    return table[column].map(lambda value: isinstance(value, str) and stock(column, value) is None)
