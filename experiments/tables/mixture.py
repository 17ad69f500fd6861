"""Runs that were not made of the same things are not mixed in silence: which count, and what tells them apart."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pandas as pd

from experiments.identity.of_code import present
from experiments.identity.of_run import IRRELEVANT
from experiments.run.results import Folder

SHOWN = 12  # runs, or modules, that a line names
CODE = ("module ", "file ")  # what a fact of code begins with
Loaded = tuple[Folder, dict[str, Any]]


def current(folders: Iterable[Folder]) -> list[Loaded]:
    """The runs that may stand in one table, each once for each name by which it was asked for; says what is left out.

    Where runs differ in the code of a module, those of the module as it is now count, or else the newest; so with an
    input that equal settings name. Runs by code that is not known count only where no other is.
    """
    folders = list(folders)
    read = {folder.path: (folder.made_of(), folder.status()) for folder in folders}
    made = {path: _facts(*content) for path, content in read.items()}
    ages = {path: str(status.get("at", "")) for path, (_, status) in read.items()}
    unknown = [path for path in made if "code" not in made[path]]
    if len(unknown) < len(made):
        _leave_out(made, unknown, "by code that is not known")
    elif unknown:
        print(f"{len(unknown)} runs were made by code that is not known: they are of an older version", file=sys.stderr)
    for fact in sorted({fact for facts in made.values() for fact in facts if fact != "code"}):
        having = [path for path in made if fact in made[path]]
        versions = {made[path][fact] for path in having}
        if len(versions) > 1:
            wanted = present(_named(fact)) if fact.startswith(CODE) else None
            if wanted not in versions:
                wanted = made[max(having, key=lambda path: ages[path])][fact]
            others = [path for path in having if made[path][fact] != wanted]
            _leave_out(made, others, f"of another {fact if fact.startswith(CODE) else fact.split(' of ')[0]}")
    _tell_the_age(made)
    kept = (folder for folder in folders if folder.path in made)
    return [(folder, asking) for folder in kept for asking in folder.askings(*read[folder.path])]


def one_each(table: pd.DataFrame, settings: list[str]) -> pd.DataFrame:
    """`table` with one row for equal `settings`: of one run that has two names alike, or else the newest of several."""
    shown = table["policy"] if "policy" in table else pd.Series("", table.index)
    if "system" in table:
        shown = table["system"].fillna(shown)
    same = [name for name in settings if name not in ("system", "experiment")]
    table = table.sort_values([name for name in ("system", "experiment") if name in table], na_position="last")
    table = table[~table.assign(_shown=shown).duplicated([*same, "_shown", "run"])]
    older = table.sort_values("_at", kind="stable", ascending=False).duplicated(settings)
    if older.any():
        runs = table.loc[older[older].index, "run"]
        print(f"left out, older than others of equal settings: {_listed(runs)}", file=sys.stderr)
    return table.drop(index=older[older].index)


def unsaid(loaded: Iterable[Loaded], keys: Iterable[str]) -> list[str]:
    """The settings in which runs differ though their choices and `keys` are equal: a yaml was changed in between."""
    keys = [key for key in keys if key != "seed"]
    groups: dict[str, dict[str, dict[str, Any]]] = {}
    for folder, asking in loaded:
        leaves = dict(_leaves(asking["config"]))
        said = json.dumps([asking.get("choices"), [leaves.get(key) for key in keys]], sort_keys=True, default=str)
        groups.setdefault(said, {})[folder.path.name] = leaves
    found: set[str] = set()
    for group in groups.values():
        runs = list(group.values())
        for key in set().union(*runs) - {*keys, "seed"}:
            values = [run.get(key) for run in runs]
            if any(value != values[0] for value in values) and any(
                value != run.get("seed") for value, run in zip(values, runs, strict=True)
            ):
                found.add(key)
    derived = {"trace.rate"} if any(asking["config"].get("load") is not None for _, asking in loaded) else set()
    return sorted(key for key in found - derived if key.split(".")[0] not in IRRELEVANT)


def _leaves(value: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{above}.{key}" if above else str(key))
    else:
        yield above, value


def _facts(made_of: Mapping[str, Any], status: Mapping[str, Any]) -> dict[str, str]:
    """What a run was made by and of: "module NAME", "file NAME", or "input NAME of its settings" -> digest."""
    code = status.get("code")
    if not code:
        return {}
    facts = {"code": made_of["code"], **{f"{_kind(name)} {name}": digest for name, digest in code.items()}}
    config = made_of["config"]
    for name, digest in made_of["inputs"].items():
        settings: Any = {}
        if name in ("replay", "training"):
            settings = [config.get("trace"), config.get("seed") if name == "replay" else None, config.get("resample")]
        elif name.startswith("profile."):
            settings = _device(name.removeprefix("profile."), config["cluster"]["devices"])["profile"]
        elif name.startswith("decoding."):
            settings = _device(name.split(".")[1], config["cluster"]["devices"])["decoding"]
        elif name == "network":  # several of them are compared
            settings = config["policy"]["routing"]["network"]
        facts[f"input {name} of {json.dumps(settings, sort_keys=True, default=str)}"] = digest
    return facts


def _device(device: str, entries: Mapping[str, Any]) -> Any:
    """The settings of a device: of the entry that has its name, or that name before its number."""
    named = [name for name in entries if name == device or (device.startswith(name) and device[len(name) :].isdigit())]
    return entries[max(named, key=len)]


def _leave_out(made: dict[Any, dict[str, str]], paths: list[Any], why: str) -> None:
    """Take `paths` out of `made`, and say so in one line."""
    if paths:
        print(f"left out, made {why}: {_listed(path.name for path in paths)}", file=sys.stderr)
    for path in paths:
        del made[path]


def _tell_the_age(made: Mapping[Any, Mapping[str, str]]) -> None:
    """Say where runs were made by code that has been changed since."""
    code = {fact: digest for facts in made.values() for fact, digest in facts.items() if fact.startswith(CODE)}
    changed = sorted((fact for fact in code if present(_named(fact)) != code[fact]), key=_named)
    if changed:
        count = sum(not made[path].keys().isdisjoint(changed) for path in made)
        names = _listed(_named(fact) for fact in changed)
        print(f"{count} runs were made by code that was changed since: {names}", file=sys.stderr)


def _kind(name: str) -> str:
    """Whether a name among the code of a run is that of a file that lies beside a plug-in, or of a module."""
    return "file" if " " in name else "module"


def _named(fact: str) -> str:
    return fact.partition(" ")[2]


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
