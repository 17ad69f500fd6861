"""Configurations composed as Hydra does, with what was given for them; whatever Hydra refuses is told in one line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError

from experiments.run.references import leaves, plain_key
from experiments.settings.signatures import takes
from experiments.settings.toplevel import CALIBRATION
from experiments.settings.wording import SettingError, did_you_mean, shown

FOLDERS = ("experiment", "system")  # groups whose options lie in folders too, as rtlm/main
MOVED = {"base/rtlm": "rtlm/base", "validate_rtx_pro_6000": "validation/rtx_pro_6000"}  # options by their old names
HANDED_ON = ("unit", "skip_bad")  # by `traces.windows.Windows`, to what reads its file


@dataclass(frozen=True, slots=True)
class Given:
    """One setting as it was given: `text` is what was typed, `value` what it says."""

    key: str
    text: str
    value: Any
    group: bool
    added: bool = False
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """The configuration of one job, not resolved, with the options chosen and what was given for it.

    `before` is the configuration with the same options, before any value was changed.
    """

    cfg: DictConfig
    before: DictConfig
    choices: dict[str, str | None]
    given: tuple[Given, ...]


def _misspelt(error: Exception) -> str:
    """Where a yaml file is none, if that is what `error` is about."""
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        return "Hydra cannot take this"
    mark = error.problem_mark
    return f"{mark.name}, line {mark.line + 1}: {error.problem}"


class Composer:
    """Composes configurations as Hydra does; those with equal options are composed once."""

    def __init__(self, loader: Any, config_name: str) -> None:
        self._loader = loader
        self.name = config_name
        self._bases: dict[tuple[str, ...], DictConfig] = {}
        self._own: dict[int, DictConfig] = {}
        self._parsed: dict[str, Override] = {}
        self.lacking: set[str] = set()  # constants that were given, and that some job's parts bring no place for

    def parsed(self, texts: list[str]) -> list[Override]:
        """Each of `texts` as Hydra understands it; SettingError for those it does not."""
        parser = OverridesParser.create(config_loader=self._loader)
        read, lines = [], []
        for text in texts:
            try:
                if text not in self._parsed:
                    [self._parsed[text]] = parser.parse_overrides([text])  # alone it would not know a glob's options
                if not self._parsed[text].key_or_group:
                    lines.append(f"{shown(text)} is no setting as key=value: it names no setting")
                read.append(self._parsed[text])
            except HydraException as error:
                reason = str(error).splitlines()[0]
                hint = _hint(text)
                lines.append(f"{shown(text)} is no setting as key=value: {reason}{hint}")
        if lines:
            raise SettingError(*lines)
        return read

    def is_group(self, override: Override) -> bool:
        """Whether this chooses an option, and gives no value."""
        return self._loader.repository.group_exists(override.key_or_group) and not isinstance(override.value(), dict)

    def options(self, group: str) -> list[str]:
        """What can be chosen in `group`."""
        found = list(self._loader.get_group_options(group))
        inner = self.groups(group) if group in FOLDERS else []
        return found + [f"{folder}/{option}" for folder in inner for option in self.options(f"{group}/{folder}")]

    @property
    def repository(self) -> Any:
        """Where the yaml files come from."""
        return self._loader.repository

    def groups(self, group: str) -> list[str]:
        """The groups within `group`."""
        return list(self._loader.list_groups(group))

    def base(self, chosen: list[Override]) -> DictConfig:
        """The configuration with the options `chosen`, with Hydra's own part; SettingError where there is none."""
        key = tuple(str(override.input_line) for override in chosen)
        if key not in self._bases:
            self._refuse_unknown_options(chosen)
            try:
                self._bases[key] = self._loader.load_configuration(self.name, list(key), RunMode.RUN)
            except Exception as error:  # whatever Hydra makes of it, assertions of its own included
                reason = str(error.__cause__ or "").partition("\n")[0]
                cause = f": {reason}" if reason not in str(error) else ""
                own = isinstance(error, HydraException | OmegaConfBaseException | ValueError)
                said = str(error).partition("\n    full_key")[0] if own else _misspelt(error)
                said = said.replace("\nTo append to your default list use", "; to add it, give")
                raise SettingError(f"{' '.join(key) or 'the defaults'}: {said}{cause}") from error
        return self._bases[key]

    def _refuse_unknown_options(self, chosen: list[Override]) -> None:
        lines = []
        for override in chosen:
            group, value = override.key_or_group, override.value()
            if override.is_delete() or not self.is_group(override):
                continue
            if override.is_force_add():
                lines.append(f"{override.input_line}: an option is chosen as {group}={shown(value)}, without ++")
            known = self.options(group)
            for option in value if isinstance(value, list) else [value]:
                if str(option) not in known:
                    old = MOVED | {name.replace("/", "_"): name for name in known if "/" in name}
                    if str(option) in old:
                        lines.append(f"{group}={option} is now called {group}={old[str(option)]}")
                        continue
                    hint = did_you_mean(str(option), known)
                    lines.append(f"{group}={shown(option)}: no such option{hint}; there are {', '.join(known)}")
        if lines:
            raise SettingError(*lines)

    def job(self, overrides: list[Override]) -> Job:
        """The job of `overrides`, none of which sweeps; SettingError for those that change nothing that there is."""
        values = [one for one in overrides if not (self.is_group(one) or one.is_hydra_override())]
        base = self.base([one for one in overrides if one not in values])
        before = self._without_hydra(base)
        cfg = before.copy()
        lines = []
        for override in values:
            try:
                ConfigLoaderImpl._apply_overrides_to_config([override], cfg)
            except Exception as error:
                if override.key_or_group not in CALIBRATION or override.is_delete():
                    lines.append(self._unknown(override, before, error))
                    continue
                OmegaConf.update(cfg, override.key_or_group, override.value(), force_add=True)
                self.lacking.add(override.key_or_group)
        if lines:
            raise SettingError(*lines)
        known = base.hydra.runtime.choices
        choices = {str(key): value for key, value in known.items() if not str(key).startswith("hydra/")}
        given = tuple(self._given(one) for one in overrides if not one.is_hydra_override())
        OmegaConf.set_struct(cfg, False)
        return Job(cfg, before, choices, given)

    def _without_hydra(self, base: DictConfig) -> DictConfig:
        if id(base) not in self._own:
            own = base.copy()
            OmegaConf.set_struct(own, False)
            del own["hydra"]
            OmegaConf.set_struct(own, True)
            self._own[id(base)] = own
        return self._own[id(base)]

    def _given(self, override: Override) -> Given:
        group = self.is_group(override)
        key = override.key_or_group + (f"@{override.package}" if group and override.package else "")
        return Given(
            plain_key(key),
            str(override.input_line),
            override.value(),
            group,
            added=override.is_add() or override.is_force_add(),
            deleted=override.is_delete(),
        )

    def _unknown(self, override: Override, cfg: DictConfig, error: Exception) -> str:
        key = override.key_or_group
        said = f"{key}={shown(override.value())}" if not override.is_delete() else str(override.input_line)
        if override.is_add() and OmegaConf.select(cfg, key, throw_on_missing=False) is not None:
            return f"{said} is there already: give it without +"
        known = [name for name in leaves(cfg) if not name.startswith("hydra.") and "._" not in name]
        if "/" in key:
            return f"{said}: no such group{did_you_mean(key, self._groups())}"
        parent = key
        while "." in parent:
            parent = parent.rsplit(".", 1)[0]
            node = OmegaConf.select(cfg, parent, throw_on_resolution_failure=False, throw_on_missing=False)
            if OmegaConf.is_dict(node):
                last = key.rpartition(".")[2]
                if parent == key.rpartition(".")[0] and takes(node.get("_target_"), last):
                    reader = OmegaConf.select(node, "load.path")
                    if last in HANDED_ON and isinstance(reader, str) and not takes(reader, last):
                        return f"{said}: this format has no {last} to set ({reader} reads it)"
                    return f"{said} is not set here, and {node._target_} takes it: give it as +{said}"
                inside = ", ".join(str(name) for name in node if not str(name).startswith("_"))
                return f"{said}: no such setting{did_you_mean(key, known)}; {parent} has {inside or 'no settings'}"
            if node is not None:
                return f"{said}: {parent} is the value {shown(node)}, and holds no settings"
        if key in cfg:
            return f"{said}: {str(error.__cause__ or error).splitlines()[0]}"
        return f"{said}: no such setting{did_you_mean(key, [*known, *self._groups()])}"

    def _groups(self) -> list[str]:
        found = []
        for group in self._loader.list_groups(""):
            found += [group, *(f"{group}/{inner}" for inner in self._loader.list_groups(group))]
        return found


def _hint(text: str) -> str:
    """How what Hydra does not understand would be given."""
    key, equals, value = text.partition("=")
    if not equals:
        return "" if text.startswith("~") else f"; a value is given as {text}=VALUE"
    if value and value[0] not in "'\"[{":
        return f"; a name with blanks, brackets or other signs is quoted twice, as \"{key}='{value}'\""
    return ""
