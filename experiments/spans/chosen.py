"""Which runs a command means: folders of results, of one run or of many, and settings that narrow them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from experiments.run.results import Folder
from experiments.settings.toplevel import TOP_LEVEL
from experiments.settings.wording import did_you_mean
from experiments.tables.collect import collect, complete_folders
from experiments.tables.labels import ending, settings_of, shown
from experiments.tables.parts import SPANS
from experiments.tables.reference import REPLAY

UNSPOKEN = ("seed", "system", "experiment")  # settings that tell no runs apart for themselves


class Side(NamedTuple):
    """Runs to be compared: what they are called, and a run for each seed."""

    name: str
    runs: Mapping[int, Folder]

    def read(self, seed: int, name: str) -> pd.DataFrame:
        """The table `name` of the run of `seed`."""
        return pd.read_parquet(self.runs[seed].path / name)

    @property
    def has_spans(self) -> bool:
        """Whether each of its runs kept them."""
        return all((folder.path / SPANS).exists() for folder in self.runs.values())


@dataclass(frozen=True)
class Asked:
    """The words of a command: folders, and the values of each setting in the order in which they were given."""

    folders: tuple[Path, ...]
    settings: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, words: Sequence[str]) -> Asked:
        """ValueError for a word that is no folder and no KEY=VALUE, or a setting that is given more than twice."""
        folders: list[Path] = []
        settings: dict[str, tuple[str, ...]] = {}
        for word in words:
            key, equals, value = word.partition("=")
            if Path(word).is_dir():
                folders.append(Path(word))
            elif equals and key and value:
                settings[key] = (*settings.get(key, ()), value)
            else:
                raise ValueError(f"{word} is no folder of results, and no setting as KEY=VALUE")
        for key, values in settings.items():
            if len(values) > 2:
                raise ValueError(f"{key} is given {len(values)} times: two sides are compared")
        if not folders:
            raise ValueError("name a folder of results, as results/demo")
        if len(folders) > 2:
            raise ValueError(f"{len(folders)} folders are given: two sides are compared")
        return cls(tuple(folders), settings)

    def one(self) -> Folder:
        """The run that is meant; ValueError if that may be several."""
        if len(self.folders) > 1:
            raise ValueError(f"one folder is asked for, got {', '.join(map(str, self.folders))}")
        table, by_name = _collected(self.folders[0], self.settings)
        for key, values in self.settings.items():
            for value in values:
                table = _with(table, key, value)
        table = _with_spans_first(table, by_name)
        if len(table) > 1:
            raise ValueError(f"{len(table)} runs are meant{_told_apart(table, ('seed',))}")
        return by_name[table["run"].iloc[0]]

    def sides(self) -> tuple[Side, Side]:
        """The two sides, of the first folder or values and of the second; ValueError where they cannot be told apart.

        A setting given once narrows both.
        """
        twice = [key for key, values in self.settings.items() if len(values) == 2]
        if twice and len(self.folders) == 1 and all(len(set(self.settings[key])) == 1 for key in twice):
            raise ValueError(f"{twice[0]}={self.settings[twice[0]][0]} is given twice: both sides would be the same")
        if len(self.folders) == 1 and not twice:
            raise ValueError("two sides are compared: give two folders, or a setting twice, as policy=fifo policy=rtlm")
        found = [_collected(folder, self.settings) for folder in self.folders]
        if len(found) == 1:
            found *= 2
        sides = []
        for number, (table, by_name) in enumerate(found):
            for key, values in self.settings.items():
                table = _with(table, key, values[min(number, len(values) - 1)])
            name = " ".join(self.settings[key][number] if key == "policy" else f"{key}={self.settings[key][number]}"
                            for key in twice)  # fmt: skip
            sides.append((name, _with_spans_first(table, by_name), by_name))
        names = [name or _called(table, number, self.folders) for number, (name, table, _) in enumerate(sides)]
        if names[0] == names[1]:
            names = [f"{name} of {folder}" for name, folder in zip(names, self.folders, strict=False)] or names
        for name, (_, table, _) in zip(names, sides, strict=True):
            if table["seed"].duplicated().any():
                raise ValueError(f"{name}: several runs of a seed{_told_apart(table)}")
        first, second = (
            Side(name, {int(seed): by_name[run] for seed, run in zip(table["seed"], table["run"], strict=True)})
            for name, (_, table, by_name) in zip(names, sides, strict=True)
        )
        return first, second


def _collected(folder: Path, settings: Mapping[str, Any]) -> tuple[pd.DataFrame, dict[str, Folder]]:
    """The runs below `folder`, a row each with its settings, those asked for among them, and their folders by name."""
    folders = complete_folders(folder)
    table = collect(folders, ["record", *(key for key in settings if "." in key or key in TOP_LEVEL)])
    return table, {one.path.name: one for one in folders}


def _with(table: pd.DataFrame, key: str, value: str) -> pd.DataFrame:
    """The runs with that value; ValueError, which says what there is, if there are none."""
    names = settings_of(table)
    if key not in names and len(ends := ending(names, key)) == 1:
        [key] = ends
    if key not in names or table[key].isna().all():
        raise ValueError(f"{key}={value}: no run says its {key}{did_you_mean(key, names)}")
    columns = [table[name] for name in ((key, "system") if key == "policy" and "system" in names else (key,))]
    held = pd.Series(False, table.index)
    for column in columns:
        held |= column.map(lambda one: _is(one, value))
    if not held.any():
        there = list(dict.fromkeys(shown(one) for column in columns for one in column))
        raise ValueError(f"{key}={value}: no run has it; there are {', '.join(there)}{did_you_mean(value, there)}")
    return table[held]


def _is(value: Any, text: str) -> bool:
    """Whether a setting's value is what `text` says: as numbers, or as they are shown."""
    try:
        return float(value) == float(text)
    except (TypeError, ValueError):
        return shown(value).lower() == text.lower()


