"""One tidy table of all complete runs: a row a run, its settings, its metrics.

python -m experiments.collect results/demo            # writes results/demo/table.parquet and table.csv
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import OmegaConf

from experiments.results import Folder, write_whole
from experiments.tables import render, settings_of

NESTED = ("calibration", "provenance", "counts", "load", "errors")  # load: where it was given; errors: where measured


def collect(folders: Iterable[Folder], also: Iterable[str] = ()) -> pd.DataFrame:
    """The runs in `folders` as rows, sorted by settings.

    Settings are the choice made in each config group, every key that some run overrode, and the keys in `also`.
    ValueError for a folder whose configuration is not the one that its results were made from, and for two runs of
    equal settings that were made of different things.
    """
    loaded = [(folder, folder.made_of()) for folder in {folder.path.name: folder for folder in folders}.values()]
    overridden = {key for folder, made_of in loaded for key in _scalar_overrides(folder, made_of)}
    keys = sorted({*overridden, "model", "seed", *also})
    rows = [_row(folder, made_of, keys) for folder, made_of in loaded]
    table = pd.DataFrame(rows)
    twice = table[table.duplicated(settings_of(table), keep=False)] if rows else table
    if len(twice):
        raise ValueError(
            f"runs {twice['run'].iloc[0]} and {twice['run'].iloc[1]} have equal settings, and were made of different "
            "things (a profile, a trace or an experiment's yaml was changed in between): delete the folders of one"
        )
    return table.sort_values([*settings_of(table), "run"], ignore_index=True) if rows else table


def _scalar_overrides(folder: Folder, made_of: dict[str, Any]) -> list[str]:
    keys = [override.split("=", 1)[0].lstrip("+~") for override in folder.status().get("overrides", [])]
    return [key for key in keys if key not in made_of["choices"] and key not in ("name", "results", "experiment")]


def _row(folder: Folder, made_of: dict[str, Any], keys: list[str]) -> dict[str, Any]:
    summary = folder.summary()
    nested = {f"{group}.{key}": value for group in NESTED for key, value in summary.pop(group, {}).items()}
    settings = {key: _setting(made_of["config"], key) for key in keys}
    choices = {key: value for key, value in made_of["choices"].items() if value != "None"}
    return {**choices, **settings, "run": folder.path.name, **summary, **nested}


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
    folders = [Folder(path.parent) for path in sorted(root.glob("**/status.json"))]
    done = [folder for folder in folders if folder.state == "complete"]
    if not done:
        raise FileNotFoundError(f"no complete run below {root} ({len(folders)} runs in all)")
    return done


def main() -> None:
    """Collect, store and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder of results, of one experiment or of several")
    parser.add_argument("--reference", default="fifo", help="the policy that differences are taken from")
    root, reference = (arguments := parser.parse_args()).root, arguments.reference
    try:
        table = collect(complete_folders(root))
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"experiments.collect: {error}")
    table.to_parquet(root / "table.parquet", index=False)
    write_whole(root / "table.csv", table.to_csv(index=False))
    print(render(table, reference))
    others = [folder.state for path in sorted(root.glob("**/status.json")) if (folder := Folder(path.parent))]
    left = {state: others.count(state) for state in ("failed", "running") if state in others}
    if left:
        print("left out: " + ", ".join(f"{count} {state}" for state, count in left.items()) + " (or killed)")
    print(f"{len(table)} runs; table: {root / 'table.parquet'}, {root / 'table.csv'}")


if __name__ == "__main__":
    main()
