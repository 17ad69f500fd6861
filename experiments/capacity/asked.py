"""What a command that searches asks: systems, their objectives, and how they are to be searched."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.capacity.tries import TryError
from experiments.run.made import Work
from experiments.run.sweep import jobs_of
from experiments.run.training import KEEP
from experiments.settings import command
from experiments.settings.check import problems, unwritable
from experiments.settings.command import Command
from experiments.settings.toplevel import checked_folder
from experiments.settings.wording import SettingError
from experiments.tables.reference import quoted
from sim.slo import Slo

OWN = re.compile(r"\+{0,2}([a-z_]+)=(.*)", re.DOTALL)
NO_RUN = ("load", "horizon")  # which a search sets, or which would end it early


@dataclass(frozen=True, slots=True)
class Own:
    """A setting of the command itself: its value when none is given, what makes it one, and what that must be."""

    value: Any
    read: Callable[[str], Any]
    fits: Callable[[Any], bool]
    must: str

    def of(self, name: str, text: str) -> Any:
        """From what was typed; SettingError for another."""
        try:
            value = self.read(text)
        except ValueError:
            value = None
        if value is None or not self.fits(value):
            raise SettingError(f"{name}={text} must be {self.must}")
        return value


def whole(value: int, least: int, must: str) -> Own:
    """A whole number."""
    return Own(value, int, lambda given: given >= least, must)


def share(value: float, must: str) -> Own:
    """A share."""
    return Own(value, float, lambda given: 0 < given < 1, must)


@dataclass(frozen=True, slots=True)
class System:
    """What is searched for: settings as typed, by a name in which systems differ, and its objectives."""

    name: str
    texts: tuple[str, ...]
    slo: Slo
    cfg: DictConfig


@dataclass(frozen=True, slots=True)
class Asked:
    """The systems of a command, its own settings, and what its workers need to know."""

    systems: tuple[System, ...]
    own: Mapping[str, Any]
    work: Work
    launcher: DictConfig
    folder: Any
    seed: int


def read(arguments: Sequence[str], settings: Mapping[str, Own], refused: Mapping[str, str]) -> Asked | None:
    """The command line: a run's settings, several values of which are so many systems, and the command's own.

    None where help is asked for. SettingError for what cannot be searched; `refused` says why, by setting.
    """
    own = {name: one.value for name, one in settings.items()}
    left = []
    for argument in quoted(list(arguments)):
        match = OWN.fullmatch(argument)
        if match and match[1] in settings:
            own[match[1]] = settings[match[1]].of(match[1], match[2])
        else:
            left.append(argument)
    if {"--help", "-h"} & set(left):
        return None
    for text in left:
        if (key := _key(text)) in refused:
            raise SettingError(f"{text}: {refused[key]}")
    found: list[System] = []
    works: list[tuple[Command, DictConfig]] = []
    for name, settings_of in own.pop("systems", None) or [("", [])]:
        keys = {_key(text) for text in settings_of}
        texts = [text for text in left if _key(text) not in keys]
        given = command.read([*texts, *settings_of, *(["-m"] if "-m" not in left else [])])
        if lines := problems(given) or unwritable(given):
            raise SettingError(*lines)
        assert given.master is not None
        works.append((given, given.master))
        found += _systems(given, given.master, name)
    seeds = {one.cfg.seed if isinstance(one.cfg.seed, int) else None for one in found}
    if len(seeds) != 1 or None in seeds:
        raise SettingError("seed must be the first of the seeds, a whole number; seeds=N says how many there are")
    names = [one.name for one in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise SettingError(f"two of the systems are called {twice[0]}")
    os.environ[KEEP] = "1" if any(given.fits for given, _ in works) else ""
    given, master = works[0]
    [(results, name), *_] = given.folders
    return Asked(
        tuple(found), own, Work(replace(given, master=None)), master.hydra.launcher, checked_folder(results, name),
        found[0].cfg.seed,
    )  # fmt: skip


@contextmanager
def in_one_line(verb: str) -> Iterator[None]:
    """What is wrong within ends the command `tokenyard VERB` in a line of its own; an interrupt says what stays."""
    try:
        yield
    except SettingError as error:
        sys.exit("\n".join(f"tokenyard {verb}: {line}" for line in error.lines))
    except (ValueError, OSError, TryError, OmegaConfBaseException) as error:
        sys.exit(f"tokenyard {verb}: {' '.join(str(error).split())}")
    except KeyboardInterrupt:
        print("interrupted: finished runs stay, the same command does the rest", file=sys.stderr)
        raise SystemExit(130) from None


def _key(text: str) -> str:
    return text.lstrip("+").partition("=")[0]


def several(text: str) -> list[tuple[str, list[str]]]:
    """Systems as typed: `NAME: SETTING SETTING; NAME: SETTING`; the name may be left out."""
    found = []
    for part in text.split(";"):
        name, colon, rest = part.strip().partition(": ")
        words = shlex.split(rest if colon else part)
        if not words or not all("=" in word for word in words):
            raise ValueError
        found.append((name.strip() if colon else " ".join(words), words))
    return found


def _systems(given: Command, master: DictConfig, name: str) -> list[System]:
    """Those of one command line: one for each combination of what it sweeps, by `name` and what they differ in."""
    swept = [f"{key}={value}" for key, value in (master.hydra.sweeper.params or {}).items()]
    with given.composer() as composer:
        jobs = jobs_of([*swept, *given.texts])
        found = [_system(texts, jobs, composer.job(composer.parsed(texts)).cfg) for texts in jobs]
    if not name:
        return found
    return [replace(one, name=name if len(found) == 1 else f"{name} {one.name}") for one in found]


def _system(texts: list[str], jobs: list[list[str]], cfg: DictConfig) -> System:
    """The system of a job of texts, called by those of them that not all `jobs` have."""
    common = set.intersection(*map(set, jobs))
    own = [text.lstrip("+") for text in texts if text not in common]
    for key in NO_RUN:
        if cfg[key] is not None:
            raise SettingError(f"{key}={cfg[key]} must be null: rates are searched for, and all are served to the end")
    if cfg.slo is None:
        raise SettingError("say what must hold, as slo.ttft_p99=1 slo.tpot_p99=0.05 (seconds)")
    settings = OmegaConf.to_container(cfg.slo)
    assert isinstance(settings, dict)
    slo = Slo.of({str(key): value for key, value in settings.items()})
    if not slo.decides:
        raise SettingError(
            f"slo bounds each request alone ({slo}): bound a percentile too (slo.ttft_p99=1), or say what share of "
            "them is to be within, as slo.attainment=0.99"
        )
    kept = tuple(text for text in texts if not text.lstrip("+").startswith(("slo.", "seed=")))
    alone = [text for text in texts if text.startswith(("policy=", "system="))]
    return System(_shown(own) or _shown(alone[:1]) or str(cfg.get("name")), kept, slo, cfg)


def _shown(texts: list[str]) -> str:
    """The name of a system: of one choice of a policy its option, of others each setting."""
    if len(texts) == 1 and texts[0].startswith(("policy=", "system=", "cluster=")):
        return texts[0].partition("=")[2]
    return " ".join(texts)
