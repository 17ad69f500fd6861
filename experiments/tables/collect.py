"""One tidy table of all complete runs: a row a run, its settings, its metrics.

    tokenyard collect results/demo            # writes results/demo/table.parquet and table.csv
    tokenyard collect results/demo --reference policy/routing=gpu
    tokenyard collect results/demo --audit    # also audit.parquet and audit.csv: what memory was used for

Differences are taken from the runs of a policy or system (`--reference rtlm`; fifo if none is named), or from those
with one value of any setting, at equal values of all others (`--reference trace.rate=4`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import OmegaConf

from experiments.identity.of_run import IRRELEVANT
from experiments.run.results import Folder
from experiments.run.written import write_table, write_whole
from experiments.tables import memory
from experiments.tables.compare import render
from experiments.tables.labels import part_name, settings_of
from experiments.tables.mixture import current, one_each, unsaid
from experiments.tables.reference import REPLAY, Reference

NESTED = (  # those from `load` on where there are any
    "calibration", "provenance", "kv", "counts", "load", "errors", "costs", "attainment", "goodput",
)  # fmt: skip


def collect(folders: Iterable[Folder], also: Iterable[str] = ()) -> pd.DataFrame:
    """The runs in `folders` as rows, sorted by settings; a damaged one is named on stderr, and left out.

    Settings are the choice made in each config group, every key that some run overrode or that tells runs apart whose
    other settings are equal, and the keys in `also`. Runs by other code, or of other inputs, than the `current` ones
    are left out, and named. ValueError for a folder whose configuration is not the one of its results.
    """
    loaded = current(folders)
    names = sorted({name for _, made_of in loaded for name, option in made_of["choices"].items() if option != "None"})
    spoken = {override.split("=", 1)[0].lstrip("+~") for _, made_of in loaded for override in made_of["overrides"]}
    names = [name for name in names if name.count("/") < 2 or name in spoken]  # a part's own parts come with it
    keys = {key for _, made_of in loaded for key in _scalar_overrides(made_of)} | {"model", "seed", *also}
    keys |= set(unsaid(loaded, keys))
    rows = []
    for folder, made_of in loaded:
        try:
            rows.append(_row(folder, made_of, names, sorted(keys)))
        except (ValueError, OSError) as error:
            print(f"left out: {error}", file=sys.stderr)
    if not rows:
        return pd.DataFrame()
    table = pd.DataFrame(rows)
    settings = settings_of(table)
    measured = [name for name in table.columns[len(settings) + 1 :] if _numeric(table[name])]
    table = table.astype(dict.fromkeys(measured, float) | _whole(table, measured))
    table = one_each(table, settings).drop(columns="_at")
    return table.sort_values([*settings, "run"], ignore_index=True)


def _numeric(column: pd.Series) -> bool:
    """Whether a metric is a number wherever it was measured."""
    return all(value is None or isinstance(value, int | float) for value in column)


def _whole(table: pd.DataFrame, measured: Iterable[str]) -> dict[str, type]:
    """The counts among the metrics: whole in every run."""
    return {name: int for name in measured if all(isinstance(value, int | np.integer) for value in table[name])}


def _scalar_overrides(made_of: dict[str, Any]) -> list[str]:
    keys = [override.split("=", 1)[0].lstrip("+~") for override in made_of["overrides"]]
    groups = made_of["choices"]
    parts = {f"{group.replace('/', '.')}._target_" for group in groups}  # told by the part's name
    return [key for key in keys if key not in groups and key not in parts and key not in IRRELEVANT]


def _row(folder: Folder, made_of: dict[str, Any], names: list[str], keys: list[str]) -> dict[str, Any]:
    summary = folder.summary()
    metrics = {key: value for key, value in summary.items() if key not in NESTED}
    nested = {f"{group}.{key}": value for group in NESTED for key, value in (summary.get(group) or {}).items()}
    settings = {key: _setting(made_of["config"], key) for key in keys}
    options = {name: made_of["choices"].get(name, "None") for name in names}
    choices = {
        name: None if option == "None" else part_name(name, option, made_of["config"])
        for name, option in options.items()
    }
    replay = (made_of.get("inputs") or {}).get("replay")
    return {**choices, **settings, "run": folder.path.name, REPLAY: replay, **metrics, **nested, "_at": made_of["at"]}


def _setting(config: dict[str, Any], key: str) -> Any:
    """What `config` says of a dotted key, None where it says nothing; OmegaConf, which is slow, is asked if it must."""
    found: Any = config
    for part in key.split("."):
        if not isinstance(found, dict) or "[" in part:
            break
        found = found.get(part)
    else:
        if isinstance(found, int | float | None) or (isinstance(found, str) and "${" not in found):
            return found
    found = OmegaConf.select(OmegaConf.create(config), key)
    return str(found) if OmegaConf.is_config(found) else found


def complete_folders(root: Path) -> list[Folder]:
    """The complete runs below `root`; FileNotFoundError if there is none."""
    folders = [Folder(path.parent) for path in sorted(root.glob("**/status.json"))]
    done = [folder for folder in folders if folder.state == "complete"]
    if not done:
        raise FileNotFoundError(f"no complete run below {root} ({len(folders)} runs in all)")
    return done


def read_table(path: Path) -> pd.DataFrame:
    """The collected table at `path`: a parquet or csv file, or a folder of results; FileNotFoundError for another."""
    if path.is_dir():
        return collect(complete_folders(path))
    if path.suffix not in (".parquet", ".csv"):
        raise FileNotFoundError(f"{path} is no folder of results, and no table (.parquet, .csv)")
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


def _audited(root: Path, table: pd.DataFrame, folders: Iterable[Folder], reference: Reference) -> str:
    """Store what the collected runs used memory for, and say it; ValueError if none was asked."""
    audit = memory.stored("audit", table, {folder.path.name: folder for folder in folders})
    if audit.empty:
        raise ValueError(f"no run below {root} has an audit of memory: make some with audit=true")
    write_table(root / "audit.parquet", audit)
    write_whole(root / "audit.csv", audit.to_csv(index=False))
    return memory.render(audit, reference)


def main() -> None:
    """Collect, store and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder of results, of one experiment or of several")
    parser.add_argument(
        "--reference",
        help="what differences are taken from: a policy, a system, or any setting's KEY=VALUE (default: fifo)",
    )
    parser.add_argument("--audit", action="store_true", help="also what memory was used for, of runs with audit=true")
    root, reference = (arguments := parser.parse_args()).root, Reference.of(arguments.reference)
    try:
        complete = complete_folders(root)
        table = collect(complete)
        shown = render(table, reference, {folder.path.name: folder for folder in complete})
        if arguments.audit:
            shown += f"\n\n{_audited(root, table, complete, reference)}"
        write_table(root / "table.parquet", table)
        write_whole(root / "table.csv", table.to_csv(index=False))
    except (ValueError, OSError) as error:
        sys.exit(f"tokenyard collect: {error}")
    print(shown)
    folders = [Folder(path.parent) for path in sorted(root.glob("**/status.json"))]
    others = [folder.state for folder in folders]
    left = {state: others.count(state) for state in ("failed", "running") if state in others}
    if left:
        words = {"running": "running or killed"}
        print("left out: " + ", ".join(f"{count} {words.get(state, state)}" for state, count in left.items()))
    for folder in (folder for folder, state in zip(folders, others, strict=True) if state == "damaged"):
        print(f"left out, damaged: {folder.path}: {folder.damage()}")
    print(f"{table['run'].nunique()} runs; table: {root / 'table.parquet'}, {root / 'table.csv'}")
