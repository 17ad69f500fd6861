"""The settings of a run that belong to no part of it: what each may be."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.settings.signatures import mismatch
from experiments.settings.wording import SettingError, did_you_mean, one_line, shown
from sim.slo import Slo

LONGEST_NAME = 255  # bytes, of one folder's name


@dataclass(frozen=True, slots=True)
class Setting:
    """What a setting of a run may be: of which type, within what bounds (in `unit`), or one of some words."""

    type: Any
    low: float = float("-inf")
    high: float = float("inf")
    words: tuple[str, ...] = ()
    unit: str = ""
    above: bool = False  # `low` itself is too low
    below: bool = False  # `high` itself is too high

    def problem(self, value: Any) -> str | None:
        """What `value` must be, if it is not."""
        if self.words and value is not None:
            if value in self.words:
                return None
            return f"must be {', '.join(self.words[:-1])} or {self.words[-1]}{did_you_mean(str(value), self.words)}"
        if problem := mismatch(value, self.type):
            return problem
        if isinstance(value, int | float) and not isinstance(value, bool):
            low = value < self.low or (self.above and value == self.low)
            if low or value > self.high or (self.below and value == self.high):
                return f"must be {self.bounds}"
        return None

    @property
    def bounds(self) -> str:
        """Where a number must lie."""
        words = []
        if self.low > float("-inf"):
            words.append(f"above {self.low:,g}" if self.above else f"at least {self.low:,g}")
        if self.high < float("inf"):
            words.append(f"below {self.high:,g}" if self.below else f"at most {self.high:,.15g}")
        return " and ".join(words) + (f" {self.unit}" if self.unit else "")


CALIBRATION: Mapping[str, Setting] = {
    "calibration.phi": Setting(float | None, 0, 1e9, unit="s for a prompt token"),
    "calibration.eta": Setting(float | None, 0, 1e9, unit="s for an output token"),
    "calibration.tau": Setting(float | None, 0, 1e15, unit="tokens"),
    "calibration.malicious_quantile": Setting(float, 0, 1),
    "calibration.batch_size": Setting(int | None, 1, 1_000_000, unit="requests"),
    "calibration.kappa": Setting(float | None, 0, 1e9, above=True),
    "calibration.steps": Setting(dict | None),
    "calibration.answer": Setting(float | None, 0, 1e9, above=True, unit="tokens"),
}
SEED = Setting(int, 0, 2**32 - 1)
TOP_LEVEL: Mapping[str, Setting] = {
    "name": Setting(Any),
    "results": Setting(Any),
    "seed": SEED,
    "load": Setting(float | None, 0, 1e6, above=True, unit="times the capacity"),
    "load_of": Setting(Any),
    "warmup": Setting(float, 0, 1, below=True, unit="(a share of the arrivals' span)"),
    "slo": Setting(dict | None),
    "horizon": Setting(float | None, 0, 1e12, above=True, unit="s"),
    "record": Setting(str, words=("requests", "steps", "jobs")),
    "audit": Setting(bool),
    "leap": Setting(bool),
    "unservable": Setting(str, words=("reject", "fail")),
    "resample": Setting(str | None, words=("blocks",)),
    "reference": Setting(Any),
}


def top_level_problems(cfg: Mapping[str, Any]) -> Iterator[str]:
    """A line for each setting of a run that is not what it may be; the seed may be a list."""
    for key, setting in TOP_LEVEL.items():
        if key not in cfg:
            yield f"{key} is missing: it cannot be taken away"
            continue
        value = cfg[key]
        seeds = key == "seed" and isinstance(value, list)
        if seeds and not value:
            yield "seed=[] has no seed: give one, or several as seed=[0,1,2]"
        for one in value if seeds else [value]:
            if problem := setting.problem(one):
                yield f"{key}={shown(one)} {problem}"
    yield from slo_problems(cfg.get("slo"), cfg.get("record"))
    try:
        checked_folder(cfg.get("results"), cfg.get("name"))
    except SettingError as error:
        yield from error.lines


def slo_problems(settings: Any, record: Any) -> Iterator[str]:
    """A line for objectives that are none, or that a run with such a `record` cannot see."""
    if not isinstance(settings, dict):
        return
    try:
        slo = Slo.of(settings)
    except ValueError as error:
        yield str(error)
        return
    if slo.needs_gaps and record == "requests":
        yield f"slo.itl bounds the gaps between tokens, which record={record} does not keep: give record=jobs"


def calibration_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """A line for each of the `values`, by dotted key, of what is found offline that is not what it may be."""
    for key, setting in CALIBRATION.items():
        if key in values and (problem := setting.problem(values[key])):
            yield f"{key}={shown(values[key])} {problem}"


def check_writable(results: Any, name: Any) -> None:
    """Make the folder of the runs called `name`; SettingError where nothing can be written there."""
    folder = checked_folder(results, name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SettingError(f"results={shown(results)}: {folder} cannot be written: {error.strerror}") from error


def checked_folder(results: Any, name: Any) -> Path:
    """The folder of the runs called `name`; SettingError where it would not lie within `results`."""
    for key, value in (("results", results), ("name", name)):
        if not isinstance(value, str | int | float) or isinstance(value, bool) or not str(value).strip():
            raise SettingError(f"{key}={shown(value)} must be the name of a folder")
        if bad := [one for one in str(value) if not one.isprintable() or one == "\\"]:
            raise SettingError(f"{key}={shown(value)} must not have the character {bad[0]!r}")
    parts = str(name).split("/")
    if wrong := [part for part in parts if part in ("", ".", "..")]:
        raise SettingError(f"name={shown(name)} must name a folder within results={results}, without {wrong[0]!r}")
    for key, value in (("results", results), ("name", name)):
        for part in Path(str(value)).parts:
            if (size := len(part.encode())) > LONGEST_NAME:
                raise SettingError(f"{key}={shown(value)} must be at most {LONGEST_NAME} bytes long, not {size}")
    root = Path(str(results))
    folder = root / str(name)
    try:
        if not folder.resolve().is_relative_to(root.resolve()):
            raise SettingError(f"name={shown(name)} leads out of results, to {folder.resolve()}")
        if files := [place for place in (folder, *folder.parents) if place.exists() and not place.is_dir()]:
            said = (
                f"results={shown(results)}" if files[0] == root or files[0] in root.parents else f"name={shown(name)}"
            )
            raise SettingError(f"{said}: {files[0]} is a file, not a folder")
    except (OSError, RuntimeError) as error:
        raise SettingError(f"name={shown(name)}, results={shown(results)}: {one_line(error)}") from error
    return folder