def _with_spans_first(table: pd.DataFrame, by_name: Mapping[str, Folder]) -> pd.DataFrame:
    """`table` without runs that differ in `record` alone from one that kept spans."""
    has = table["run"].map(lambda run: (by_name[run].path / SPANS).exists())
    same = [name for name in settings_of(table) if name != "record"]
    ordered = table.assign(_has=has).sort_values("_has", ascending=False, kind="stable")
    kept = ordered[~ordered[same].map(shown).duplicated()].index
    return table.loc[sorted(kept)]


def _told_apart(table: pd.DataFrame, also: Sequence[str] = ()) -> str:
    """What the runs of `table` differ in, and how to name one."""
    names = [name for name in settings_of(table) if name not in UNSPOKEN or name in also]
    if "policy" in table:  # its own parts come with it
        own = [name for name in names if name.startswith(("policy/", "policy."))]
        come = table.groupby("policy")[own].nunique(dropna=False).max() <= 1
        names = [name for name in names if name not in own or not come[name]]
    several = {name: list(dict.fromkeys(map(shown, table[name]))) for name in names}
    several = {name: values for name, values in several.items() if len(values) > 1}
    if not several:
        return f", which nothing tells apart: {', '.join(table['run'])}; remove the older ones"
    said = "; ".join(f"{name}={','.join(values)}" for name, values in several.items())
    example = " ".join(f"{name}={values[0]}" for name, values in several.items())
    return f", which differ in {said}: name one of each, as {example}"


def _called(table: pd.DataFrame, number: int, folders: Sequence[Path]) -> str:
    """What the runs of a folder are called: by their system or policy if that is one, or else by the folder."""
    for name in ("system", "policy"):
        if name in table and table[name].nunique(dropna=False) == 1 and isinstance(table[name].iloc[0], str):
            return str(table[name].iloc[0])
    return str(folders[number])


def same_requests(first: Folder, second: Folder) -> bool:
    """Whether two runs replayed the same requests."""
    replays = [(folder.made_of().get("inputs") or {}).get(REPLAY.partition(".")[2]) for folder in (first, second)]
    return None not in replays and replays[0] == replays[1]
