"""A part of a configuration as a value: what is made of it can be kept under it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf


@dataclass(frozen=True, slots=True)
class Node:
    """Settings that equal those of the same keys, values and order; `plain` are they, and `spelled` how they read."""

    spelled: str
    plain: Any = field(compare=False, repr=False)

    @classmethod
    def of(cls, cfg: DictConfig, resolve: bool = True, but: Collection[str] = ()) -> Node:
        """The settings that `cfg` holds now, resolved unless that is not wanted, `but` for these keys."""
        held = OmegaConf.to_container(cfg, resolve=resolve)
        assert isinstance(held, dict)
        plain = {key: value for key, value in held.items() if key not in but}
        return cls(repr(plain), plain)

    @property
    def cfg(self) -> DictConfig:
        """The settings, for whoever reads them one by one."""
        cfg = OmegaConf.create(self.plain)
        assert isinstance(cfg, DictConfig)
        return cfg

    def instantiate(self) -> Any:
        """The part that the settings describe, made anew."""
        return instantiate(self.cfg, _convert_="all")
