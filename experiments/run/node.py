"""A part of a configuration as a value: what is made of it can be kept under it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf


@dataclass(frozen=True, slots=True)
class Node:
    """Settings that equal those of the same keys, values and order."""

    yaml: str

    @classmethod
    def of(cls, cfg: DictConfig) -> Node:
        """The settings that `cfg` holds now, resolved."""
        return cls(OmegaConf.to_yaml(cfg, resolve=True))

    @property
    def cfg(self) -> DictConfig:
        """The settings, for whoever reads them one by one."""
        cfg = OmegaConf.create(self.yaml)
        assert isinstance(cfg, DictConfig)
        return cfg

    def instantiate(self) -> Any:
        """The part that the settings describe, made anew."""
        return instantiate(self.cfg, _convert_="all")
