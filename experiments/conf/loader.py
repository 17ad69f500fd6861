"""Hydra's loader, that reads a file once and composes a choice of options once in a process, and gives copies of them.

What it gives equals what Hydra composes. A file that changed is read anew; one that was added to a search path, and
hides another, is not looked for again.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import hydra._internal.hydra
import omegaconf._utils
import omegaconf.base
import yaml
from hydra._internal import defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.config_repository import ConfigRepository
from hydra.core.config_store import ConfigStore
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobRuntime
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.types import RunMode
from omegaconf import DictConfig

OURS = Path(__file__).parent  # the yaml files that ship: tests read each of them in both ways
MOST_BASES = 512  # of about 20 kB each
State = tuple[int, int, int]
Bases = dict[tuple[object, ...], tuple[dict[Path, State], bytes]]
_read: dict[tuple[str, str], tuple[State, bytes]] = {}
_bases: Bases = {}  # by what was chosen where: of which files, and the configuration


_choices_known = defaults_list._create_interpolation_map
_yaml_known = omegaconf._utils.get_yaml_loader


def install() -> None:
    """Let all of Hydra's ways to compose take this loader, and do without what they need not make, or make again."""
    hydra._internal.hydra.ConfigLoaderImpl = Loader  # type: ignore[attr-defined]
    defaults_list._create_interpolation_map = _choices_where_needed  # type: ignore[assignment]
    base: Any = omegaconf.base
    if not hasattr(base.parse, "cache_info"):
        base.parse = lru_cache(4096)(base.parse)


def kept() -> Bases:
    """What this process has composed so far, for another to `keep`, which would compose the same."""
    return dict(_bases)


def keep(bases: Bases) -> None:
    """Take over what another process has composed; as with one's own, what files say no longer is composed anew."""
    _bases.update(bases)


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Within, OmegaConf reads a `file` of ours by libyaml, where that is: others it might refuse in other words."""
    if yaml.__with_libyaml__ and file.is_relative_to(OURS):
        omegaconf._utils.get_yaml_loader = _libyaml
    try:
        yield
    finally:
        omegaconf._utils.get_yaml_loader = _yaml_known


@lru_cache(1)
def _libyaml() -> Any:
    """OmegaConf's own loader of yaml, which reads by its rules, on libyaml's parser, which is ten times as fast."""
    known = _yaml_known()

    def begin(self: Any, stream: Any) -> None:
        yaml.cyaml.CParser.__init__(self, stream)
        yaml.constructor.SafeConstructor.__init__(self)
        yaml.resolver.Resolver.__init__(self)

    return type("Loader", (yaml.cyaml.CParser, known), {"__init__": begin})


def _choices_where_needed(overrides: Any, defaults: list[Any], self_added: bool) -> Any:
    """The choices so far, that an interpolation in a list of defaults may name; None where there is none."""
    return _choices_known(overrides, defaults, self_added) if any(one.is_interpolation() for one in defaults) else None


def _state(file: Path) -> State:
    """What changes when a file does."""
    found = file.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


@lru_cache
def _folder(scheme: str, path: str) -> Path | None:
    """The folder of a config source; None where it is none, as Hydra's own store."""
    if scheme == "file":
        return Path(path)
    place = resources.files(path) if scheme == "pkg" and path else None
    return place if isinstance(place, Path) else None


class Repository(ConfigRepository):
    """The configurations on a search path; `used` are the files that were read or taken from what was kept."""

    def __init__(self, config_search_path: Any) -> None:
        super().__init__(config_search_path)
        self.used: dict[Path, State] = {}

    def __deepcopy__(self, memo: Any) -> Repository:
        """What Hydra makes of it for each configuration, and may add sources to."""
        copy = object.__new__(type(self))
        copy.sources, copy.used = list(self.sources), self.used
        return copy

    def load_config(self, config_path: str) -> ConfigResult | None:
        """Hydra's own result, or a copy of what it was for this file."""
        source = self._find_object_source(config_path, ObjectType.CONFIG)
        folder = None if source is None else _folder(source.scheme(), source.path)
        if source is None or folder is None:
            return super().load_config(config_path)
        file = folder / ConfigSource._normalize_file_name(config_path)
        state = _state(file)
        key = (source.full_path(), str(file))
        if key not in _read or _read[key][0] != state:
            with _reading(file):
                _read[key] = state, pickle.dumps(super().load_config(config_path))
        self.used[file] = state
        result: ConfigResult = pickle.loads(_read[key][1])
        return result


class Loader(ConfigLoaderImpl):
    """Hydra's loader of one search path."""

    repository: Repository

    def __init__(self, config_search_path: Any) -> None:
        super().__init__(config_search_path)
        self.repository = Repository(config_search_path)

    def _load_configuration_impl(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """The configuration with the options that `overrides` choose, kept, and then with the values that they give."""
        parsed = OverridesParser.create().parse_overrides(overrides)
        values = [one for one in parsed if isinstance(one.value(), dict) or not self._is_group(one)]
        if any(one.is_sweep_override() or one.is_hydra_override() for one in parsed):
            return super()._load_configuration_impl(
                config_name, overrides, run_mode, from_shell, validate_sweep_overrides
            )
        chosen = [str(one.input_line) for one in parsed if one not in values]
        cfg = self._base(config_name, chosen, run_mode)
        self._apply_overrides_to_config(values, cfg)
        own = cfg.hydra
        own.overrides.task = overrides
        own.runtime.cwd = os.getcwd()
        named = own.job.config.override_dirname
        own.job.override_dirname = get_overrides_dirname(parsed, named.exclude_keys, named.item_sep, named.kv_sep)
        return cfg

    def _is_group(self, override: Override) -> bool:
        return self.repository.group_exists(override.key_or_group)

    def _base(self, config_name: str | None, chosen: list[str], run_mode: RunMode) -> DictConfig:
        """A copy of the configuration with the options `chosen`."""
        paths = [(source.provider, source.full_path()) for source in self.repository.sources]
        systems = ConfigStore.instance().repo.get("system", {})
        key = (*paths, config_name, *chosen, run_mode, JobRuntime().get("name"), *systems)
        kept = _bases.get(key)
        if kept is None or not all(file.is_file() and _state(file) == state for file, state in kept[0].items()):
            used: dict[Path, State] = {}
            self.repository.used = used
            cfg = super()._load_configuration_impl(config_name, chosen, run_mode)
            kept = _bases[key] = used, pickle.dumps(cfg)
            if len(_bases) > MOST_BASES:
                del _bases[next(iter(_bases))]
        copy: DictConfig = pickle.loads(kept[1])
        return copy
