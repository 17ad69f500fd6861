"""Our values for claims, from stored results; and what these were made by, so that a kept value can be told stale."""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir

from experiments.claims import Found
from experiments.claims.record import Claim, ClaimError, function
from experiments.conf import HERE as CONF
from experiments.figures.stored import Stored
from experiments.identity.of_code import code_of
from experiments.identity.of_run import IRRELEVANT, code_by, named_in
from experiments.run.results import Folder
from experiments.run.sweep import planned
from experiments.tables.mixture import current
from experiments.tables.stats import Interval


class NoResultsError(Exception):
    """An experiment has no results, or not all of them."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What values were found from: how many runs and seeds, the day of the youngest, and what made them.

    `parts` are yaml files of the configuration and dotted names in it; `code` is the digest of all that they stand for.
    """

    runs: int
    seeds: int
    date: str
    parts: tuple[str, ...]
    code: str

    def is_current(self, tables: Iterable[str]) -> bool:
        """Whether code and configuration are what they were; `tables` are the functions that the claims name."""
        yamls = [part for part in self.parts if part.endswith(".yaml")]
        code = code_by(frozenset(self.parts) - set(yamls)) if self.runs else {}
        return self.code == _digest(code, yamls, tables)


def values(claims: Iterable[Claim], results: Path) -> dict[str, tuple[Found, ...]]:
    """Claim -> what its function finds in `results`, which are read once; NoResultsError where there are none.

    ClaimError where it finds no list of Founds.
    """
    shelves: dict[tuple[str, ...], Stored] = {}
    found = {}
    for claim in claims:
        of = function(claim.ours)
        settings = tuple(getattr(sys.modules[of.__module__], "SETTINGS", ()))
        try:
            ours = of(shelves.setdefault(settings, Stored(results, settings)), **claim.arguments)
        except FileNotFoundError as error:
            raise NoResultsError(str(error)) from None
        except Exception as error:
            raise ClaimError(f"claim {claim.name}: {claim.ours}: {type(error).__name__}: {error}") from error
        found[claim.name] = _checked(ours, claim)
    return found


def _checked(ours: Any, claim: Claim) -> tuple[Found, ...]:
    if not isinstance(ours, list) or not ours or not all(isinstance(one, Found) for one in ours):
        raise ClaimError(f"claim {claim.name}: {claim.ours} is to return a list of Found, and gave {ours!r:.80}")
    wheres = [where for where, _ in ours]
    if len(set(wheres)) < len(wheres):
        raise ClaimError(f"claim {claim.name}: {claim.ours} gave two values for one place: {', '.join(wheres)}")
    if wrong := [where for where, one in ours if math.isinf(one.mean) or math.isinf(one.half_width)]:
        raise ClaimError(f"claim {claim.name}: {claim.ours} gave no finite value at {wrong[0] or 'its only place'}")
    return tuple(Found(where, Interval(_rounded(one.mean), _rounded(one.half_width))) for where, one in ours)


def _rounded(value: float) -> float:
    """To six digits: other machines differ in the last bits."""
    return float(f"{value:.6g}")


def basis(experiment: str | None, results: Path, tables: Iterable[str], today: str) -> Basis:
    """What the results of `experiment` are; NoResultsError where a run that it asks for is missing.

    Without an experiment it is the code of `tables` alone.
    """
    if experiment is None:
        return Basis(0, 0, today, (), _digest({}, (), tables))
    runs = [Folder(path.parent) for path in sorted((results / experiment).glob("*/status.json"))]
    asked: dict[frozenset[str], tuple[Folder, dict[str, Any]]] = {}
    for folder in (one for one in runs if one.state == "complete"):
        status = folder.status()
        for name in status.get("asked", ()):
            key = frozenset(name["overrides"])
            if key not in asked or asked[key][1]["at"] < status["at"]:
                asked[key] = (folder, status)
    wanted = _wanted(experiment)
    missing = len(wanted - asked.keys())
    if missing:
        raise NoResultsError(f"{missing} of {len(wanted)} runs are missing in {results / experiment}")
    made = {asked[key][0].path: asked[key] for key in sorted(wanted, key=sorted)}
    alike = len({folder.path for folder, _ in current([folder for folder, _ in made.values()])})
    if alike < len(made):
        raise NoResultsError(f"{len(made) - alike} of {len(made)} runs in {results / experiment} are by other code")
    return _of_runs(made.values(), tables)


def _wanted(experiment: str) -> set[frozenset[str]]:
    """The settings of each run of a sweep, as they are typed for it."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=[f"experiment={experiment}"], return_hydra_config=True)
        swept = [f"{key}={value}" for key, value in (cfg.hydra.sweeper.params or {}).items()]
        seeds = cfg.seed if isinstance(cfg.seed, int) else list(cfg.seed)
        runs = [run.split(" ") for run in planned(swept, seeds)]
    return {frozenset(one for one in run if one and one.split("=")[0] not in IRRELEVANT) for run in runs}


def _of_runs(runs: Iterable[tuple[Folder, Mapping[str, Any]]], tables: Iterable[str]) -> Basis:
    code: dict[str, str] = {}
    named: set[str] = set()
    yamls = {"config.yaml"}
    seeds, folders, date = set(), set(), ""
    for folder, status in runs:
        made_of = folder.made_of()
        code |= status.get("code", {})
        named |= named_in(made_of["config"])
        chosen = {f"{group}/{option}.yaml" for asked in status["asked"] for group, option in asked["choices"].items()}
        yamls |= {name for name in chosen if (CONF / name).is_file()}
        seeds.add(made_of["config"]["seed"])
        folders.add(folder.path)
        date = max(date, status["at"][:10])
    yamls |= _bases(yamls)
    return Basis(len(folders), len(seeds), date, tuple(sorted({*named, *yamls})), _digest(code, yamls, tables))


def _bases(yamls: Iterable[str]) -> set[str]:
    """The files that files build upon without a choice: an experiment's base, a calibration."""
    found: set[str] = set()
    waiting = list(yamls)
    while waiting:
        above = waiting.pop()
        for part in yaml.safe_load((CONF / above).read_text(encoding="utf-8")).get("defaults", ()):
            if not isinstance(part, str):
                continue
            place = part.partition("@")[0]
            place = place[1:] if place.startswith("/") else f"{above.partition('/')[0]}/{place}"
            name = f"{place}.yaml"
            if (CONF / name).is_file() and name not in found:
                found.add(name)
                waiting.append(name)
    return found


def _digest(code: Mapping[str, str], yamls: Iterable[str], tables: Iterable[str]) -> str:
    """16 hexadecimal digits for code, for what yaml files say, and for the modules of tables with their imports."""
    files = {name: CONF / name for name in sorted(yamls)}
    said = {name: yaml.safe_load(path.read_text(encoding="utf-8")) for name, path in files.items() if path.is_file()}
    table = code_of(sorted({name.rpartition(".")[0] for name in tables}), ())
    text = json.dumps([sorted(code.items()), said, sorted(table.items())], default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def make(experiment: str, results: Path, jobs: int | None) -> list[str]:
    """The command that makes the results of `experiment`, or what is missing of them."""
    more = [] if jobs is None else [f"hydra.launcher.n_jobs={jobs}"]
    at = [] if results == Path("results") else [f"results={results}"]
    return [sys.executable, "-m", "experiments.cli", "-m", f"experiment={experiment}", *at, *more]
