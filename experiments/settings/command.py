"""The command line, read as Hydra reads it: flags, the settings given, and those that are swept."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig

from experiments.conf import HERE as CONF
from experiments.conf import name_systems
from experiments.run.references import has, plain_key
from experiments.settings.composer import Composer
from experiments.settings.wording import SettingError

NUMERIC = re.compile(r"^(name|results)=([+-]?\.?\d[\w.+-]*|[+-]?(?:nan|inf))$", re.IGNORECASE)  # a folder's name
OPEN = ("hydra.sweeper.params", "hydra.searchpath", "hydra.job.env", "hydra/")  # to which Hydra takes additions
MOST_RUNS = 100_000  # of one sweep


@dataclass(slots=True)
class Command:
    """A command line: Hydra's flags, the settings as they were typed, and what to say before they are run."""

    flags: argparse.Namespace
    texts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    folders: set[tuple[Any, Any]] = field(default_factory=set)  # results and name of its runs, as that found
    absent: set[str] = field(default_factory=set)  # settings that only the options which are swept have
    master: DictConfig | None = None  # of a sweep, the configuration without what is swept
    fits: bool = False  # whether some run of it fits something to rows of its trace, as `check.problems` found

    def in_order(self, arguments: list[str]) -> list[str]:
        """`arguments` with the flags first: Hydra takes none after a setting."""
        left = list(self.flags.overrides)
        flags = []
        for one in arguments:
            if one in left:
                left.remove(one)
            else:
                flags.append(one)
        return [*flags, *self.texts]

    def add(self, lacking: Iterable[str]) -> list[str]:
        """Give all runs of a sweep the constants that some are `lacking`; a line for each that only a yaml says.

        Hydra first composes what is not swept alone: what only swept options have is added there too.
        """
        keys = {text.partition("=")[0] for text in self.texts}
        added = {*lacking, *self.absent}
        self.texts = [f"++{text}" if text.partition("=")[0] in added else text for text in self.texts]
        return [f"{key} is swept, and not every run has it: sweep ++{key}" for key in lacking if key not in keys]

    @property
    def runs(self) -> bool:
        """Whether it asks for runs, and not for something to be shown."""
        asked = self.flags
        return not (asked.help or asked.hydra_help or asked.shell_completion or asked.cfg or asked.info)

    @contextmanager
    def composer(self) -> Iterator[Composer]:
        """What composes this command's configurations."""
        flags = self.flags
        path = create_config_search_path(str(Path(flags.config_path).resolve() if flags.config_path else CONF))
        folders: list[Path] = []
        if flags.config_dir is not None:
            folder = Path(flags.config_dir).absolute()
            if not folder.is_dir():
                raise SettingError(f"--config-dir {folder} is no folder")
            path.prepend("command-line", f"file://{folder}", SearchPathQuery(provider="schema"))
            hidden = [file for file in sorted(folder.rglob("*.yaml")) if (CONF / file.relative_to(folder)).exists()]
            if hidden:
                raise SettingError(*(f"{file} bears the name of one that ships, which hides it" for file in hidden))
            folders.append(folder)
        name_systems(*folders)
        GlobalHydra.instance().clear()
        try:
            loader: Any = Hydra.create_main_hydra2("run", path).config_loader
            loader.ensure_main_config_source_available()
            yield Composer(loader, flags.config_name or "config")
        except HydraException as error:
            raise SettingError(str(error)) from error
        finally:
            GlobalHydra.instance().clear()

    def axes(self, composer: Composer) -> list[tuple[str, list[str]]]:
        """Each setting's key, and the texts that give its values in turn: one, unless it is swept."""
        parsed = composer.parsed(self.texts)
        _refuse_two_values(parsed)
        added = [one for one in parsed if one.is_hydra_override() and (one.is_add() or one.is_force_add())]
        if wrong := [one for one in added if not one.key_or_group.startswith(OPEN)]:
            raise SettingError(*(f"{one.input_line} is read by nothing: Hydra has no such setting" for one in wrong))
        sweeps = [one for one in parsed if one.is_sweep_override()]
        base = composer.base([one for one in parsed if one not in sweeps and _chooses(composer, one)])
        master = base.hydra
        swept = master.sweeper.get("params") or {}
        multirun = self.flags.multirun or master.mode == RunMode.MULTIRUN
        if not multirun:
            if sweeps:
                lines = [f"{one.input_line} is several values: for a run of each give -m" for one in sweeps]
                raise SettingError(*lines)
            if swept:
                self.notes.append(f"this is one run: for all that the experiment sweeps ({', '.join(swept)}) give -m")
            return [(str(number), [text]) for number, text in enumerate(self.texts)]
        single = [one.key_or_group for one in parsed if one not in sweeps and not _chooses(composer, one)]
        self.master = base
        self.absent = {key for key in single if not has(base, key)}
        params = composer.parsed([f"{key}={value}" for key, value in swept.items()])
        keys: dict[str, list[str]] = {}
        for override in [*params, *parsed]:
            key = override.get_key_element()
            if not override.is_sweep_override():
                keys[key] = [str(override.input_line)]
            elif not override.is_discrete_sweep():
                raise SettingError(f"{override.input_line}: tokenyard sweeps over lists and range(), not intervals")
            elif _count(override) > MOST_RUNS:
                raise SettingError(f"{override.input_line} is more than {MOST_RUNS:,} runs")
            else:
                keys[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
                if not keys[key]:
                    options = ", ".join(composer.options(key)) or "none, for it is no group"
                    raise SettingError(f"{override.input_line} matches no option of {key}; there are {options}")
        if (runs := math.prod(map(len, keys.values()))) > MOST_RUNS:
            widest = max(keys.values(), key=len)
            raise SettingError(f"{widest[0]} and so on: the sweep is {runs:,} runs, more than {MOST_RUNS:,}")
        return list(keys.items())


def _refuse_two_values(parsed: list[Override]) -> None:
    """Of two values for one setting Hydra takes the last, and says nothing."""
    first: dict[tuple[str, str | None], str] = {}
    lines = []
    for one in parsed:
        text = str(one.input_line)
        before = first.setdefault((plain_key(one.key_or_group), one.package), text)
        if before.lstrip("+") != text.lstrip("+"):
            lines.append(f"{before} and {text} are two values for one setting: give one")
    if lines:
        raise SettingError(*lines)


def _chooses(composer: Composer, override: Override) -> bool:
    return override.is_hydra_override() or composer.is_group(override)


def _count(override: Override) -> float:
    value = override.value()
    if isinstance(value, RangeSweep):
        if not value.step or value.stop is None or value.start is None:
            return math.inf
        return (value.stop - value.start) / value.step
    return len(value.list) if isinstance(value, ChoiceSweep) else 1


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingError(f"{message}; tokenyard run --help tells what can be given")


def read(arguments: list[str]) -> Command:
    """The command line `arguments`; SettingError for a flag that there is not.

    What stands below `slo` is named by who asks, so that no yaml has it.
    """
    parser = get_args_parser()
    parser.__class__ = _Parser
    flags = parser.parse_intermixed_args(arguments)
    if sum(map(bool, (flags.run, flags.multirun, flags.cfg, flags.info, flags.shell_completion))) > 1:
        raise SettingError("one of --run, --multirun, --cfg, --info and --shell-completion can be given, not two")
    texts = [NUMERIC.sub(r"\1='\2'", text) for text in flags.overrides]
    return Command(flags, [f"++{text}" if text.startswith("slo.") else text for text in texts])
