"""One tidy table of all complete runs: a row a run, its settings, its metrics.

    python -m experiments.collect results/demo            # writes results/demo/table.parquet and table.csv
    python -m experiments.collect results/demo --reference policy/routing=gpu

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

from experiments.labels import part_name, settings_of
from experiments.reference import REPLAY, Reference
from experiments.results import IRRELEVANT, Folder, write_whole
from experiments.tables import render

NESTED = ("calibration", "provenance", "counts", "load", "errors")  # the last only where the trace was measured


def collect(folders: Iterable[Folder], also: Iterable[str] = ()) -> pd.DataFrame:
    """The runs in `folders` as rows, sorted by settings; a damaged one is named on stderr, and left out.

    Settings are the choice made in each config group, every key that some run overrode, and the keys in `also`.
    ValueError for two runs of equal settings that were made of different things.
    """
    loaded = []
    for folder in {folder.path.name: folder for folder in folders}.values():
        try:
            loaded.append((folder, folder.made_of(), folder.status(), folder.summary()))
        except (ValueError, OSError) as error:
            print(f"left out: {error}", file=sys.stderr)
    overridden = {key for _, made_of, status, _ in loaded for key in _scalar_overrides(status, made_of)}
    keys = sorted({*overridden, "model", "seed", *also})
    if not loaded:
        return pd.DataFrame()
    groups = {
        group: None for _, made_of, _, _ in loaded for group, name in made_of["choices"].items() if name != "None"
    }
    table = pd.DataFrame(
        [groups | _row(folder.path.name, made_of, summary, keys) for folder, made_of, _, summary in loaded]
    )
    settings = settings_of(table)
    measured = [name for name in table.columns[len(settings) + 1 :] if _numeric(table[name])]
    table = table.astype(dict.fromkeys(measured, float) | _whole(table, measured))
    if (twice := table.duplicated(settings, keep=False)).any():
        raise ValueError(_twice(table[twice].iloc[:2], {folder.path.name: made_of for folder, made_of, _, _ in loaded}))
    return table.sort_values([*settings, "run"], ignore_index=True)


def _numeric(column: pd.Series) -> bool:
    """Whether a metric is a number wherever it was measured."""
    return all(value is None or isinstance(value, int | float) for value in column)


def _whole(table: pd.DataFrame, measured: Iterable[str]) -> dict[str, type]:
    """The counts among the metrics: whole in every run."""
    return {name: int for name in measured if all(isinstance(value, int | np.integer) for value in table[name])}


def _twice(runs: pd.DataFrame, made: dict[str, dict[str, Any]]) -> str:
    one, other = (made[run] for run in runs["run"])
    differ = [key for key in sorted({*one, *other}) if key != "config" and one.get(key) != other.get(key)]
    configs = one["config"], other["config"]
    changed = [key for key in sorted({*configs[0], *configs[1]}) if configs[0].get(key) != configs[1].get(key)]
    return (
        f"runs {runs['run'].iloc[0]} and {runs['run'].iloc[1]} have equal settings, and were made of different things "
        f"({', '.join([*differ, *changed])}: a profile, a trace, code or an experiment's yaml was changed in between): "
        "delete the folders of one"
    )


def _scalar_overrides(status: dict[str, Any], made_of: dict[str, Any]) -> list[str]:
    keys = [override.split("=", 1)[0].lstrip("+~") for override in status.get("overrides", [])]
    groups = made_of["choices"]
    parts = {f"{group.replace('/', '.')}._target_" for group in groups}  # told by the part's name
    return [key for key in keys if key not in groups and key not in parts and key not in IRRELEVANT]


def _row(run: str, made_of: dict[str, Any], summary: dict[str, Any], keys: list[str]) -> dict[str, Any]:
    metrics = {key: value for key, value in summary.items() if key not in NESTED}
    nested = {f"{group}.{key}": value for group in NESTED for key, value in (summary.get(group) or {}).items()}
    settings = {key: _setting(made_of["config"], key) for key in keys}
    choices = {
        group: part_name(group, name, made_of["config"]) for group, name in made_of["choices"].items() if name != "None"
    }
    replay = (made_of.get("inputs") or {}).get("replay")
    return {**choices, **settings, "run": run, REPLAY: replay, **metrics, **nested}


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
    return OmegaConf.select(OmegaConf.create(config), key)


def complete_folders(root: Path) -> list[Folder]:
    """The complete runs below `root`; FileNotFoundError if there is none."""
    return _complete(root, _states(root))


def _complete(root: Path, states: dict[Folder, str]) -> list[Folder]:
    done = [folder for folder, state in states.items() if state == "complete"]
    if not done:
        raise FileNotFoundError(f"no complete run below {root} ({len(states)} runs in all)")
    return done


def _states(root: Path) -> dict[Folder, str]:
    """Each run below `root` and its state, `damaged` if it does not even say that."""
    found = {}
    for folder in (Folder(path.parent) for path in sorted(root.glob("**/status.json"))):
        try:
            found[folder] = folder.state
        except ValueError as error:
            print(f"left out: {error}", file=sys.stderr)
            found[folder] = "damaged"
    return found


def read_table(path: Path) -> pd.DataFrame:
    """The collected table at `path`: a parquet or csv file, or a folder of results; FileNotFoundError for another."""
    if path.is_dir():
        return collect(complete_folders(path))
    if path.suffix not in (".parquet", ".csv"):
        raise FileNotFoundError(f"{path} is no folder of results, and no table (.parquet, .csv)")
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


def main() -> None:
    """Collect, store and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder of results, of one experiment or of several")
    parser.add_argument(
        "--reference",
        help="what differences are taken from: a policy, a system, or any setting's KEY=VALUE (default: fifo)",
    )
    root, reference = (arguments := parser.parse_args()).root, Reference.of(arguments.reference)
    try:
        states = _states(root)
        table = collect(_complete(root, states))
        shown = render(table, reference)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"experiments.collect: {error}")
    table.to_parquet(root / "table.parquet", index=False)
    write_whole(root / "table.csv", table.to_csv(index=False))
    print(shown)
    if left := [state for state in states.values() if state != "complete"]:
        words = {"running": "running or killed"}
        counts = (f"{left.count(state)} {words.get(state, state)}" for state in dict.fromkeys(left))
        print("left out: " + ", ".join(counts))
    print(f"{len(table)} runs; table: {root / 'table.parquet'}, {root / 'table.csv'}")


if __name__ == "__main__":
    main()
